"""Labs for tests, each with a name of its own, gone after the test whatever happened in it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest


class Lab:
    """A lab under test. What is true of it is asked of the kernel and of `ip`, not of the modules."""

    def __init__(self, run_module, image):
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.run_module, self.image, self.owner = run_module, str(image), "/srv/inventories/test"
        self.directory = Path("/run/routed-hypervisor") / self.name

    def arguments(self, *names, state="merged", **options):
        config = [{"name": name} for name in names]
        return {"lab": self.name, "owner": self.owner, "image": self.image, "config": config, "state": state, **options}

    def nodes(self, *names, **options):
        return self.run_module("lab_nodes", **self.arguments(*names, **options))

    def cables(self, *cables, state="merged", **options):
        return self.run_module("lab_cables", lab=self.name, config=list(cables), state=state, **options)

    def enter(self, node, *command):
        return subprocess.run(
            [self.directory / "enter", node, *command], capture_output=True, text=True, check=False, timeout=30
        )

    def ip(self, node, *arguments):
        result = self.enter(node, "ip", "-json", "-details", *arguments)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout or "[]")

    def links(self, node):
        return {link["ifname"]: link for link in self.ip(node, "link", "show") if link["ifname"] != "lo"}

    def processes(self):
        """Name of each running node to its PIDs, from the process table."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    first = (entry / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
                except OSError:
                    continue
                if first.startswith(f"routed-hypervisor:{self.name}:"):
                    found.setdefault(first.rpartition(":")[2], []).append(int(entry.name))
        return found


@contextlib.contextmanager
def made(run_module, lab_image):
    if os.geteuid() != 0:
        pytest.skip("lab nodes need root")
    lab = Lab(run_module, lab_image)
    try:
        yield lab
    finally:
        result = run_module("lab_nodes", lab=lab.name, state="deleted")
    assert not result.get("failed"), result
    assert lab.processes() == {}
    assert not lab.directory.exists()
    assert lab.name not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def lab(run_module, lab_image):
    with made(run_module, lab_image) as lab:
        yield lab


@pytest.fixture(scope="module")
def shared_lab(run_module_once, lab_image):
    """One for all tests of a file; each leaves it as it found it."""
    with made(run_module_once, lab_image) as lab:
        yield lab


@pytest.fixture(scope="module")
def supervised(shared_lab):
    """Nodes n1 and n2 of a lab with a supervisor, on this machine's own kernel."""
    import supervised  # noqa: PLC0415 - Ansible's loader, which the other tests do without

    try:
        yield supervised.bring_up(shared_lab)
    finally:
        supervised.lab_command("down", shared_lab.name)
