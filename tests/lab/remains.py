"""Prints the processes, files and mounts of a lab on this machine, or in the lab's kernel: remains.py LAB"""

from __future__ import annotations

import sys
from pathlib import Path

PLACES = ("/run/routed-hypervisor", "/run/routed-hypervisor-lab")


def remains(lab: str):
    marks = (f"routed-hypervisor:{lab}:".encode(), f"routed-hypervisor-lab:{lab}".encode())
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[0].startswith(marks[0]) or marks[1] in arguments:
            yield f"process {entry.parent.name}: {b' '.join(arguments).decode(errors='replace')}"
    for place in PLACES:
        if Path(place, lab).exists():
            yield f"{place}/{lab}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        if lab in line:
            yield f"mount {line}"


if __name__ == "__main__":
    for found in remains(sys.argv[1]):
        print(found)
