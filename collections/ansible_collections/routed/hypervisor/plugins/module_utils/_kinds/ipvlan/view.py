# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observed ipvlan links, in all network namespaces. Private to this collection."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..._engine.change import Item
from ..._engine.kind import Have
from ..._engine.snapshot import Link, Snapshot, describe
from ..._netlink.codec import ADDRESS, address_text
from ..._netlink.kernel import FAMILIES, Kernel
from ..._netlink.marks import PROTOCOL
from ..._netlink.named_namespaces import OWN
from ..interface.kind import observe_address, wanted_hosts
from ..route.kind import prefix_of
from ..route.steps import MAIN, UNICAST

MODES = {"l2": 0, "l3": 1, "l3s": 2}
FLAGS = {"bridge": 0, "private": 1, "vepa": 2}
MODE_NAMES = {number: name for name, number in MODES.items()}
FLAG_NAMES = {number: name for name, number in FLAGS.items()}
LinkKey = tuple[str, str]  # namespace ("" is the host's own) and name


def label(where: str, name: str) -> str:
    return f"{name} in {where}" if where else name


def gather(snapshot: Snapshot, want: list[Item[LinkKey]]) -> Have[LinkKey]:
    """All ipvlan links on masters in this namespace, in whatever namespace they are, by (namespace, name)."""
    found: Have[LinkKey] = {}
    wanted = wanted_hosts(want)
    own = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for where in snapshot.spaces.all():
            kernel = snapshot.kernel_in(where)
            if kernel is not None:
                _gather_in(where, own, kernel, snapshot, found, wanted)
    finally:
        os.close(own)
    return found


def _gather_in(
    where: str,
    own: int,
    kernel: Kernel,
    snapshot: Snapshot,
    found: Have[LinkKey],
    wanted: dict[LinkKey, set[str]],
) -> None:
    links = _in_other(own, kernel, snapshot) if where else _in_own(snapshot)
    items = {link.index: _item(where, link, snapshot) for link in links}
    if not items:
        return
    for address in kernel.dump(ADDRESS) if where else snapshot.addresses:
        if address.index in items:
            link = items[address.index]
            observe_address(link, address, wanted.get(link.key, ()))
    for version in FAMILIES if where else ():
        for route in snapshot.routes_of_table(version, MAIN, where, proto=PROTOCOL):
            item = items.get(route.hops[0].link) if len(route.hops) == 1 else None
            if item and route.protocol == PROTOCOL and route.type == UNICAST and route.table == MAIN:
                prefix, gateway = prefix_of(route), route.hops[0].gateway
                item.attributes["routes"][prefix] = {"gateway": address_text(gateway) if gateway else None}
                item.marked["routes"].add(prefix)
    found.update((item.key, item) for item in items.values())


def _in_own(snapshot: Snapshot) -> list[Link]:
    return [link for link in snapshot.links.values() if link.kind == "ipvlan" and link.parent]


def _in_other(own: int, kernel: Kernel, snapshot: Snapshot) -> list[Link]:
    network = kernel.network
    found = network.links("ipvlan").values()
    number = network.number_of(own) if found else None
    described = (
        dataclasses.replace(describe(link, {}), parent=snapshot.names.get(link.peer))
        for link in found
        if link.peer_network is not None and link.peer_network == number
    )
    # The kernel's order is by index, which is meaningless to a reader.
    return sorted((link for link in described if link.parent), key=lambda link: link.name)


def _item(where: str, link: Link, snapshot: Snapshot) -> Item[LinkKey]:
    above = snapshot.links.get(link.master) if link.master and not where else None
    attributes: dict[str, t.Any] = {
        "master": None if link.half_made else link.parent,
        "mode": MODE_NAMES.get(link.data.get("IFLA_IPVLAN_MODE", -1)),
        "flag": FLAG_NAMES.get(link.data.get("IFLA_IPVLAN_FLAGS", 0)),
        "mtu": link.mtu,
        "vrf": above.name if above and above.kind == "vrf" else None,
        "state": "up" if link.up else "down",
        "addresses": {},
        "routes": {},
        "sysctls": {},
    }
    return Item(
        (where, link.name),
        label(where, link.name),
        attributes,
        owned=link.owned,
        marked={"addresses": set(), "routes": set()},
        hints={"master": link.parent, "protocols": {}, "families": link.families},
    )
