"""The memory size of a lab kernel, and advice when it was too small."""

from __future__ import annotations

import os
import re

VARIABLE = "ROUTED_HYPERVISOR_KERNEL_MEMORY"
DEFAULT_MB, LEAST_MB = 3072, 512


class NotEnough(Exception):
    """There is not enough memory; the message is a sentence with the reason."""


def available() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        found = re.search(r"^MemAvailable: +(\d+) kB", file.read(), re.MULTILINE)
    return int(found.group(1)) // 1024 if found else DEFAULT_MB


def kernel_memory() -> int:
    """In megabytes: 3 GB, but at most three quarters of free memory, because the kernel's file cache will fill it."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted:
        match = re.fullmatch(r"(\d+)[Mm]?", wanted)
        if not match or int(match.group(1)) < 128:
            raise NotEnough(f"{VARIABLE} is '{wanted}': it must be a number of megabytes, 128 or more")
        return int(match.group(1))
    free = available() * 3 // 4
    if free < LEAST_MB:
        raise NotEnough(
            f"a lab kernel needs {LEAST_MB} MB of memory, but three quarters of free memory are {free} MB: "
            f"end other programs, or set {VARIABLE} to the megabytes it may have"
        )
    return min(DEFAULT_MB, free)


def ran_out(megabytes: int, victims: list[str]) -> str:
    """A sentence about a kernel of this size that ran out of memory, and the programs it killed."""
    killed = f" and killed {', '.join(victims)}" if victims else ""
    return f"the lab kernel ran out of memory ({megabytes} MB){killed}: set {VARIABLE} to more megabytes"
