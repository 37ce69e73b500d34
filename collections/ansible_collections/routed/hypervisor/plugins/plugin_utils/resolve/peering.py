# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which routers peer, and with which addresses. One session per family and network, or per family and VRF if packets
between the two routers are routed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from ..intent.adjacency import mesh, named, passes_on, place, remote, shared, with_leaves
from ..intent.model import FAMILIES, LOOPBACK, MAIN, Border, Hypervisor, Intent, Leaf, Reflector, Router
from ..intent.names import symbols
from .index import Index
from .links import vlan_interface


@dataclass
class Peering:
    """A session between two routers, seen from one of them."""

    parts: tuple[str, ...]  # of its name
    vrf: str
    family: str
    fabric: str  # the uplink it uses
    local: Any  # netaddr.IPAddress
    neighbor: Any  # netaddr.IPAddress
    neighbor_as: int
    is_direct: bool  # both ends are on one network
    peer: Router | None = None  # None: a router that is not in the intent
    source: str | None = None  # the interface with the local address, if it is not the one to the peer
    name: str = ""  # an identifier in BIRD, unique among those of its router


def peerings(intent: Intent, found: Index, node: Router) -> list[Peering]:
    """All sessions of a router."""
    made = [
        *(peering for peer in _peers(intent, found, node) for peering in _with(intent, node, peer)),
        *(_foreign(intent, node, neighbor) for neighbor in getattr(node, "neighbors", {}).values() if neighbor.address),
    ]
    for peering, name in zip(made, symbols([peering.parts for peering in made], bird_symbols(intent)), strict=True):
        peering.name = name
    return made


def table_name(vrf: str | None) -> str:
    """The start of the names of a VRF's routing tables in BIRD; the family follows. The prefix avoids clashes between
    VRF names and BIRD keywords."""
    return f"vrf_{vrf}" if vrf not in (None, MAIN) else MAIN


def bird_symbols(intent: Intent) -> list[str]:
    """What templates/bird may define beside sessions."""
    tables = [f"{table_name(vrf)}_{family}" for vrf in intent.vrfs for family in FAMILIES]
    protocols = [f"{kind}_{table}" for kind in ("kernel", "direct", "static") for table in tables]
    filters = [f"{verb}_{table}" for verb in ("learn", "announce") for table in tables]
    return [*tables, *protocols, *filters, *(f"bgp_password_{vrf}" for vrf in intent.vrfs)]


def _peers(intent: Intent, found: Index, node: Router) -> list[Router]:
    """The routers of the intent that NODE peers with, each once."""
    peers: list[Router] = []
    is_client = isinstance(node, (Hypervisor, Border))
    for fabric in node.uplinks:
        if intent.uses_reflectors and is_client:
            peers += found.reflectors.get(fabric, ())
        elif intent.uses_reflectors and isinstance(node, Reflector):
            peers += [*found.clients.get(fabric, ()), *found.reflectors[fabric]]
        if with_leaves(intent) and is_client:
            peers += found.leaves.get(fabric, ())
        elif with_leaves(intent) and isinstance(node, Leaf):
            peers += found.clients.get(fabric, ())
    if isinstance(node, Leaf):
        peers += [leaf for leaf in intent.leaves.values() if leaf.asn == node.asn]
    if is_client:
        peers += cast("list[Router]", mesh(intent))
    if intent.peering == "configured":
        peers += cast("list[Router]", named(intent, node)) if isinstance(node, Hypervisor) else []
        peers += found.named_by.get(node.name, ())
    return [peer for peer in {peer.name: peer for peer in peers}.values() if peer is not node]


def _with(intent: Intent, node: Router, peer: Router) -> Iterator[Peering]:
    """One session per common network, and routed ones for what is on none."""
    if isinstance(node, Leaf) and isinstance(peer, Leaf):
        yield from _between_leaves(intent, node, peer)
        return
    direct = shared(node, peer)
    has_several = len({fabric for fabric, _vrf, _family in direct}) > 1
    for fabric, vrf, family in direct:
        here = (peer.name, fabric) if has_several else (peer.name,)
        yield _meeting(node, peer, vrf, family, (*here, vrf, family), (fabric, fabric))
    # A reflector or leaf serves only its own fabrics.
    is_served = bool(direct) and (passes_on(node) or passes_on(peer))
    for vrf, family in remote(node, peer) if not is_served else ():
        places = (place(node, vrf, family), place(peer, vrf, family))
        yield _meeting(node, peer, vrf, family, (peer.name, vrf, family), places)


def _meeting(node: Router, peer: Router, vrf: str, family: str, parts: tuple, places: tuple) -> Peering:
    """PLACES are the fabrics on which NODE and PEER have the session's addresses."""
    own, far = (router.uplinks[fabric] for router, fabric in zip((node, peer), places, strict=True))
    is_direct = places[0] == places[1]
    addresses = (own.address(vrf, family), far.address(vrf, family))
    return Peering(parts, vrf, family, places[0], *addresses, peer.asn, is_direct, peer)


def _first_fabric(node: Router) -> str:
    return next(iter(node.uplinks))


def _between_leaves(intent: Intent, node: Leaf, peer: Leaf) -> Iterator[Peering]:
    """iBGP between addresses that survive as long as any path does: loopbacks, else their first networks."""
    for vrf in intent.vrfs:
        for family in FAMILIES:
            ends = [_leaf_end(intent, one, vrf, family) for one in (node, peer)]
            if vrf == MAIN and family in node.loopback and family in peer.loopback:
                ends = [(_first_fabric(one), LOOPBACK, one.loopback[family].address) for one in (node, peer)]
            if ends[0] is None or ends[1] is None:
                continue
            (fabric, source, own), (_fabric, _source, far) = ends[0], ends[1]
            yield Peering((peer.name, vrf, family), vrf, family, fabric, own, far, peer.asn, False, peer, source)


def _leaf_end(intent: Intent, node: Leaf, vrf: str, family: str) -> tuple | None:
    """(fabric, interface, address) of a leaf's first network in a VRF and family."""
    fabric = place(node, vrf, family)
    if fabric is None:
        return None
    uplink = node.uplinks[fabric]
    return fabric, vlan_interface(intent, uplink, vrf), uplink.address(vrf, family)


def _foreign(intent: Intent, node: Router, neighbor) -> Peering:
    """A session with a configured router outside the intent: on a common network, else routed."""
    family = f"ipv{neighbor.address.version}"
    places = [
        (fabric, vrf, neighbor.address in network.prefix[family], family in network.gateway)
        for fabric, uplink in node.uplinks.items()
        for vrf, given in uplink.given.items()
        for network in (intent.fabrics[fabric].networks[vrf],)
        if family in given
    ]
    fabric, vrf, is_direct, _has_gateway = max(places, key=lambda found: found[2:])
    local = node.uplinks[fabric].address(vrf, family)
    return Peering((neighbor.name, vrf, family), vrf, family, fabric, local, neighbor.address, neighbor.asn, is_direct)
