# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host variable `ospf`: one shape for FRR and NX-OS. roles/frr documents every key of it."""

from __future__ import annotations

from ..intent.model import FAMILIES, LOOPBACK, Intent, Leaf
from .bgp import MAXIMUM_PATHS
from .index import Index
from .links import vlan_interface


def ospf(intent: Intent, found: Index, node: Leaf) -> dict | None:
    """None if leaves do not run it."""
    if not intent.ospf:
        return None
    return {
        "process": intent.ospf["process"],
        "area": intent.ospf["area"],
        "authentication": _authentication(intent.ospf),
        "timers": dict(intent.ospf["timers"]),
        "router_id": node.bgp_id,
        "families": _families(node),
        "maximum_paths": MAXIMUM_PATHS,
        "interfaces": _interfaces(intent, found, node),
    }


def password_keys(intent: Intent) -> list[str]:
    """Required keys of ospf_passwords: only the area."""
    return [intent.ospf["area"]] if intent.ospf and "authentication" in intent.ospf else []


def _authentication(ospf: dict) -> dict | None:
    if "authentication" not in ospf:
        return None
    return {"key_id": ospf["authentication"]["key_id"], "password_key": ospf["area"]}


def _families(node: Leaf) -> list[str]:
    given = [given for uplink in node.uplinks.values() for given in uplink.given.values()]
    return [family for family in FAMILIES if any(family in families for families in given)]


def _interfaces(intent: Intent, found: Index, node: Leaf) -> list[dict]:
    """Interfaces without another leaf are passive: the network is announced, but no neighbor accepted."""
    made = [{"name": LOOPBACK, "vrf": None, "passive": True, "network": None}] if node.loopback else []
    for fabric, uplink in node.uplinks.items():
        others = [leaf for leaf in found.leaves.get(fabric, ()) if leaf is not node]
        is_link = len(others) == 1 and fabric not in found.clients
        made += [
            {
                "name": vlan_interface(intent, uplink, vrf),
                "vrf": intent.vrfs[vrf].device,
                "passive": not others,
                "network": "point-to-point" if is_link else None,
            }
            for vrf in uplink.given
        ]
    return made
