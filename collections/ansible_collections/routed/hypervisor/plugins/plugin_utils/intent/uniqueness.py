# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks uniqueness: of tables, VLANs, ids, prefixes and addresses. Names have name_checks.py.

All checks use dictionaries or one sorted pass, so the cost is not quadratic in the size of the intent.
"""

from __future__ import annotations

import typing as t

from ..libraries import netaddr
from .draft import MAIN, MAIN_TABLE, Hypervisor, Intent, Vrf
from .mistakes import Mistakes, Path, render

if t.TYPE_CHECKING:
    from netaddr import IPNetwork

    Used = tuple[IPNetwork, Path, str | None]  # a prefix, where it is given, and its VRF


class Once:
    """Values that may be given once; a duplicate is a mistake that names the first."""

    def __init__(self, mistakes: Mistakes, what: str, right: str = ""):
        self.mistakes, self.what, self.right = mistakes, what, right
        self.first: dict[t.Hashable, Path] = {}

    def give(self, value: t.Hashable, path: Path) -> bool:
        """Whether VALUE is new; None always is."""
        if value is None or self.first.setdefault(value, path) == path:
            return True
        self.mistakes.add(path, f"{self.what}{value} is also given to {render(self.first[value])}", self.right)
        return False


def check_numbers(intent: Intent, mistakes: Mistakes) -> None:
    tables = Once(mistakes, "table ", "each VRF needs a table of its own")
    vlans = Once(mistakes, "VLAN ", "each VRF needs a VLAN of its own")
    for vrf in intent.vrfs.values():
        path = ("vrfs", vrf.name)
        if vrf.name == MAIN:
            check_main(vrf, mistakes)
        elif vrf.table is None and path not in mistakes.touched:
            mistakes.add((*path, "table"), "missing", "the number of its kernel routing table; each VRF needs its own")
        tables.give(vrf.table, (*path, "table"))
        vlans.give(vrf.vlan, ("vrfs", vrf.name, "vlan"))
    for fabric in intent.fabrics.values():
        untagged = [
            name
            for name in fabric.networks
            if name in intent.vrfs and intent.vrfs[name].vlan is None and ("vrfs", name) not in mistakes.touched
        ]
        for name in untagged[1:]:
            wrong = f"neither {untagged[0]} nor {name} has a VLAN"
            mistakes.add(("fabrics", fabric.name, "networks", name), wrong, "only one VRF of a fabric can be untagged")
    ids = Once(mistakes, "id ", "addresses follow from it: each hypervisor needs its own")
    for hypervisor in intent.hypervisors.values():
        if not ids.give(hypervisor.id, (*hypervisor.path, "id")):
            _forget_derived(hypervisor)


def check_main(vrf: Vrf, mistakes: Mistakes) -> None:
    if vrf.table not in (None, MAIN_TABLE):
        mistakes.add(("vrfs", MAIN, "table"), f"{vrf.table} is not the main table", f"leave it out; it is {MAIN_TABLE}")
    if vrf.host:
        mistakes.add(("vrfs", MAIN, "host"), "the hypervisors themselves use the main table anyway", "leave it out")


def _forget_derived(hypervisor: Hypervisor) -> None:
    """Its addresses would all be duplicates, too, as a consequence."""
    for places in (hypervisor.loopbacks, *(uplink.given for uplink in hypervisor.uplinks.values())):
        for given in places.values():
            for family in [family for family, item in given.items() if item.derived]:
                del given[family]


def check_router_ids(intent: Intent, mistakes: Mistakes) -> None:
    routers = intent.routers
    router_ids = Once(mistakes, "router id ", "each router needs its own")
    for node in routers:
        router_ids.give(node.router_id, (*node.path, "router_id"))
    for node in routers:
        given = router_ids.first.get(node.bgp_id)
        if node.router_id is None and given is not None:
            wrong = f"{node.bgp_id} is {node.name}'s router id, as an address of its own"
            mistakes.add(given, wrong, router_ids.right)


def check_prefixes(intent: Intent, mistakes: Mistakes) -> None:
    """No two prefixes overlap: guests' routes are in the main table too, which is a single address space."""
    prefixes: list[Used] = []
    for fabric in intent.fabrics.values():
        for network in fabric.networks.values():
            prefixes += [
                (prefix, ("fabrics", fabric.name, "networks", network.vrf, family), network.vrf)
                for family, prefix in network.prefix.items()
            ]
    for loopback in intent.loopbacks.values():
        prefixes += [
            (prefix, ("loopbacks", loopback.vrf, family), loopback.vrf) for family, prefix in loopback.prefix.items()
        ]
    for segment in intent.segments.values():
        prefixes += [
            (prefix, ("segments", segment.name, family), segment.vrf) for family, prefix in segment.prefix.items()
        ]
    for containers in intent.container_networks.values():
        prefixes += [
            (prefix, ("container_networks", containers.name, family), containers.vrf)
            for family, prefix in containers.prefix.items()
        ]
    for hypervisor in intent.hypervisors.values():
        for part in hypervisor.parts.values():
            if part.prefix_owner == "host" and part.network in intent.container_networks:
                vrf = intent.container_networks[part.network].vrf
                prefixes += [(prefix, (*part.path, family), vrf) for family, prefix in part.prefix.items()]
    order = {path: position for position, (_prefix, path, _vrf) in enumerate(prefixes)}

    def report(one: Used, other: Used) -> None:
        first, later = (one, other) if order[one[1]] < order[other[1]] else (other, one)
        if later[1] not in mistakes:
            wrong = f"{later[0]} overlaps {render(first[1])} ({first[0]})"
            mistakes.add(later[1], wrong, "choose a prefix that nothing else uses")

    each_overlap(prefixes, report)
    hosts: list[Used] = [
        (prefix, ("vrfs", vrf.name, "host", position), vrf.name)
        for vrf in intent.vrfs.values()
        for position, prefix in enumerate(vrf.host)
        if prefix is not None
    ]
    order.update({path: len(order) + position for position, (_prefix, path, _vrf) in enumerate(hosts)})
    each_overlap(hosts, report)

    def report_foreign(one: Used, other: Used) -> None:
        host, prefix = (one, other) if one[1][0] == "vrfs" else (other, one)
        if host[1][0] == "vrfs" and prefix[1][0] != "vrfs" and host[2] != prefix[2] and prefix[2] is not None:
            right = f"only prefixes of {host[2]} can be reached through it"
            mistakes.add(
                host[1], f"{host[0]} overlaps {render(prefix[1])} ({prefix[0]}), which is in {prefix[2]}", right
            )

    each_overlap([*prefixes, *hosts], report_foreign)
    _leaf_loopbacks(intent, mistakes, prefixes)


