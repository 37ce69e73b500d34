"""How much memory a lab kernel gets."""

from __future__ import annotations

import os
import re

DEFAULT_MB, LEAST_MB = 3072, 512


class NotEnough(Exception):
    """A sentence: what is wrong with the memory."""


def available() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        found = re.search(r"^MemAvailable: +(\d+) kB", file.read(), re.MULTILINE)
    return int(found.group(1)) // 1024 if found else DEFAULT_MB


def kernel_memory() -> int:
    """Megabytes: 3 GB, but never more than three quarters of what is free, as the kernel's file cache fills it all."""
    wanted = os.environ.get("ROUTED_HYPERVISOR_KERNEL_MEMORY", "")
    if wanted:
        match = re.fullmatch(r"(\d+)[Mm]?", wanted)
        if not match or int(match.group(1)) < 128:
            raise NotEnough(
                f"ROUTED_HYPERVISOR_KERNEL_MEMORY is '{wanted}': it must be a number of megabytes, 128 or more"
            )
        return int(match.group(1))
    free = available() * 3 // 4
    if free < LEAST_MB:
        raise NotEnough(
            f"a lab kernel needs {LEAST_MB} MB of memory and three quarters of what is free are {free} MB: "
            "end other programs, or set ROUTED_HYPERVISOR_KERNEL_MEMORY to the megabytes it may have"
        )
    return min(DEFAULT_MB, free)
