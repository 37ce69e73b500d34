"""Runs bin/lab: a lab without nodes, on a kernel of its own, which takes about 1.5 s to boot."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

from support.modules import PROJECT
from support.waiting import until

LAB = PROJECT / "bin" / "lab"
BASE = Path("/run/routed-hypervisor-lab")
OWNER = "/tmp"
DEADLINE = 120
ENVIRONMENT = {**os.environ, "ROUTED_HYPERVISOR_KERNEL": "uml", "ROUTED_HYPERVISOR_KERNEL_MEMORY": "256"}
ENVIRONMENT.pop("ROUTED_HYPERVISOR_KERNEL_KIND", None)


def lab(*arguments: str, prefix: tuple[str, ...] = (), environment: dict[str, str] | None = None, **options):
    """The result of bin/lab, as text."""
    return subprocess.run(
        [*prefix, LAB, *arguments],
        env={**ENVIRONMENT, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        **options,
    )


def up(name: str, **options):
    result = lab("up", name, "--owner", OWNER, **options)
    assert result.returncode == 0, result.stderr
    return result


# Of a kernel in the cache, without its version
DESCRIPTION = {
    "origin": "a test",
    "linux": "linux",
    "parameters": [],
    "loader": None,
    "libraries": None,
    "modules": None,
    "nftables_inet": False,
}


def fake_kernel(cache, script: str) -> str:
    """A cache whose user-mode Linux is a shell script."""
    directory = cache / "tools" / "uml" / "built"
    directory.mkdir(parents=True)
    (directory / "linux").write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    (directory / "linux").chmod(0o755)
    description = {**DESCRIPTION, "version": "7.2.0"}
    (directory / "kernel.json").write_text(json.dumps(description), encoding="ascii")
    return str(cache)


def run(name: str, script: str) -> str:
    """The output of a script in the kernel of a lab."""
    result = lab("exec", name, "", "bash", "-c", script)
    assert result.returncode == 0, result.stderr
    return result.stdout


def start(name: str, *command: str, **options) -> subprocess.Popen:
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([LAB, "exec", name, "", *command], env=ENVIRONMENT, **options)


def status(name: str) -> dict:
    found = json.loads(lab("status", "--json").stdout)
    return next((each for each in found if each["lab"] == name), {})


def processes(mark: str) -> list[int]:
    """Processes with such a text in their command line."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (directory / "cmdline").read_bytes().split(b"\0"):
                found.append(int(directory.name))
    return found


def supervisor(name: str) -> int:
    (process,) = processes(f"routed-hypervisor-lab:{name}")
    return process


def descendants(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").glob("*"):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text(encoding="ascii").split():
                found += [int(child), *descendants(int(child))]
    return found


@contextlib.contextmanager
def nothing_left(name: str):
    """Whatever happens to the lab: when it has been taken down, it has no process, no file and no mount."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    begun: set[int] = set()
    try:
        yield begun
    finally:
        result = lab("down", name)
    assert result.returncode == 0, result.stderr
    assert not processes(f"routed-hypervisor-lab:{name}")
    until(lambda: not [each for each in begun if Path(f"/proc/{each}").exists()], what="the lab's processes ended")
    assert not (BASE / name).exists()
    assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == mounts
