# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BGP: who speaks to whom. One session per fabric, VRF and family, of a reflector with everyone on its fabric."""

from __future__ import annotations

from ..intent.model import FAMILIES, Border, Hypervisor, Intent, Reflector, Router, Uplink
from .index import Index
from .links import vlan_interface


def table_name(vrf: str | None, family: str) -> str:
    """The name of a routing table in BIRD. The start keeps VRFs called like a word of BIRD's language apart from it."""
    return f"vrf_{identifier(vrf)}_{family}" if vrf else f"main_{family}"


def identifier(name: str) -> str:
    """NAME as BIRD wants names. Names have no underscore, so two names never become one."""
    return name.replace("-", "_")


def router_id(node: Router) -> str:
    """The one given, else a loopback, else the first IPv4 address."""
    if node.router_id:
        return node.router_id
    loopbacks = [given["ipv4"].address for given in getattr(node, "loopbacks", {}).values() if "ipv4" in given]
    uplinks = [
        given["ipv4"].address for uplink in node.uplinks.values() for given in uplink.given.values() if "ipv4" in given
    ]
    return str((loopbacks + uplinks)[0])


def _session(
    intent: Intent, node: Router, uplink: Uplink, vrf: str, family: str, peer: Router, own_vrf: str | None
) -> dict:
    """What both ends of a session have, as NODE sees it."""
    return {
        "name": f"{identifier(peer.name)}_{identifier(vrf)}_{family}",
        "vrf": own_vrf,
        "family": family,
        "table": table_name(own_vrf, family),
        "neighbor": str(peer.uplinks[uplink.fabric].address(vrf, family)),
        "neighbor_as": intent.asn,
        "local_as": intent.asn,
        "local_address": str(uplink.address(vrf, family)),
        "interface": vlan_interface(intent, uplink, vrf),
        "bfd": intent.bfd is not None,
        "ttl_security": intent.ttl_security,
        "password_key": vrf if intent.vrfs[vrf].password else None,
        "reflector_client": False,
        "cluster_id": None,
        "next_hop": "self",
        "add_path": "rx" if intent.add_path else None,
    }


def client_sessions(intent: Intent, found: Index, node: Hypervisor | Border) -> list[dict]:
    """The sessions of a hypervisor or border: to each reflector on each of its fabrics."""
    sessions = []
    for fabric, uplink in node.uplinks.items():
        for reflector in found.reflectors.get(fabric, ()):
            for vrf, family in _common(uplink, reflector.uplinks[fabric]):
                sessions.append(
                    _session(intent, node, uplink, vrf, family, reflector, None if isinstance(node, Border) else vrf)
                )
    return sessions


def reflector_sessions(intent: Intent, found: Index, node: Reflector) -> list[dict]:
    """The sessions of a reflector: to its clients, and to the other reflectors of its fabric as equals."""
    uplink = node.uplinks[node.fabric]
    others = [other for other in found.reflectors[node.fabric] if other is not node]
    sessions = []
    for peer in (*found.clients.get(node.fabric, ()), *others):
        for vrf, family in _common(uplink, peer.uplinks[node.fabric]):
            session = _session(intent, node, uplink, vrf, family, peer, vrf)
            is_client = not isinstance(peer, Reflector)
            both_ways = "tx" if is_client else "rx tx"
            session.update(
                reflector_client=is_client,
                cluster_id=cluster_id(node, vrf),
                next_hop="keep",
                add_path=both_ways if intent.add_path else None,
            )
            sessions.append(session)
    return sessions


def cluster_id(node: Reflector, vrf: str) -> str:
    """The reflector's own address in the VRF; where it has no IPv4 there, its router id."""
    return str(node.uplinks[node.fabric].address(vrf, "ipv4") or router_id(node))


def _common(one: Uplink, other: Uplink) -> list[tuple[str, str]]:
    """The VRFs and families in which both have an address."""
    return [
        (vrf, family)
        for vrf in one.given
        for family in FAMILIES
        if family in one.given[vrf] and family in other.given.get(vrf, {})
    ]


def bird(node: Router, intent: Intent, vrfs: list[dict], tables: list[dict], sessions: list[dict]) -> dict:
    """The variables of the BIRD templates."""
    bfd = {"bfd": dict(intent.bfd)} if intent.bfd and sessions else {}
    return {"router_id": router_id(node), **bfd, "vrfs": vrfs, "tables": tables, "sessions": sessions}
