# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What FRR and NX-OS are configured from: the same data, so that a lab of FRR shows what switches will do."""

from __future__ import annotations

from collections import Counter

from ..intent.model import FAMILIES, LENGTH, LOOPBACK, MAIN, Intent, Leaf
from .index import Index
from .links import vlan_interface

MAXIMUM_PATHS = 8
TIMERS = {"keepalive_s": 3, "hold_s": 9}
# Another way is found before a session between loopbacks gives up, which is 6 s after the way went dead.
OSPF_TIMERS = {"hello_s": 1, "dead_s": 4}
CONTAINERS = "CONTAINERS"  # the policy that admits what hosts may announce, and nothing else


def leaf_data(intent: Intent, found: Index, node: Leaf, sessions: list[dict]) -> dict:
    return {
        "hostname": node.name,
        "platform": node.platform,
        "as": node.asn,
        "router_id": node.bgp_id,
        "bfd": dict(intent.bfd) if intent.bfd and any(session["bfd"] for session in sessions) else None,
        "vrfs": [{"name": vrf} for vrf in _vrfs(intent, node) if vrf != MAIN],
        "vlans": _vlans(intent, node),
        "interfaces": _interfaces(intent, found, node),
        "ports": [
            {"name": port, "vlan": _vlan(node.uplinks[fabric].interface), "description": f"hosts on {fabric}"}
            for fabric, ports in node.ports.items()
            for port in ports
        ],
        "ospf": _ospf(intent, node),
        "bgp": {
            "maximum_paths": MAXIMUM_PATHS,
            "redistribute": [],
            "neighbors": _neighbors(intent, node, sessions),
        },
        "policies": [{"name": CONTAINERS, "permit": _admitted(intent)}],
        "acls": [],
    }


def _vrfs(intent: Intent, node: Leaf) -> list[str]:
    used = {vrf for uplink in node.uplinks.values() for vrf in uplink.given}
    return [vrf for vrf in intent.vrfs if vrf in used]


def _vlan(interface: str) -> int | None:
    """The VLAN of a switched virtual interface."""
    return int(interface.removeprefix("Vlan")) if interface.startswith("Vlan") else None


def _vlans(intent: Intent, node: Leaf) -> list[dict]:
    """VLAN 1 is not among them: every switch has it, and refuses to call it by a name."""
    numbers = {_vlan(uplink.interface): fabric for fabric, uplink in node.uplinks.items()}
    return [{"id": number, "name": numbers[number]} for number in sorted(set(numbers) - {None, 1})]


def _interfaces(intent: Intent, found: Index, node: Leaf) -> list[dict]:
    made = []
    if node.loopback:
        addresses = [f"{given.address}/{LENGTH[family]}" for family, given in node.loopback.items()]
        made.append(
            _interface(LOOPBACK, "loopback", "router id", addresses, {"passive": True} if intent.ospf else None)
        )
    for fabric, uplink in node.uplinks.items():
        others = [leaf for leaf in found.leaves.get(fabric, ()) if leaf is not node]
        about = ", ".join(leaf.name for leaf in others) if others else f"hosts on {fabric}"
        ospf = {"passive": not others} if intent.ospf else None
        if ospf is not None and len(others) == 1 and fabric not in found.clients:
            ospf["network"] = "point-to-point"
        for vrf, given in uplink.given.items():
            prefix = intent.fabrics[fabric].networks[vrf].prefix
            addresses = [
                f"{given[family].address}/{prefix[family].prefixlen}" for family in FAMILIES if family in given
            ]
            kind = "svi" if uplink.interface.startswith("Vlan") else "routed"
            name = vlan_interface(intent, uplink, vrf)
            made.append(
                {
                    **_interface(name, kind, about, addresses, ospf),
                    "vlan": _vlan(uplink.interface),
                    "vrf": intent.vrfs[vrf].device,
                    "mtu": intent.fabrics[fabric].mtu,
                }
            )
    return made


def _interface(name: str, kind: str, about: str, addresses: list[str], ospf: dict | None) -> dict:
    place = {"name": name, "kind": kind, "vlan": None, "vrf": None, "description": about, "mtu": None}
    return {**place, "addresses": addresses, "ospf": ospf}


def _ospf(intent: Intent, node: Leaf) -> dict | None:
    if not intent.ospf:
        return None
    families = [
        family
        for family in FAMILIES
        if any(family in given for uplink in node.uplinks.values() for given in uplink.given.values())
    ]
    return {**intent.ospf, "families": families, "timers": dict(OSPF_TIMERS), "password_key": None}


def _neighbors(intent: Intent, node: Leaf, sessions: list[dict]) -> list[dict]:
    shared = Counter(host.asn for host in intent.hypervisors.values())
    made = []
    for session in sessions:
        is_leaf = "update_source" in session
        is_external = session["neighbor_as"] != node.asn
        made.append(
            {
                "name": session["name"],
                "description": session["name"],
                "kind": "leaf" if is_leaf else "host",
                "vrf": session["vrf"],
                "family": session["family"],
                "address": session["neighbor"],
                "as": session["neighbor_as"],
                "local_address": session["local_address"],
                "update_source": session.get("update_source"),
                "multihop": session["multihop"] if is_external else None,
                "ttl_security": session["ttl_security"] and is_external,
                "bfd": session["bfd"],
                "timers": dict(TIMERS),
                "password_key": session["password_key"],
                "as_override": is_external and shared[session["neighbor_as"]] > 1,
                "next_hop_self": session["next_hop"] == "self" and not is_external,
                "maximum_prefix": None if is_leaf else node.maximum_prefix,
                "import": CONTAINERS,
                "export": CONTAINERS,
            }
        )
    return made


def _admitted(intent: Intent) -> list[dict]:
    """The prefixes of guests and containers, and what is in them: nothing else is passed on."""
    prefixes = [prefix for segment in intent.segments.values() for prefix in segment.prefix.values()]
    for network in intent.container_networks.values():
        prefixes += network.prefix.values()
    for hypervisor in intent.hypervisors.values():
        for part in hypervisor.parts.values():
            prefixes += part.prefix.values() if part.whose == "host" and part.announce != "none" else ()
    return [
        {"prefix": str(prefix), "family": f"ipv{prefix.version}", "longest": LENGTH[f"ipv{prefix.version}"]}
        for prefix in prefixes
    ]
