# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a hypervisor's routing manager, which keeps the routes of GoBGP and the kernel in sync."""

from __future__ import annotations

from ..intent.model import FAMILIES, Hypervisor, Intent
from . import containers

# Directories of named network namespaces; the last is that of our CNI plugin.
NAMESPACES = ("/run/netns", "/run/docker/netns", "/run/routed-hypervisor-netns")


def routing_manager(intent: Intent, node: Hypervisor, tables: list[dict], bgp: dict) -> dict:
    """TABLES as for BIRD, with the same announcements and routes."""
    return {
        "instances": [_instance(intent, node, tables, bgp, instance) for instance in bgp["instances"]],
        "namespaces": list(NAMESPACES),
    }


def _instance(intent: Intent, node: Hypervisor, tables: list[dict], bgp: dict, instance: dict) -> dict:
    sessions = [session for session in bgp["sessions"] if session["instance"] == instance["name"]]
    own = [table for table in tables if table["vrf"] == instance["vrf"]]
    sources = {table["family"]: table["kernel"]["prefsrc"] for table in own}
    guests = [one for table in own for one in table["kernel"].get("guests", {}).get("prefixes", ())]
    return {
        "name": instance["name"],
        "api": f"/run/routed-hypervisor-gobgp/{instance['name']}.sock",
        "vrf": instance["vrf"],
        "table": intent.vrfs[instance["name"]].table,
        "families": [table["family"] for table in own],
        "local_addresses": {
            family: list(dict.fromkeys(one["local_address"] for one in sessions if family in one["families"]))
            for family in FAMILIES
        },
        "prefsrc": {family: sources.get(family) for family in FAMILIES},
        "announce": [accepted for table in own for accepted in table["accept"]],
        **({"guests": guests} if guests else {}),
        "networks": [
            {
                "name": part.network,
                "prefixes": [str(prefix) for prefix in part.prefix.values()],
                "interface": part.host_link if part.has_host_link else None,
            }
            for part in node.parts.values()
            if containers.manages(node, part) and intent.container_networks[part.network].vrf == instance["name"]
        ],
    }
