# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks which routers peer in BGP, and that their daemons support it."""

from __future__ import annotations

import typing as t

from .addresses import family_of, hosts_of, is_host
from .adjacency import mesh, named, names, place, remote, shared
from .draft import Hypervisor, Intent, Leaf, Neighbor, Router
from .mistakes import Mistakes, listed, render
from .placement import Placement
from .uniqueness import Once

if t.TYPE_CHECKING:
    from netaddr import IPAddress


def check(intent: Intent, mistakes: Mistakes, placed: Placement) -> None:
    owners = {address: router for router in intent.routers for address in router.addresses}
    for node in intent.hypervisors.values():
        _neighbors(intent, node, owners, placed, mistakes)
        if intent.uses_reflectors and node.asn != intent.asn:
            wrong = f"{node.asn} is not bgp.as, and reflectors serve one autonomous system"
            mistakes.add((*node.path, "as"), wrong, "remove it, or choose another bgp.peering")
        _hidden_by_ibgp(intent, node, mistakes)
    members = mesh(intent)
    for position, member in enumerate(members):
        for other in members[position + 1 :]:
            _routed(intent, member, other, mistakes)


def _neighbors(intent: Intent, node: Hypervisor, owners: dict, placed: Placement, mistakes: Mistakes) -> None:
    if node.neighbors and intent.peering != "configured":
        right = "remove them, or set bgp.peering: configured"
        mistakes.add((*node.path, "neighbors"), f"bgp.peering is {intent.peering}", right)
        return
    addresses = Once(mistakes, "", "one session with each neighbor")
    for neighbor in node.neighbors.values():
        if neighbor.address is not None:
            _foreign(intent, node, neighbor, neighbor.address, owners, placed, mistakes)
            addresses.give(neighbor.address, (*neighbor.path, "address"))
        elif intent.router(neighbor.name) in (None, node):
            routers = [router.name for router in intent.routers if router.name != node.name]
            close = mistakes.did_you_mean(neighbor.name, routers)
            right = f"did you mean {close}?" if close else f"there are {listed(routers)}"
            mistakes.add(neighbor.path, "no other router of this file has this name, and it has no address", right)
    for other in named(intent, node):
        if other is not node:
            _routed(intent, node, other, mistakes)


def _foreign(
    intent: Intent,
    node: Hypervisor,
    neighbor: Neighbor,
    address: IPAddress,
    owners: dict,
    placed: Placement,
    mistakes: Mistakes,
) -> None:
    """A neighbor given by its address is a router outside this file, on a network of the host or beyond its gateway."""
    path, family = (*neighbor.path, "address"), family_of(address)
    if path in mistakes or _is_in_the_file(intent, node, neighbor, address, owners.get(address), placed, mistakes):
        return
    places = [
        intent.fabrics[fabric].networks[vrf]
        for fabric, uplink in node.uplinks.items()
        for vrf, given in uplink.given.items()
        if family in given and fabric in intent.fabrics and vrf in intent.fabrics[fabric].networks
    ]
    near = next((network for network in places if address in network.prefix.get(family, ())), None)
    if not places:
        wrong = f"{node.name} has no {family.replace('ip', 'IP')} address for a session with {address}"
        mistakes.add(path, wrong)
    elif near is not None and not is_host(address, near.prefix[family]):
        wrong = f"{address} is the network or broadcast address of {near.prefix[family]}"
        mistakes.add(path, wrong, hosts_of(near.prefix[family]))
    elif near is None and node.daemon == "bird":
        wrong = f"{address} is on no network of {node.name}, and sessions through other routers need gobgp on a host"
        mistakes.add(path, wrong, f"an address in {listed(network.prefix[family] for network in places)}, or gobgp")
    elif near is None and not any(family in network.gateway for network in places):
        wrong = f"{address} is on no network of {node.name}, and none of them has a gateway{family[-1]} towards it"
        mistakes.add(path, wrong, f"an address in {listed(network.prefix[family] for network in places)}, or a gateway")


