# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses that the CNI plugin host-local has given out, as it records them. Private to this collection.

A directory for each network, with a file for each address: the container's id in the first line, its interface in the
second. A container whose namespace was removed without the plugin leaves its file behind, and its address is lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import ipaddress
import os
import shutil
import time
import typing as t

DEFAULT = "/var/lib/cni/networks"
# An address is recorded before it is configured.
NEW_S = 60.0


@dataclasses.dataclass(frozen=True)
class Lease:
    path: str
    address: str
    container: str

    @property
    def short(self) -> str:
        """The container's id as runtimes print it."""
        return self.container[:12]


def read(directory: str, network: str) -> list[Lease]:
    found = []
    place = os.path.join(directory, network)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(place)):
            with contextlib.suppress(ValueError, OSError):  # the lock, the last address; given back meanwhile
                address = str(ipaddress.ip_address(name))
                with open(os.path.join(place, name), encoding="utf-8", errors="replace") as file:
                    lines = file.read().splitlines()
                found.append(Lease(os.path.join(place, name), address, lines[0].strip() if lines else "unknown"))
    return found


def is_new(lease: Lease) -> bool:
    try:
        return time.time() - os.stat(lease.path).st_mtime < NEW_S
    except FileNotFoundError:
        return False


def named(leases: t.Iterable[Lease]) -> str:
    """The containers, each with its addresses."""
    containers: dict[str, list[str]] = {}
    for lease in leases:
        containers.setdefault(lease.short, []).append(lease.address)
    return ", ".join(f"{name} ({', '.join(addresses)})" for name, addresses in containers.items())


def release(leases: t.Iterable[Lease]) -> None:
    """Gives addresses back, each if its file still names the container."""
    for lease in leases:
        directory = os.path.dirname(lease.path)
        with _locked(directory):
            if lease in read(*os.path.split(directory)):
                os.unlink(lease.path)


@contextlib.contextmanager
def _locked(directory: str) -> t.Iterator[None]:
    """The plugin's own lock."""
    lock = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def forget(directory: str, network: str) -> None:
    """Removes the records of a network without containers."""
    shutil.rmtree(os.path.join(directory, network), ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(directory)
