# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection by which this run came: the TCP connection of an SSH server among the ancestors of this process.

sudo does not pass on SSH_CONNECTION, but sshd stays an ancestor of what it starts and holds the socket. Private to this
collection.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import sys
import typing as t

ESTABLISHED, LISTENING = "01", "0A"  # enum in net/tcp_states.h


@dataclasses.dataclass(frozen=True)
class Connection:
    local: str
    peer: str
    port: int = dataclasses.field(default=0, compare=False)  # the peer's: another one for each connection


def of_this_process(proc: str = "/proc") -> Connection | None:
    """None if no ancestor has a connection, as for a local run, or if its sockets cannot be read without root."""
    own = _namespace(f"{proc}/self")
    for pid in _ancestors(proc, os.getpid()):
        if _namespace(f"{proc}/{pid}") != own:
            return None  # the connection ends in another network namespace, which this run does not change
        inodes = _sockets(f"{proc}/{pid}")
        for connection in _accepted(proc, inodes) if inodes else ():
            return connection
    return None


def _namespace(process: str) -> str | None:
    try:
        return os.readlink(f"{process}/ns/net")
    except OSError:
        return None


def _ancestors(proc: str, pid: int) -> t.Iterator[int]:
    while pid > 1:
        try:
            with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            return
        if pid > 0:
            yield pid


def _sockets(process: str) -> set[str]:
    try:
        names = os.listdir(f"{process}/fd")
    except OSError:
        return set()
    found = set()
    for name in names:
        try:
            target = os.readlink(f"{process}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def _accepted(proc: str, inodes: set[str]) -> t.Iterator[Connection]:
    """Established connections to a port that this host listens on, by sockets with one of these inodes."""
    entries = [fields for name in ("tcp", "tcp6") for fields in _entries(f"{proc}/self/net/{name}")]
    listening = {_port(fields[1]) for fields in entries if fields[3] == LISTENING}
    for fields in entries:
        if fields[3] == ESTABLISHED and fields[9] in inodes and _port(fields[1]) in listening:
            yield Connection(_address(fields[1]), _address(fields[2]), int(_port(fields[2]), 16))


def _entries(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="ascii") as file:
            return [line.split() for line in file.read().splitlines()[1:]]
    except OSError:
        return []


def _port(text: str) -> str:
    return text.rpartition(":")[2]


def _address(text: str) -> str:
    """From what the kernel prints: 32-bit words in host byte order, and a port."""
    digits = text.partition(":")[0]
    words = [int(digits[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(digits), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return str(getattr(address, "ipv4_mapped", None) or address)
