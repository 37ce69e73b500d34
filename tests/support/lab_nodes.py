"""Labs of nodes on this machine's kernel, each with a name of its own, and what is done in their nodes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import uuid
from pathlib import Path

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._lab import groups

from .modules import MODULES, PROJECT, library


def is_first_process(entry: Path) -> bool:
    return bool(re.search(r"^NSpid:.*\t1$", (entry / "status").read_text(errors="replace"), re.MULTILINE))


class Lab:
    """A lab under test. What is true of it is asked of the kernel and of `ip`, not of the modules."""

    def __init__(self, run_module, image):
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.run_module, self.image, self.owner = run_module, str(image), "/srv/inventories/test"
        self.directory = Path("/run/routed-hypervisor") / self.name

    def arguments(self, *names, state="merged", **options):
        config = [{"name": name} if isinstance(name, str) else name for name in names]
        return {"lab": self.name, "owner": self.owner, "image": self.image, "config": config, "state": state, **options}

    def nodes(self, *names, **options):
        return self.run_module("lab_nodes", **self.arguments(*names, **options))

    def cables(self, *cables, state="merged", **options):
        return self.run_module("lab_cables", lab=self.name, config=list(cables), state=state, **options)

    def remove(self):
        result = self.run_module("lab_nodes", lab=self.name, state="deleted")
        assert not result.get("failed"), result

    def enter(self, node, *command, text=None):
        return subprocess.run(
            [self.directory / "enter", node, *command],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def run(self, node: str, *argv: str, text: str | None = None, fails: bool = False) -> str:
        """The output of a command in a node."""
        done = self.enter(node, *argv, text=text)
        assert fails or done.returncode == 0, f"{node}: {argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def ip(self, node, *arguments):
        return json.loads(self.run(node, "ip", "-json", "-details", *arguments) or "[]")

    def links(self, node):
        return {link["ifname"]: link for link in self.ip(node, "link", "show") if link["ifname"] != "lo"}

    @functools.cached_property
    def library(self) -> Path:
        """In the exchange directory, which nodes share with us."""
        return library(self.directory / "tmp" / "library")

    def module(self, node: str, name: str, /, _check: bool = False, **args) -> dict:
        """The result of a module that runs in a node, with Debian's Python. `raw` in it is all that it printed."""
        internal = {"_ansible_check_mode": _check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
        python = ("env", f"PYTHONPATH={self.library}", "PYTHONDONTWRITEBYTECODE=1", "/usr/bin/python3")
        text = json.dumps({"ANSIBLE_MODULE_ARGS": {**args, **internal}})
        done = self.enter(node, *python, "-m", f"{MODULES}.{name}", text=text)
        output = done.stdout + done.stderr
        assert "{" in output, output
        return {**json.loads(output[output.index("{") :]), "raw": output}

    def processes(self):
        """Name of each running node to its PIDs, from the process table."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                # Until it executes its program, a child of systemd looks like systemd.
                with contextlib.suppress(OSError):
                    first = (entry / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
                    if first.startswith(f"routed-hypervisor:{self.name}:") and is_first_process(entry):
                        found.setdefault(first.rpartition(":")[2], []).append(int(entry.name))
        return found


@contextlib.contextmanager
def made(run_module, lab_image):
    """A lab that is gone after the test, with everything that belongs to it."""
    if os.geteuid() != 0:
        pytest.skip("lab nodes need root")
    lab = Lab(run_module, lab_image)
    try:
        yield lab
    finally:
        lab.remove()
    assert lab.processes() == {}
    assert not lab.directory.exists()
    assert lab.name not in Path("/proc/self/mountinfo").read_text()
    assert not groups.exist(lab.name)


class Node:
    """The only node of a lab. Start with `with Node(run_module, image) as node`."""

    def __init__(self, run_module, image: Path):
        self.lab = Lab(run_module, image)

    def __enter__(self) -> Node:
        made = self.lab.nodes("n")
        assert not made.get("failed"), made
        return self

    def __exit__(self, *_) -> None:
        self.lab.remove()

    def run(self, *argv: str, text: str | None = None, fails: bool = False) -> str:
        done = self.lab.enter("n", *argv, text=text)
        assert fails or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def module(self, name: str, /, _check: bool = False, **args) -> dict:
        return self.lab.module("n", name, _check, **args)

    def read(self, path: str) -> str:
        return self.run("cat", path)

    def write(self, path: str, text: str) -> None:
        self.run("tee", path, text=text)

    def pid(self, program: str) -> str:
        return self.run("pidof", program, fails=True).strip()


def lab_command(*arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
    """bin/lab, for a lab on this machine's own kernel."""
    done = subprocess.run(
        [PROJECT / "bin/lab", *arguments],
        env={**os.environ, "ROUTED_HYPERVISOR_KERNEL": "host"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert fails or done.returncode == 0, done.stdout + done.stderr
    return done
