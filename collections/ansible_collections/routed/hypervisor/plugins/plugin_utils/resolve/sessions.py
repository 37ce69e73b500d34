# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BGP: who speaks to whom, and what both ends of a session have to know. One session per network (or, where packets
between two routers are routed, per VRF) and family."""

from __future__ import annotations

from ..intent.model import FAMILIES, LOOPBACK, MAIN, Border, Hypervisor, Intent, Leaf, Reflector, Router
from ..intent.peering import mesh, named, passes_on, place, remote, shared, with_leaves
from .index import Index
from .links import vlan_interface

MULTIHOP = 64  # hops that packets of a session may take where routers are not on one network
# For so long others keep the routes of a GoBGP that restarts; also those of one that is gone for good, unnoticed.
GRACEFUL_RESTART_S = 30


def table_name(vrf: str | None, family: str) -> str:
    """The name of a routing table in BIRD. The start keeps VRFs called like a word of BIRD's language apart from it."""
    return f"vrf_{identifier(vrf)}_{family}" if vrf not in (None, MAIN) else f"main_{family}"


def identifier(name: str) -> str:
    """NAME as BIRD wants names. Names have no underscore, so two names never become one."""
    return name.replace("-", "_")


def sessions(intent: Intent, found: Index, node: Router) -> list[dict]:
    """All sessions of a router, as it sees them."""
    return [
        *(session for peer in _peers(intent, found, node) for session in _with(intent, node, peer)),
        *(_foreign(intent, node, neighbor) for neighbor in getattr(node, "neighbors", {}).values() if neighbor.address),
    ]


def _peers(intent: Intent, found: Index, node: Router) -> list[Router]:
    """The routers of the intent that NODE speaks to, each once."""
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
        peers += mesh(intent)
    if intent.peering == "configured":
        peers += named(intent, node) if isinstance(node, Hypervisor) else []
        peers += found.named_by.get(node.name, ())
    return [peer for peer in {peer.name: peer for peer in peers}.values() if peer is not node]


def _with(intent: Intent, node: Router, peer: Router) -> list[dict]:
    """The sessions of NODE with PEER: one per network in common; by way of other routers only where there is none."""
    if isinstance(node, Leaf) and isinstance(peer, Leaf):
        return _between_leaves(intent, node, peer)
    direct = shared(node, peer)
    has_several = len({fabric for fabric, _vrf, _family in direct}) > 1
    made = []
    for fabric, vrf, family in direct:
        here = f"{identifier(peer.name)}_{identifier(fabric)}" if has_several else identifier(peer.name)
        made.append(_session(intent, node, peer, vrf, family, f"{here}_{vrf}_{family}", (fabric, fabric)))
    # A reflector is for its own fabric; everyone else can be spoken to from afar.
    for vrf, family in remote(node, peer) if not direct else ():
        places = (place(node, vrf, family), place(peer, vrf, family))
        made.append(_session(intent, node, peer, vrf, family, f"{identifier(peer.name)}_{vrf}_{family}", places))
    return made


def _between_leaves(intent: Intent, node: Leaf, peer: Leaf) -> list[dict]:
    """iBGP, by addresses that stay while any way between the two is left: by loopbacks, else by their first networks.

    With OSPF the next hop is kept, as in document 002: the other leaf's hosts, on networks that OSPF knows.
    """
    made = []
    for vrf in intent.vrfs:
        for family in FAMILIES:
            ends = tuple(_leaf_end(intent, one, vrf, family) for one in (node, peer))
            by_loopback = vrf == MAIN and family in node.loopback and family in peer.loopback
            if by_loopback:
                ends = tuple((first(one), LOOPBACK, one.loopback[family].address) for one in (node, peer))
            if None in ends:
                continue
            (fabric, source, own), (_fabric, _source, far) = ends
            session = _end(intent, node, vrf, family, f"{identifier(peer.name)}_{vrf}_{family}", fabric, False)
            session.update(local_address=str(own), neighbor=str(far), neighbor_as=peer.asn, update_source=source)
            made.append({**session, "next_hop": "keep" if intent.ospf else "self"})
    return made


def _leaf_end(intent: Intent, node: Leaf, vrf: str, family: str) -> tuple | None:
    """(fabric, interface, address) of a leaf's first network in a VRF and family."""
    fabric = place(node, vrf, family)
    if fabric is None:
        return None
    uplink = node.uplinks[fabric]
    return fabric, vlan_interface(intent, uplink, vrf), uplink.address(vrf, family)


def first(node: Router) -> str:
    return next(iter(node.uplinks))


