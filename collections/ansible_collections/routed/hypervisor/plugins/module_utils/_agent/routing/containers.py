# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses inside the containers of this host, read once and then kept up to date by notifications. Private to
this collection.

Containers are network namespaces that are mounted below one of the directories, such as /run/netns. The kernel signals
changes of the list of mounts. Each namespace is given a number (nsid), by which the kernel answers requests for it and
sends its notifications, all on one socket: no process enters a namespace.
"""

from __future__ import annotations

import dataclasses
import os
import re
import select
import threading
import typing as t

from ..._netlink import codec
from ..._netlink.codec import ADDRESS, LINK, NSID, RTEXT_FILTER_SKIP_STATS
from ..._netlink.sockets import Network
from .host import Link

MOUNTS = "/proc/self/mountinfo"
NAMESPACE = re.compile(r"^\S+ \S+ \S+ net:\[(\d+)\] (\S+) ", re.MULTILINE)


@dataclasses.dataclass
class Container:
    """One namespace. `name` is the file that it is mounted on."""

    name: str
    inode: int
    links: dict[int, Link] = dataclasses.field(default_factory=dict)
    addresses: set[tuple[int, bytes]] = dataclasses.field(default_factory=set)

    def reachable(self) -> t.Iterator[bytes]:
        """Addresses on links that are up."""
        for index, address in self.addresses:
            link = self.links.get(index)
            if link and link.up and not link.loopback:
                yield address

    def take_link(self, present: bool, found: codec.Link) -> bool:
        before = self.links.pop(found.index, None)
        if present:
            self.links[found.index] = Link.of(found)
        return before != self.links.get(found.index)

    def take_address(self, present: bool, found: codec.Address) -> bool:
        entry = (found.index, found.address)
        if not found.address or (entry in self.addresses) is present:
            return False
        (self.addresses.add if present else self.addresses.discard)(entry)
        return True


def mounted(directories: t.Collection[str], text: str) -> dict[int, str]:
    """Inode and path of each namespace that is mounted directly below one of the directories, from mountinfo."""
    found: dict[int, str] = {}
    for inode, path in NAMESPACE.findall(text):
        if "\\" in path:  # mountinfo writes blanks as \040
            path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)  # noqa: PLW2901
        if os.path.dirname(path) in directories:
            found.setdefault(int(inode), path)
    return found


class Containers:
    def __init__(self, network: Network, directories: t.Collection[str]) -> None:
        self.network, self.directories = network, directories
        self.by_number: dict[int, Container] = {}
        self.own = os.stat("/proc/self/ns/net").st_ino

    def scan(self, everything: bool = False) -> bool:
        """Lists the namespaces and reads the new ones, or all. Returns whether anything changed."""
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            present = mounted(self.directories, file.read())
        present.pop(self.own, None)
        known = {} if everything else {entry.inode: number for number, entry in self.by_number.items()}
        before = self.by_number
        self.by_number = {number: before[number] for inode, number in known.items() if inode in present}
        changed = everything or len(self.by_number) != len(before)
        for inode, path in present.items():
            if inode not in known:
                try:
                    number = self._number_of(path)
                    self.by_number[number] = self._read(number, path, inode)
                    changed = True
                except OSError:  # it no longer exists: its removal will be notified, too
                    continue
        return changed

    def _number_of(self, path: str) -> int:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return t.cast(int, self.network.number_of(file, assign=True))
        finally:
            os.close(file)

    def _read(self, number: int, path: str, inode: int) -> Container:
        container = Container(path, inode)
        inside = [("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS), ("IFLA_TARGET_NETNSID", number)]
        for link in self.network.dump(LINK, {}, inside):
            container.take_link(True, link)
        for address in self.network.dump(ADDRESS, {}, [("IFA_TARGET_NETNSID", number)]):
            container.take_address(True, address)
        return container

    def takes(self, number: int | None, kind: int, body: bytes) -> bool:
        """Handles a notification; returns whether anything changed."""
        if kind == NSID + 1:
            gone = codec.parse_nsid(body)
            return gone is not None and self.by_number.pop(gone, None) is not None
        container = self.by_number.get(number) if number is not None else None
        if container is None:
            return False
        if kind in (LINK, LINK + 1):
            found = codec.parse_link(body)
            return not found.family and container.take_link(kind == LINK, found)  # else a bridge reports about its port
        return kind in (ADDRESS, ADDRESS + 1) and container.take_address(kind == ADDRESS, codec.parse_address(body))

    def addresses(self) -> dict[bytes, list[str]]:
        """Each reachable address, and the containers that have it (more than one is a mistake)."""
        found: dict[bytes, list[str]] = {}
        for container in self.by_number.values():
            for address in set(container.reachable()):
                found.setdefault(address, []).append(container.name)
        return found


def watch_mounts(changed: t.Callable[[], object]) -> None:
    """Calls `changed`, from a thread of its own, whenever a file system is mounted or unmounted.

    A thread, because mountinfo is always readable: a change is signalled by POLLPRI, which event loops do not support.
    """

    def wait() -> None:
        with open(MOUNTS, encoding="ascii", errors="replace") as file:
            poll = select.poll()
            poll.register(file, select.POLLPRI)
            while True:
                poll.poll()
                changed()

    threading.Thread(target=wait, name="mounts", daemon=True).start()
