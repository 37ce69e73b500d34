"""A lab node of its own in which the modules for daemons run, with Debian's Python, as on a real host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import ansible

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"


def library(exchange: Path) -> Path:
    """Puts the collection where the nodes of a lab see it: in the exchange directory, which they share with us."""
    place = exchange / "tmp" / "library"
    hide = shutil.ignore_patterns("__pycache__", "tests", "roles")
    shutil.copytree(COLLECTIONS, place, ignore=hide)
    (place / "ansible").mkdir()
    (place / "ansible/__init__.py").touch()
    shutil.copytree(Path(ansible.__file__).parent / "module_utils", place / "ansible/module_utils", ignore=hide)
    return place


def module_command(place: Path, module: str) -> list[str]:
    """What runs a module in a node, with Debian's Python; its arguments come on standard input."""
    name = f"ansible_collections.routed.hypervisor.plugins.modules.{module}"
    return ["env", f"PYTHONPATH={place}", "PYTHONDONTWRITEBYTECODE=1", "/usr/bin/python3", "-m", name]


class Node:
    """A node without neighbours. Start with `with Node(run_module, image) as node`."""

    def __init__(self, run_module, image: Path):
        self.run_module = run_module
        self.lab = f"test-{uuid.uuid4().hex[:8]}"
        self.image = image
        self.exchange = Path("/run/routed-hypervisor") / self.lab

    def _lab_nodes(self, **args) -> None:
        result = self.run_module("lab_nodes", lab=self.lab, owner="tests of the daemon modules", **args)
        assert not result.get("failed"), result

    def __enter__(self) -> Node:
        self._lab_nodes(image=str(self.image), config=[{"name": "n"}])
        self.library = library(self.exchange)
        return self

    def __exit__(self, *_) -> None:
        shutil.rmtree(self.library, ignore_errors=True)
        self._lab_nodes(state="deleted")

    def run(self, *argv: str, text: str | None = None, fails: bool = False) -> str:
        done = subprocess.run(
            [self.exchange / "enter", "n", *argv], input=text, text=True, capture_output=True, timeout=60, check=False
        )
        assert fails or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def module(self, module: str, _check: bool = False, **args) -> dict:
        """Runs a module in the node. `raw` in the result is all that it printed."""
        internal = {"_ansible_check_mode": _check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
        output = self.run(
            *module_command(self.library, module),
            text=json.dumps({"ANSIBLE_MODULE_ARGS": {**args, **internal}}),
            fails=True,
        )
        assert "{" in output, output
        return {**json.loads(output[output.index("{") :]), "raw": output}

    def read(self, path: str) -> str:
        return self.run("cat", path)

    def write(self, path: str, text: str) -> None:
        self.run("tee", path, text=text)

    def pid(self, program: str) -> str:
        return self.run("pidof", program, fails=True).strip()


def is_root() -> bool:
    return os.geteuid() == 0