def _is_in_the_file(
    intent: Intent,
    node: Hypervisor,
    neighbor: Neighbor,
    address: IPAddress,
    owner: Router | None,
    placed: Placement,
    mistakes: Mistakes,
) -> bool:
    """A router of this file must be a neighbor by name: its AS is known, and its own end of the session configured."""
    path = (*neighbor.path, "address")
    namesake = intent.router(neighbor.name)
    if owner is node:
        mistakes.add(path, f"{address} is {node.name}'s own", "the address of another router")
    elif owner is not None:
        wrong = f"{neighbor.address} is {owner.name}'s"
        if neighbor.asn != owner.asn:
            wrong += f", of AS {owner.asn} and not {neighbor.asn}"
        mistakes.add(path, wrong, f"write {owner.name}: {{}}")
    elif namesake is not None:
        wrong = f"{neighbor.name} is the name of {render(namesake.path)}, which does not have the address {address}"
        mistakes.add(neighbor.path, wrong, "another name; or remove address and as")
    elif address in placed.addresses.first:
        mistakes.add(
            path, f"{address} is given to {render(placed.addresses.first[address])}", "the address of a router"
        )
    elif (around := placed.tenants_around(address)) is not None:
        mistakes.add(path, f"{address} is in {around}, where guests and containers are", "the address of a router")
    else:
        return False
    return True


def _hidden_by_ibgp(intent: Intent, node: Hypervisor, mistakes: Mistakes) -> None:
    """A leaf does not pass routes from a host of its own AS to other routers of that AS (RFC 4271, section 9.2): the
    host must peer with all of them."""
    is_configured = intent.peering == "configured"
    near = [leaf for leaf in intent.leaves.values() if (names(node, leaf) if is_configured else shared(node, leaf))]
    same = next((leaf for leaf in near if leaf.asn == node.asn), None)
    if same is None:
        return
    others: list[Router] = [leaf for leaf in intent.leaves.values() if leaf not in near]
    if is_configured:
        others += [host for host in intent.hypervisors.values() if not names(node, host) and not names(host, node)]
    unreached = next((other for other in others if other.asn == node.asn and other is not node), None)
    if unreached is not None:
        wrong = f"{node.asn} is {same.name}'s, which does not pass {node.name}'s routes to {unreached.name} (iBGP)"
        mistakes.add((*node.path, "as"), wrong, f"an AS other than {same.asn}")


def _routed(intent: Intent, node: Router, other: Router, mistakes: Mistakes) -> None:
    """Two routers that peer must have a network in common, or a routed path between them."""
    path = node.path
    if node.path in mistakes.touched or other.path in mistakes.touched or ("fabrics",) in mistakes.touched:
        return
    between = remote(node, other)
    if not shared(node, other) and not between:
        wrong = f"has no VRF and family in common with {other.name}"
        mistakes.add(path, wrong, "BGP needs an address on both in one VRF and family")
    elif isinstance(other, Leaf) and not shared(node, other):
        near = listed(leaf.name for leaf in intent.leaves.values() if shared(node, leaf))
        wrong = f"{node.name} is on no network of {other.name}"
        mistakes.add((*path, "neighbors", other.name), wrong, f"hosts peer with the leaves of their networks: {near}")
        return
    for vrf, family in between:
        for one, far in ((node, other), (other, node)):
            fabric = place(one, vrf, family)
            if fabric is None:  # both have an address there, or nothing would be shared
                continue
            network = intent.fabrics[fabric].networks[vrf]
            if one.daemon == "bird":
                wrong = f"peers with {far.name} through other routers, which is not supported with bird on a host"
                mistakes.add(one.path, wrong, "gobgp on this host, or one fabric for both")
            elif family not in network.gateway:
                key = f"gateway{family[-1]}"
                wrong = f"missing, and {one.name} peers with {far.name} through it"
                mistakes.add(("fabrics", fabric, "networks", vrf, key), wrong, "a router that both can reach")
