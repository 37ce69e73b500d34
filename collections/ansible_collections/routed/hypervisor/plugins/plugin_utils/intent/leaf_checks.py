# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks leaves: that the platform supports what the intent asks for, and has interfaces of these names."""

from __future__ import annotations

import typing as t
from collections import Counter

from . import nxos_checks
from .addresses import family_of, is_host
from .draft import FAMILIES, MAIN, Intent, Leaf
from .mistakes import Mistakes, Path, listed, render
from .uniqueness import Once

if t.TYPE_CHECKING:
    from netaddr import IPNetwork


def check(intent: Intent, mistakes: Mistakes, addresses: Once) -> None:
    crowd = _crowd(intent)
    twins = _twins(intent)
    tenants = _tenants(intent)
    for leaf in intent.leaves.values():
        for family, given in leaf.loopback.items():
            addresses.give(given.address, (*leaf.path, "loopback", family))
        _ports(leaf, mistakes)
        if leaf.platform == "bird":
            _bird(intent, leaf, twins[leaf.asn], mistakes)
        if leaf.platform == "nxos":
            nxos_checks.check(intent, leaf, mistakes)
        if leaf.platform != "bird":
            _loopback(leaf, crowd, mistakes)
        _static(intent, leaf, tenants, mistakes)


def _ports(leaf: Leaf, mistakes: Mistakes) -> None:
    """Each interface is used once; names are compared as they are on Linux."""
    used = {uplink.interface: (*leaf.path, "fabrics", fabric) for fabric, uplink in leaf.uplinks.items()}
    for fabric, ports in leaf.ports.items():
        for position, port in enumerate(ports):
            path = (*leaf.path, "fabrics", fabric, "ports", position)
            first = used.setdefault(port if leaf.platform == "nxos" else port.replace("/", "-"), path)
            if first != path:
                mistakes.add(path, f"{port} is also given to {render(first)}", "a port is in one VLAN, or is routed")


def _twins(intent: Intent) -> dict[int | None, list[int | None]]:
    """By AS of a leaf: the AS numbers that several hosts have which name a leaf of that AS as a neighbor."""
    hosts: dict[int | None, Counter[int | None]] = {leaf.asn: Counter() for leaf in intent.leaves.values()}
    for node in intent.hypervisors.values():
        for asn in {intent.leaves[name].asn for name in node.neighbors if name in intent.leaves}:
            hosts[asn][node.asn] += 1
    return {asn: [own for own, count in counts.items() if count > 1] for asn, counts in hosts.items()}


def _bird(intent: Intent, leaf: Leaf, twins: list[int | None], mistakes: Mistakes) -> None:
    path = (*leaf.path, "platform")
    # Hosts of the leaf's AS learn each other's routes directly or from reflectors.
    twin = next((asn for asn in twins if asn != leaf.asn), None)
    if intent.ospf:
        mistakes.add(path, "OSPF is not supported with bird here", "frr or nxos, or no ospf")
    elif twin is not None:
        wrong = f"hosts share AS {twin}, and bird does not replace it in the AS path towards other hosts (as-override)"
        mistakes.add(path, wrong, "frr or nxos, or an AS for each host")


def _crowd(intent: Intent) -> Counter[tuple[int | None, str, str]]:
    """How many leaves of an AS are on a fabric in the main table, by family."""
    return Counter((leaf.asn, *way) for leaf in intent.leaves.values() for way in _ways(leaf))


def _ways(leaf: Leaf) -> list[tuple[str, str]]:
    return [(fabric, family) for fabric, uplink in leaf.uplinks.items() for family in uplink.given.get(MAIN, {})]


def _loopback(leaf: Leaf, crowd: Counter[tuple[int | None, str, str]], mistakes: Mistakes) -> None:
    """With several paths to other leaves, a session on one network would end with that network."""
    for family in FAMILIES:
        ways = sorted(fabric for fabric, one in _ways(leaf) if one == family and crowd[leaf.asn, fabric, one] > 1)
        if len(ways) > 1 and family not in leaf.loopback and leaf.path not in mistakes.touched:
            path = (*leaf.path, "loopback", family) if leaf.loopback else (*leaf.path, "loopback")
            wrong = f"missing, and there are several paths to other leaves ({', '.join(ways)})"
            mistakes.add(path, wrong, "an address of its own, so that sessions survive the loss of a path")


def _tenants(intent: Intent) -> dict[IPNetwork, Path]:
    """The prefixes of guests and containers, which hypervisors announce."""
    made: dict[IPNetwork, Path] = {}
    for segment in intent.segments.values():
        made.update({prefix: ("segments", segment.name, family) for family, prefix in segment.prefix.items()})
    for node in intent.hypervisors.values():
        for part in node.parts.values():
            if part.prefix_owner != "fabric":
                place = part.path if part.prefix_owner == "host" else ("container_networks", part.network)
                made.update({prefix: (*place, family) for family, prefix in part.prefix.items()})
    return made


def _static(intent: Intent, leaf: Leaf, tenants: dict[IPNetwork, Path], mistakes: Mistakes) -> None:
    """A next hop must be on a network of the leaf: every daemon accepts others, but the route never works."""
    for route in leaf.static:
        if leaf.path in mistakes.touched or ("fabrics",) in mistakes.touched or route.vrf not in intent.vrfs:
            continue
        family = family_of(route.prefix)
        networks = [
            intent.fabrics[fabric].networks[route.vrf].prefix[family]
            for fabric, uplink in leaf.uplinks.items()
            if uplink.address(route.vrf, family) is not None
        ]
        if family_of(route.next_hop) != family:
            mistakes.add(
                route.path, f"{route.next_hop} is of another family", f"an {family.replace('ip', 'IP')} address"
            )
        elif route.next_hop in leaf.addresses:
            mistakes.add(route.path, f"{route.next_hop} is {leaf.name}'s own", "the address of another router")
        elif not any(route.next_hop in network for network in networks):
            wrong = f"{route.next_hop} is on no network of {leaf.name} in {route.vrf}"
            mistakes.add(route.path, wrong, f"an address in {listed(map(str, networks))}")
        elif not any(is_host(route.next_hop, network) for network in networks):
            wrong = f"{route.next_hop} is the network or broadcast address of a network of {leaf.name}"
            mistakes.add(route.path, wrong, f"a host in {listed(map(str, networks))}")
        elif route.prefix in networks:
            mistakes.add(route.path, f"{leaf.name} is on this network itself", "remove it")
        elif route.prefix in tenants:
            wrong = f"{render(tenants[route.prefix])} is the same prefix, which hypervisors announce"
            mistakes.add(route.path, wrong, "remove it, or choose another prefix")
