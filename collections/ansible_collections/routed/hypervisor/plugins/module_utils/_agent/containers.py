# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of containers on this host, and whose they are. Private to this collection."""

from __future__ import annotations

import dataclasses
import socket
import typing as t

from .._netlink.codec import ROUTE, address_text
from .._netlink.kernel import Kernel
from .._runtimes.owners import ask
from .._runtimes.slaves import survey
from .routing.model import LOCAL_PROTOCOL

LENGTHS = {socket.AF_INET: 32, socket.AF_INET6: 128}


@dataclasses.dataclass
class Status:
    containers: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)  # an entry for each address
    differences: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def lines(self) -> list[str]:
        return [_line(entry) for entry in self.containers]


def status(kernel: Kernel, network: dict[str, t.Any]) -> Status:
    """NETWORK is the stored one."""
    modes = {link["master"]: link["mode"] for link in network.get("ipvlan_links", ())}
    if not modes:
        return Status()
    found = survey()
    slaves = [(master, slave) for master in modes for slave in found.slaves.get(master, ()) if slave.where]
    ours = {address for _master, slave in slaves for address in slave.addresses}
    twice = {address: among for address, among in found.addresses.items() if len(among) > 1 and address in ours}
    intended = {space["name"] for space in network.get("namespaces", ())}
    owners = ask([*(slave for _master, slave in slaves), *(one for among in twice.values() for one in among)], intended)
    announced, made = _announced(kernel), Status(problems=owners.problems)
    for master, slave in slaves:
        owner, label = owners.of(slave), owners.label(slave)
        if slave.kind.startswith("ipv") and slave.mode != modes[master]:
            wrong = f"links on {master} are in mode {slave.mode}, not {modes[master]}"
            made.differences.append(f"{wrong}: {label}")
        for address in slave.addresses:
            entry = {"address": address, **owner._asdict(), "master": master, "announced": address in announced}
            made.containers.append({**entry, "has_process": not slave.is_left})
            if slave.is_left:
                made.differences.append(f"{address} is still that of a container without a process: {label}")
    for address, among in twice.items():
        labels = ", ".join(map(owners.label, among))
        made.differences.append(f"{address} is the address of several containers: {labels}")
    gone = sorted(announced - found.addresses.keys())
    made.differences += [f"{address} is announced, and no container has it" for address in gone]
    return made


def _announced(kernel: Kernel) -> set[str]:
    """The addresses to which the routing manager has written routes, which GoBGP announces."""
    return {
        address_text(route.destination)
        for family, length in LENGTHS.items()
        for route in kernel.network.dump(ROUTE, {"family": family, "proto": LOCAL_PROTOCOL})
        if route.protocol == LOCAL_PROTOCOL and route.length == length
    }


def _line(entry: dict[str, t.Any]) -> str:
    where = f" in {entry['network']}" if entry["network"] else ""
    announced = ", announced" if entry["announced"] else ""
    return f"{entry['address']} is {entry['container']} ({entry['runtime']}){where}, on {entry['master']}{announced}"
