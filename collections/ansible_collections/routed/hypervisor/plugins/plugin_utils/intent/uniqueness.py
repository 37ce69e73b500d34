# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks uniqueness: of tables, VLANs, ids, names of nodes and interfaces, prefixes and addresses.

All checks use dictionaries or one sorted pass, so the cost is not quadratic in the size of the intent.
"""

from __future__ import annotations

import typing as t

from ..libraries import netaddr
from .draft import MAIN, MAIN_TABLE, Hypervisor, Intent, Part, Router, Vrf, switch_name
from .formats import INTERFACE_LENGTH
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


def check_nodes(intent: Intent, mistakes: Mistakes) -> None:
    """Node names across kinds: all are hosts of one inventory, and ports are named after them."""
    nodes = Once(mistakes, "the name ", "each node needs a name of its own")
    routers = intent.routers
    if intent.lab:
        for fabric in intent.fabrics:
            nodes.first[switch_name(fabric)] = ("fabrics", fabric)
    for node in routers:
        nodes.give(node.name, node.path)
    for hypervisor in intent.hypervisors.values():
        for guest in hypervisor.guests:
            nodes.give(guest.name, guest.path)
        for part in hypervisor.parts.values():
            for container in part.containers:
                nodes.give(container.name, container.path)
    router_ids = Once(mistakes, "router id ", "each router needs its own")
    for node in routers:
        router_ids.give(node.router_id, (*node.path, "router_id"))
    for node in routers:
        given = router_ids.first.get(node.bgp_id)
        if node.router_id is None and given is not None:
            wrong = f"{node.bgp_id} is {node.name}'s router id, as an address of its own"
            mistakes.add(given, wrong, router_ids.right)


def check_interfaces(intent: Intent, mistakes: Mistakes) -> None:
    """Interface names on each router: unique, and not too long for the kernel."""
    for fabric in intent.fabrics.values():
        uplink_path = ("fabrics", fabric.name, "interface")
        if uplink_path in mistakes:
            continue
        for vrf in fabric.networks:
            if vrf in intent.vrfs and not _fits(
                intent, mistakes, fabric.interface, vrf, uplink_path, f"fabric {fabric.name}"
            ):
                break
    for border in intent.borders.values():
        names = Once(mistakes, "the interface name ")
        names.first["world"] = (*border.path, "world")
        _uplinks(intent, mistakes, border, names, [border.vrf] if border.vrf else [])
    for node in (*intent.reflectors.values(), *intent.leaves.values(), *intent.hypervisors.values()):
        names = Once(mistakes, "the interface name ", "each interface of a node needs its own")
        names.first.update({vrf.device: ("vrfs", vrf.name) for vrf in intent.vrfs.values() if vrf.device})
        for loopback in intent.loopbacks.values() if node.path[0] == "hypervisors" else ():
            names.give(loopback.interface, ("loopbacks", loopback.vrf, "interface"))
        _uplinks(intent, mistakes, node, names, list(intent.vrfs))
        for part in getattr(node, "parts", {}).values():
            for name in interfaces_of(part):
                names.give(name, part.path)
        for guest in getattr(node, "guests", ()):
            path = (*guest.path, "port") if guest.port != guest.name else guest.path
            names.give(guest.port, path)


def interfaces_of(part: Part) -> list[str]:
    """The interfaces that a part of a container network adds to the host."""
    own_dummy = [part.network] if part.is_on_dummy else []
    return own_dummy + ([part.host_link] if part.has_host_link else [])


def _uplinks(intent: Intent, mistakes: Mistakes, node: Router, names: Once, vrfs: list[str]) -> None:
    for fabric, uplink in node.uplinks.items():
        default = intent.fabrics.get(fabric)
        own = default is None or uplink.interface != default.interface
        path = (
            (*node.path, "interface") if node.path[0] == "reflectors" else (*node.path, "fabrics", fabric, "interface")
        )
        path = path if own else ("fabrics", fabric, "interface")
        names.give(uplink.interface, path)
        for vrf in vrfs:
            if vrf in intent.vrfs and intent.vrfs[vrf].vlan and default and vrf in default.networks:
                if own and not _fits(intent, mistakes, uplink.interface, vrf, path, node.name):
                    break
                names.first.setdefault(f"{uplink.interface}.{intent.vrfs[vrf].vlan}", path)


def _fits(intent: Intent, mistakes: Mistakes, interface: str, vrf: str, path: Path, where: str) -> bool:
    derived = f"{interface}.{intent.vrfs[vrf].vlan}" if intent.vrfs[vrf].vlan else interface
    if len(derived) <= INTERFACE_LENGTH:
        return True
    shorter = INTERFACE_LENGTH - len(derived) + len(interface)
    mistakes.add(
        path,
        f"{derived}, the VLAN interface of {vrf} on {where}, has {len(derived)} characters",
        f"interfaces have up to {INTERFACE_LENGTH}: choose an interface name of up to {shorter}",
    )
    return False


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
        (first, later) = sorted((one, other), key=lambda item: order[item[1]])
        mistakes.add(
            later[1], f"{later[0]} overlaps {render(first[1])} ({first[0]})", "choose a prefix that nothing else uses"
        )

    _each_overlap(prefixes, report)
    hosts: list[Used] = [
        (prefix, ("vrfs", vrf.name, "host", position), vrf.name)
        for vrf in intent.vrfs.values()
        for position, prefix in enumerate(vrf.host)
        if prefix is not None
    ]
    order.update({path: len(order) + position for position, (_prefix, path, _vrf) in enumerate(hosts)})
    _each_overlap(hosts, report)

    def report_foreign(one: Used, other: Used) -> None:
        host, prefix = (one, other) if one[1][0] == "vrfs" else (other, one)
        if host[1][0] == "vrfs" and prefix[1][0] != "vrfs" and host[2] != prefix[2] and prefix[2] is not None:
            right = f"only prefixes of {host[2]} can be reached through it"
            mistakes.add(
                host[1], f"{host[0]} overlaps {render(prefix[1])} ({prefix[0]}), which is in {prefix[2]}", right
            )

    _each_overlap([*prefixes, *hosts], report_foreign)
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

    _each_overlap([*networks, *given.values()], report)


def _each_overlap(prefixes: list[Used], report: t.Callable[[Used, Used], None]) -> None:
    """Calls REPORT with each prefix and those that contain it; sorting leaves only these to compare."""
    enclosing: list[Used] = []
    for item in sorted(prefixes, key=lambda item: (item[0].version, item[0].first, -item[0].last)):
        while enclosing and (enclosing[-1][0].version != item[0].version or enclosing[-1][0].last < item[0].first):
            enclosing.pop()
        for outer in enclosing:
            report(outer, item)
        enclosing.append(item)