def _leaf_loopbacks(intent: Intent, mistakes: Mistakes, prefixes: list[Used]) -> None:
    """Leaves' loopbacks are outside all networks, but may be in the prefixes of hypervisors' loopbacks."""
    networks = [item for item in prefixes if item[1][0] != "loopbacks"]
    given = {
        one.address: (netaddr.IPNetwork(one.address), (*leaf.path, "loopback", family), MAIN)
        for leaf in intent.leaves.values()
        for family, one in leaf.loopback.items()
    }

    def report(one: Used, other: Used) -> None:
        (leaf, network) = (one, other) if one[1][0] == "leaves" else (other, one)
        if network[1][0] != "leaves" and leaf[1][0] == "leaves":
            wrong = f"{leaf[0].ip} is in {render(network[1])} ({network[0]})"
            mistakes.add(leaf[1], wrong, "an address outside all networks")

    each_overlap([*networks, *given.values()], report)


def each_overlap(prefixes: list[Used], report: t.Callable[[Used, Used], None]) -> None:
    """Calls REPORT with each prefix and those that contain it; sorting leaves only these to compare.

    Of equal prefixes in one section, only the first is compared with others, so that few contain a prefix.
    """
    enclosing: list[Used] = []
    for item in sorted(prefixes, key=lambda item: (item[0].version, item[0].first, -item[0].last)):
        while enclosing and (enclosing[-1][0].version != item[0].version or enclosing[-1][0].last < item[0].first):
            enclosing.pop()
        for outer in enclosing:
            report(outer, item)
        if not any(outer[0] == item[0] and outer[1][0] == item[1][0] for outer in reversed(enclosing)):
            enclosing.append(item)
