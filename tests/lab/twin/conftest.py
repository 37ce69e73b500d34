"""Twins as make brings them up, and takes them down."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Lab
from support.modules import PROJECT


class Twin:
    """The twin of a production inventory whose intent has this name."""

    def __init__(self, inventory: Path, name: str):
        self.production = inventory
        self.lab = Lab(PROJECT / "artifacts" / name / "twin", PROJECT / "artifacts" / name / "twin")
        self.lab.name = f"{name}-twin"
        self.lab.report = PROJECT / "artifacts" / self.lab.name / "verify.json"

    def make(self, target: str, *variables: str) -> tuple[int, str]:
        inventory = self.production if target == "twin" else self.lab.inventory
        command = ["make", target, f"INVENTORY={inventory}", *variables]
        start = time.monotonic()
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, check=False, cwd=PROJECT, text=True, **streams)
        print(f"make {target}: {time.monotonic() - start:.1f} s")
        return done.returncode, done.stdout

    def failures(self) -> list[tuple[str, str]]:
        """(node, title) of what the last verification found."""
        nodes = json.loads(self.lab.report.read_text())["nodes"]
        return [
            (node, found["title"]) for node, results in nodes.items() for found in results if found["state"] != "passed"
        ]


@pytest.fixture(scope="module")
def twin_of():
    """A function that returns the twin of an inventory; all of them are taken down at the end."""
    made = []

    def give(inventory: Path, name: str) -> Twin:
        made.append(Twin(inventory, name))
        return made[-1]

    yield give
    for twin in made:
        twin.make("down")
