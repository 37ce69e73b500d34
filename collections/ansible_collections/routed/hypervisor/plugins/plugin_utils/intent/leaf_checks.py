# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks leaves: that the platform supports what the intent asks for, and has interfaces of these names."""

from __future__ import annotations

from collections import Counter

from . import nxos_checks
from .addresses import family_of, is_host
from .adjacency import shared
from .draft import FAMILIES, MAIN, Intent, Leaf
from .mistakes import Mistakes, listed, render
from .uniqueness import Once


def check(intent: Intent, mistakes: Mistakes, addresses: Once) -> None:
    for leaf in intent.leaves.values():
        for family, given in leaf.loopback.items():
            addresses.give(given.address, (*leaf.path, "loopback", family))
        _ports(leaf, mistakes)
        if leaf.platform == "bird":
            _bird(intent, leaf, mistakes)
        if leaf.platform == "nxos":
            nxos_checks.check(intent, leaf, mistakes)
        if leaf.platform != "bird":
            _loopback(intent, leaf, mistakes)
        _static(intent, leaf, mistakes)


def _ports(leaf: Leaf, mistakes: Mistakes) -> None:
    """Each interface is used once; names are compared as they are on Linux."""
    used = {uplink.interface: (*leaf.path, "fabrics", fabric) for fabric, uplink in leaf.uplinks.items()}
    for fabric, ports in leaf.ports.items():
        for position, port in enumerate(ports):
            path = (*leaf.path, "fabrics", fabric, "ports", position)
            first = used.setdefault(port if leaf.platform == "nxos" else port.replace("/", "-"), path)
            if first != path:
                mistakes.add(path, f"{port} is also given to {render(first)}", "a port is in one VLAN, or is routed")


def _bird(intent: Intent, leaf: Leaf, mistakes: Mistakes) -> None:
    path = (*leaf.path, "platform")
    # Otherwise hosts of one AS learn each other's routes directly or from reflectors.
    told = [other.name for other in intent.leaves.values() if other.asn == leaf.asn]
    hosts = Counter(node.asn for node in intent.hypervisors.values() if any(name in node.neighbors for name in told))
    twins = next((asn for asn, count in hosts.items() if count > 1 and asn != leaf.asn), None)
    if intent.ospf:
        mistakes.add(path, "OSPF is not supported with bird here", "frr or nxos, or no ospf")
    elif twins is not None:
        wrong = f"hosts share AS {twins}, and bird does not replace it in the AS path towards other hosts (as-override)"
        mistakes.add(path, wrong, "frr or nxos, or an AS for each host")


def _loopback(intent: Intent, leaf: Leaf, mistakes: Mistakes) -> None:
    """With several paths to other leaves, a session on one network would end with that network."""
    others = [other for other in intent.leaves.values() if other is not leaf and other.asn == leaf.asn]
    common = {way for other in others for way in shared(leaf, other)}
    for family in FAMILIES:
        ways = sorted({fabric for fabric, vrf, one in common if (vrf, one) == (MAIN, family)})
        if len(ways) > 1 and family not in leaf.loopback and leaf.path not in mistakes.touched:
            path = (*leaf.path, "loopback", family) if leaf.loopback else (*leaf.path, "loopback")
            wrong = f"missing, and there are several paths to other leaves ({', '.join(ways)})"
            mistakes.add(path, wrong, "an address of its own, so that sessions survive the loss of a path")


def _static(intent: Intent, leaf: Leaf, mistakes: Mistakes) -> None:
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
