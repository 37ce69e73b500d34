# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A border router's variables. The fabric's VRF is its main table; it has no other VRFs."""

from __future__ import annotations

from ..intent.model import MAIN_TABLE, Border, Intent
from .bgp import bgp
from .index import Index
from .links import DEFAULT, ROUTER_SYSCTLS, families_of, sysctls, uplink_interfaces
from .peering import table_name

WORLD = "world"  # the interface with the addresses that represent the outside world
LENGTH = {4: 32, 6: 128}


def border(intent: Intent, found: Index, node: Border) -> dict:
    interfaces = []
    for fabric, uplink in node.uplinks.items():
        interfaces += uplink_interfaces(intent, intent.fabrics[fabric], uplink, lambda vrf: None, lambda vrf: False)
    if node.world:
        addresses = [{"address": f"{address}/{LENGTH[address.version]}"} for address in node.world]
        interfaces.append({"name": WORLD, "type": "dummy", "addresses": addresses})
    tables = [
        {
            "name": f"{table_name(None)}_{family}",
            "family": family,
            "vrf": None,
            "kernel": {"table": MAIN_TABLE, "learn_protocol": None, "prefsrc": None},
            "direct": [],
            "static": [{"prefix": DEFAULT[family]}],
            "accept": [],
        }
        for family in families_of(node, node.vrf)
    ]
    return {
        "network": {
            "sysctls": sysctls(ROUTER_SYSCTLS),
            "vrfs": [],
            "interfaces": interfaces,
            "proxy_arp": [],
            "routes": [],
            "rules": [],
        },
        "bgp": bgp(intent, found, node, [node.vrf], tables),
    }
