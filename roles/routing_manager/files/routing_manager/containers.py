# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses inside the containers of this host, kept up to date without ever asking twice.

Containers are network namespaces that are mounted below one of the directories, such as /run/netns. The list of mounts
says which there are, and the kernel tells when it changes. Each namespace is given a number (nsid), under which the
kernel answers questions about it and tells changes inside it, all on one socket: no process enters a namespace.
"""

from __future__ import annotations

import dataclasses
import os
import re
import select
import threading
import typing as t

from . import netlink
from .kernel import NO_STATISTICS, Link, parse_address, parse_link

MOUNTS = "/proc/self/mountinfo"
NAMESPACE = re.compile(r"^\S+ \S+ \S+ net:\[(\d+)\] (\S+) ", re.MULTILINE)
ADDRESS_NAMESPACE, LINK_NAMESPACE = 10, 46  # IFA_TARGET_NETNSID, IFLA_TARGET_NETNSID


@dataclasses.dataclass
class Container:
    """One namespace. `name` is the file that it is mounted on."""

    name: str
    inode: int
    links: dict[int, Link] = dataclasses.field(default_factory=dict)
    addresses: set[tuple[int, bytes]] = dataclasses.field(default_factory=set)

    def living(self) -> t.Iterator[bytes]:
        """Addresses on links that are up."""
        for index, address in self.addresses:
            link = self.links.get(index)
            if link and link.up and not link.loopback:
                yield address

    def take_link(self, there: bool, body: memoryview) -> bool:
        index, link = parse_link(body)
        before = self.links.pop(index, None)
        if there:
            self.links[index] = link
        return before != self.links.get(index)

    def take_address(self, there: bool, body: memoryview) -> bool:
        entry = parse_address(body)
        if entry is None or (entry in self.addresses) is there:
            return False
        (self.addresses.add if there else self.addresses.discard)(entry)
        return True


def mounted(directories: t.Collection[str], text: str) -> dict[int, str]:
    """Inode and path of each namespace that the text of mountinfo has directly below one of the directories."""
    found = {}
    for inode, path in NAMESPACE.findall(text):
        if "\\" in path:  # mountinfo writes blanks as \040
            path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)  # noqa: PLW2901
        if os.path.dirname(path) in directories:
            found.setdefault(int(inode), path)
    return found


class Containers:
    def __init__(self, requests: netlink.Requests, directories: t.Collection[str]) -> None:
        self.requests, self.directories = requests, directories
        self.by_number: dict[int, Container] = {}
        self.own = os.stat("/proc/self/ns/net").st_ino

    def scan(self, everything: bool = False) -> bool:
        """Looks which namespaces there are; reads those that are new, or all. Whether there was news."""
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            there = mounted(self.directories, file.read())
        there.pop(self.own, None)
        known = {} if everything else {entry.inode: number for number, entry in self.by_number.items()}
        before = self.by_number
        self.by_number = {number: before[number] for inode, number in known.items() if inode in there}
        news = everything or len(self.by_number) != len(before)
        for inode, path in there.items():
            if inode not in known:
                try:
                    number = self.requests.namespace_id(path)
                    self.by_number[number] = self._read(number, path, inode)
                    news = True
                except OSError:  # gone again: its end will be told, too
                    continue
        return news

    def _read(self, number: int, path: str, inode: int) -> Container:
        links = self.requests.ask(
            netlink.LINK + 2, bytes(16) + NO_STATISTICS + netlink.number_slot(LINK_NAMESPACE, number), netlink.DUMP
        )
        addresses = self.requests.ask(
            netlink.ADDRESS + 2, bytes(8) + netlink.number_slot(ADDRESS_NAMESPACE, number), netlink.DUMP
        )
        found = (parse_address(body) for body in addresses)
        return Container(path, inode, dict(map(parse_link, links)), {entry for entry in found if entry})

    def heed(self, number: int | None, message: netlink.Message) -> bool:
        """Takes in a notification. Whether it was news."""
        kind, _flags, _sequence, body = message
        if kind == netlink.NSID + 1:
            gone = int.from_bytes(netlink.slots(body, 4)[1], "little", signed=True)
            return self.by_number.pop(gone, None) is not None
        container = self.by_number.get(number) if number is not None else None
        if container is None:
            return False
        if kind in (netlink.LINK, netlink.LINK + 1):
            return not body[0] and container.take_link(kind == netlink.LINK, body)  # not a bridge's word about its port
        return kind in (netlink.ADDRESS, netlink.ADDRESS + 1) and container.take_address(kind == netlink.ADDRESS, body)

    def addresses(self) -> dict[bytes, list[str]]:
        """Each living address, and the containers that have it (one, if all is well)."""
        found: dict[bytes, list[str]] = {}
        for container in self.by_number.values():
            for address in set(container.living()):
                found.setdefault(address, []).append(container.name)
        return found


def watch_mounts(changed: t.Callable[[], None]) -> None:
    """Calls `changed`, from a thread of its own, whenever a file system is mounted or unmounted.

    A thread, because mountinfo always looks readable: what tells a change is POLLPRI, for which no event loop waits.
    """

    def wait() -> None:
        with open(MOUNTS, encoding="ascii", errors="replace") as file:
            poll = select.poll()
            poll.register(file, select.POLLPRI)
            while True:
                poll.poll()
                changed()

    threading.Thread(target=wait, name="mounts", daemon=True).start()
