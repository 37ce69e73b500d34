# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host variable `bgp`: one shape for BIRD, GoBGP, FRR and NX-OS. roles/bird documents every key of it."""

from __future__ import annotations

from collections import Counter

from ..intent.adjacency import passes_on
from ..intent.model import MAIN, Border, Intent, Leaf, Reflector, Router
from .followed import crosses_systems
from .index import Index
from .links import vlan_interface
from .peering import Peering, peerings, table_name
from .policies import ANNOUNCED, CONTAINERS, has_static, policies, redistribute

MAXIMUM_PATHS = 8
DESCRIPTION_LENGTH = 60  # NX-OS and FRR have 80 characters, of which our mark takes 18
MULTIHOP = 64  # maximum hops of a session between routers without a common network


def bgp(intent: Intent, found: Index, node: Router, vrfs: list[str], tables: list[dict]) -> dict:
    """The BGP configuration of NODE. VRFS are its VRFs; BIRD keeps TABLES in sync with the kernel's."""
    leaf = _filtered(node)
    shared = Counter(host.asn for host in intent.hypervisors.values()) if leaf else Counter()
    sessions = [_session(intent, node, peering, shared) for peering in peerings(intent, found, node)]
    made = {
        "daemon": node.daemon,
        "as": node.asn,
        "router_id": node.bgp_id,
        "timers": dict(intent.timers),
        "graceful_restart_s": (intent.graceful_restart_s or None) if node.daemon == "gobgp" else None,
        "bfd": dict(intent.bfd) if intent.bfd and any(session["bfd"] for session in sessions) else None,
        "maximum_paths": MAXIMUM_PATHS,
        "instances": _instances(intent, node, vrfs, sessions),
        "tables": tables if node.daemon == "bird" else [],
        "redistribute": _redistribute(intent, leaf) if leaf else [],
        "policies": policies(intent, leaf) if leaf else [],
        "sessions": sessions,
    }
    # Linux refuses a socket for all addresses that is not in a VRF beside one for all addresses that is in one.
    if node.daemon == "bird" and {session["vrf"] is None for session in sessions} == {True, False}:
        made["strict_bind"] = True
    # Hypervisors compare the places of a guest by themselves: see templates/bird/bird.conf.j2.
    if isinstance(node, (Leaf, Border)) and crosses_systems(intent):
        made["compare_med"] = True
    return made


def _filtered(node: Router) -> Leaf | None:
    """NODE if it is a leaf with policies."""
    return node if isinstance(node, Leaf) and node.platform != "bird" else None


def device(intent: Intent, node: Router, vrf: str) -> str | None:
    """The interface of a VRF on NODE; None for the main table, which a border uses instead of its VRF."""
    return None if isinstance(node, Border) else intent.vrfs[vrf].device


def _instances(intent: Intent, node: Router, vrfs: list[str], sessions: list[dict]) -> list[dict]:
    """One per VRF. FRR and NX-OS always have one outside of VRFs, and no others without a session.

    GoBGP has a single routing table, in which VRFs would mix, so each VRF has a daemon of its own. Instances remain on
    a router without sessions, so that formerly announced and learned routes are withdrawn.
    """
    is_switch = node.daemon in ("frr", "nxos")
    made = []
    for vrf in dict.fromkeys([MAIN, *vrfs]) if is_switch else vrfs:
        own_device = None if vrf == MAIN else device(intent, node, vrf)
        own = [session for session in sessions if session["vrf"] == own_device]
        if own or node.daemon == "bird" or (vrf == MAIN if is_switch else not sessions):
            listen = list(dict.fromkeys(session["local_address"] for session in own))
            made.append({"name": own_device or MAIN, "vrf": own_device, "listen": listen})
    return made


def _session(intent: Intent, node: Router, peering: Peering, shared: Counter) -> dict:
    """One session. SHARED counts the hosts of each AS."""
    peer, vrf = peering.peer, device(intent, node, peering.vrf)
    interface = vlan_interface(intent, node.uplinks[peering.fabric], peering.vrf) if peering.is_direct else None
    is_external = peering.neighbor_as != node.asn
    import_policy, export_policy = _policies(intent, peer) if _filtered(node) else (None, None)
    return {
        "name": peering.name,
        "description": peering.name[:DESCRIPTION_LENGTH],
        "instance": vrf or MAIN,
        "vrf": vrf,
        "families": [peering.family],
        "table": table_name(vrf),
        "local_as": node.asn,
        "local_address": str(peering.local),
        "update_source": peering.source,
        "interface": interface,
        "neighbor": str(peering.neighbor),
        "neighbor_as": peering.neighbor_as,
        "multihop": None if peering.is_direct else MULTIHOP,
        "ttl_security": peering.is_direct and _ttl_security(intent, node, peer),
        "bfd": intent.bfd is not None and peering.is_direct,
        "password_key": peering.vrf if intent.vrfs[peering.vrf].password else None,
        "reflector_client": isinstance(node, Reflector) and not isinstance(peer, Reflector),
        "cluster_id": _cluster_id(node, peering.vrf) if isinstance(node, Reflector) else None,
        "next_hop": _next_hop(intent, node, peer),
        "add_path": _add_path(intent, node, peer),
        "as_override": is_external and shared[peering.neighbor_as] > 1,
        "maximum_prefix": node.maximum_prefix if isinstance(node, Leaf) and not isinstance(peer, Leaf) else None,
        "export": "all" if passes_on(node) else "own",
        "import_policy": import_policy,
        "export_policy": export_policy,
    }


def _ttl_security(intent: Intent, node: Router, peer: Router | None) -> bool:
    """With TTL security, FRR 8.4 turns the session's BFD into multihop BFD, which the other end never answers."""
    with_frr = any(isinstance(end, Leaf) and end.platform == "frr" for end in (node, peer))
    return intent.ttl_security and not (intent.bfd and with_frr)


def _next_hop(intent: Intent, node: Router, peer: Router | None) -> str:
    """With OSPF, leaves keep the next hop, as in document 002: hosts of the other leaf, on networks OSPF announces."""
    between_leaves = isinstance(node, Leaf) and isinstance(peer, Leaf)
    return "keep" if isinstance(node, Reflector) or (between_leaves and intent.ospf) else "self"


def _policies(intent: Intent, peer: Router | None) -> tuple[str, str]:
    """A leaf's import and export policies. Only leaves announce static routes."""
    announced = ANNOUNCED if has_static(intent) else CONTAINERS
    return announced if isinstance(peer, Leaf) else CONTAINERS, announced


def _redistribute(intent: Intent, node: Leaf) -> list[dict]:
    return [{**source, "vrf": device(intent, node, source["vrf"])} for source in redistribute(node)]


def _add_path(intent: Intent, node: Router, peer: Router | None) -> str | None:
    if not intent.add_path or peer is None or node.asn != peer.asn:
        return None
    if isinstance(node, Reflector):
        return "rx tx" if isinstance(peer, Reflector) else "tx"
    return "rx" if isinstance(peer, Reflector) else None


def _cluster_id(node: Reflector, vrf: str) -> str:
    """The reflector's own address in the VRF; where it has no IPv4 there, its router id."""
    return str(node.uplinks[node.fabric].address(vrf, "ipv4") or node.bgp_id)