def _session(
    intent: Intent, node: Router, peer: Router, vrf: str, family: str, name: str, places: tuple[str, str]
) -> dict:
    """PLACES are the fabrics on which NODE and PEER have the session's addresses."""
    session = _end(intent, node, vrf, family, name, places[0], places[0] == places[1])
    is_client = isinstance(node, Reflector) and not isinstance(peer, Reflector)
    add_path = None
    if node.asn == peer.asn and intent.add_path and isinstance(node, Reflector):
        add_path = "tx" if is_client else "rx tx"
    elif node.asn == peer.asn and intent.add_path and isinstance(peer, Reflector):
        add_path = "rx"
    if intent.bfd and any(isinstance(end, Leaf) and end.platform == "frr" for end in (node, peer)):
        session["ttl_security"] = (
            False  # FRR 8.4 makes a multihop BFD session of the two together, which nobody answers
        )
    return {
        **session,
        "neighbor": str(peer.uplinks[places[1]].address(vrf, family)),
        "neighbor_as": peer.asn,
        "reflector_client": is_client,
        "add_path": add_path,
    }


def _end(intent: Intent, node: Router, vrf: str, family: str, name: str, fabric: str, is_direct: bool) -> dict:
    """What a session is at NODE, whoever is at its other end."""
    uplink = node.uplinks[fabric]
    own_vrf = None if isinstance(node, Border) else intent.vrfs[vrf].device
    return {
        "name": name,
        "vrf": own_vrf,
        "family": family,
        "table": table_name(own_vrf, family),
        "local_as": node.asn,
        "local_address": str(uplink.address(vrf, family)),
        "interface": vlan_interface(intent, uplink, vrf) if is_direct else None,
        "bfd": intent.bfd is not None and is_direct,
        "ttl_security": intent.ttl_security and is_direct,
        "multihop": None if is_direct else MULTIHOP,
        "password_key": vrf if intent.vrfs[vrf].password else None,
        "reflector_client": False,
        "cluster_id": cluster_id(node, vrf) if isinstance(node, Reflector) else None,
        "next_hop": "keep" if isinstance(node, Reflector) else "self",
        "export": "all" if passes_on(node) else "own",
        "add_path": None,
    }


def _foreign(intent: Intent, node: Router, neighbor) -> dict:
    """The session with a configured router that is not in the intent: on a network in common, else routed."""
    family = f"ipv{neighbor.address.version}"
    places = [
        (fabric, vrf, neighbor.address in intent.fabrics[fabric].networks[vrf].prefix[family])
        for fabric, uplink in node.uplinks.items()
        for vrf, given in uplink.given.items()
        if family in given
    ]
    fabric, vrf, is_direct = max(places, key=lambda found: found[2])
    session = _end(intent, node, vrf, family, f"{identifier(neighbor.name)}_{vrf}_{family}", fabric, is_direct)
    return {**session, "neighbor": str(neighbor.address), "neighbor_as": neighbor.asn}


def cluster_id(node: Reflector, vrf: str) -> str:
    """The reflector's own address in the VRF; where it has no IPv4 there, its router id."""
    return str(node.uplinks[node.fabric].address(vrf, "ipv4") or node.bgp_id)


def daemon(intent: Intent, node: Router, vrfs: list[str], tables: list[dict], found: list[dict]) -> dict:
    """The variables of what speaks BGP on a router: of the BIRD or of the GoBGP templates."""
    if node.daemon == "gobgp":
        return {"bgp_daemon": "gobgp", "gobgp": _gobgp(intent, node, vrfs, found)}
    places = [{"vrf": intent.vrfs[vrf].device, "kernel_table": intent.vrfs[vrf].table} for vrf in vrfs]
    return {"bgp_daemon": "bird", "bird": bird(intent, node, places, tables, found)}


def bird(intent: Intent, node: Router, vrfs: list[dict], tables: list[dict], found: list[dict]) -> dict:
    bfd = {"bfd": dict(intent.bfd)} if intent.bfd and found else {}
    return {"router_id": node.bgp_id, **bfd, "vrfs": vrfs, "tables": tables, "sessions": found}


def _gobgp(intent: Intent, node: Router, vrfs: list[str], found: list[dict]) -> dict:
    """One GoBGP a VRF: each has a single table of routes, in which VRFs would mix.

    Where nobody is spoken to (any more) they stay: what was announced and learned has to go.
    """
    instances = []
    for vrf in vrfs:
        own = [session for session in found if session["vrf"] == intent.vrfs[vrf].device]
        addresses = list(dict.fromkeys(session["local_address"] for session in own))
        if own or not found:
            instances.append({"name": vrf, "vrf": intent.vrfs[vrf].device, "listen": addresses, "sessions": own})
    return {
        "router_id": node.bgp_id,
        "as": node.asn,
        "multipath": True,
        "graceful_restart_s": GRACEFUL_RESTART_S,
        "instances": instances,
    }


def sessions_of(resolved: dict) -> list[tuple[str, dict]]:
    """(the daemon's instance or "", session) of a router's resolved variables."""
    if resolved["bgp_daemon"] == "bird":
        return [("", session) for session in resolved["bird"]["sessions"]]
    return [
        (instance["name"], session) for instance in resolved["gobgp"]["instances"] for session in instance["sessions"]
    ]
