"""Runs bin/lab-kernel with a command in user-mode Linux, which takes about 3 s to boot."""

from __future__ import annotations

import contextlib
import os
import subprocess

from support.modules import PROJECT

LAB_KERNEL = PROJECT / "bin" / "lab-kernel"
UML = {**os.environ, "ROUTED_HYPERVISOR_KERNEL": "uml", "ROUTED_HYPERVISOR_KERNEL_MEMORY": "512"}
UML.pop("ROUTED_HYPERVISOR_KERNEL_KIND", None)
DEADLINE = 120


def lab_kernel(*command: str, environment: dict[str, str] | None = None, **options) -> subprocess.CompletedProcess:
    options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run(
        [LAB_KERNEL, *command],
        env={**UML, **(environment or {})},
        capture_output=True,
        timeout=DEADLINE,
        check=False,
        **options,
    )


@contextlib.contextmanager
def running(*command: str, **options):
    """A lab kernel whose command has said `started`; killed at the end, whatever happened."""
    process = subprocess.Popen(
        [LAB_KERNEL, *command],
        env=UML,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    try:
        assert process.stdout and process.stdout.readline() == b"started\n"
        yield process
    finally:
        process.kill()
        process.communicate()
