# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A route reflector's variables: it has the same VRFs as hypervisors, but forwards no packets."""

from __future__ import annotations

from ..intent.model import Intent, Reflector
from .bgp import bgp
from .index import Index
from .links import ROUTER_SYSCTLS, families_of, sysctls, uplink_interfaces, vrf_devices, vrfs_of
from .peering import table_name


def reflector(intent: Intent, found: Index, node: Reflector) -> dict:
    vrfs = vrfs_of(intent, node)
    uplink = node.uplinks[node.fabric]
    tables: list[dict] = [
        {
            "name": f"{table_name(vrf)}_{family}",
            "family": family,
            "vrf": intent.vrfs[vrf].device,
            "direct": [],
            "static": [],
            "accept": [],
        }
        for vrf in vrfs
        for family in families_of(node, vrf)
    ]
    return {
        "network": {
            "sysctls": sysctls(ROUTER_SYSCTLS),
            "vrfs": vrf_devices(intent, vrfs),
            "interfaces": uplink_interfaces(
                intent, intent.fabrics[node.fabric], uplink, lambda vrf: intent.vrfs[vrf].device, lambda vrf: False
            ),
            "proxy_arp": [],
            "routes": [],
            "rules": [],
        },
        "bgp": bgp(intent, found, node, vrfs, tables),
    }
