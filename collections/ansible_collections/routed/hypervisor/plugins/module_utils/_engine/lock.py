# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that another run may hold for a while. Private to this collection."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t

HOST_LOCK = "/run/routed-hypervisor.lock"
HOST_LOCK_S = 60.0
# The run whose change was rolled back must not go on with it. See the package _agent/arming.
ROLLED_BACK, ARMED = "/var/lib/routed-hypervisor/rolled-back", "/var/lib/routed-hypervisor/armed"


class Held(Exception):
    """Another run holds the lock of this host."""


def taken(descriptor: int, seconds: float, pause: float) -> bool:
    """Waits up to `seconds` for the lock on an open file, trying every `pause`. Closing the file releases it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)


@contextlib.contextmanager
def host_lock(
    seconds: float = HOST_LOCK_S, path: str = HOST_LOCK, also_after_rollback: bool = False
) -> t.Iterator[None]:
    """Modules and the agent change the kernel one after the other: each plans against what it has read."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if not taken(lock, seconds, 0.02):
            raise Held(f"another run has held {path} for {seconds:.0f} s; nothing was changed")
        if not also_after_rollback:
            refuse_after_rollback()
        yield
    finally:
        os.close(lock)


def refuse_after_rollback() -> None:
    if os.path.exists(ROLLED_BACK) and not os.path.exists(ARMED):
        raise Held(
            "the last change of this host was rolled back (routed-hypervisor status); arm another one by running "
            f"site.yml, or remove {ROLLED_BACK}; nothing was changed"
        )
