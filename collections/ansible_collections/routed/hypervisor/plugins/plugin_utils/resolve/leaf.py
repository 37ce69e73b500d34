# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves: routers that hypervisors are attached to. A leaf forwards in all its VRFs, between the fabrics it is on."""

from __future__ import annotations

from ..intent.model import Intent, Leaf
from .index import Index
from .links import ROUTER_SYSCTLS, families_of, sysctls, uplink_interfaces, vrf_devices, vrfs_of
from .sessions import daemon, sessions, table_name

SYSCTLS = {"net.ipv6.conf.all.forwarding": "1", **ROUTER_SYSCTLS}


def leaf(intent: Intent, found: Index, node: Leaf) -> dict:
    vrfs = [vrf for vrf in intent.vrfs if vrf in vrfs_of(node)]
    interfaces = []
    for fabric, uplink in node.uplinks.items():
        interfaces += uplink_interfaces(
            intent, intent.fabrics[fabric], uplink, lambda vrf: intent.vrfs[vrf].device, lambda vrf: True
        )
    tables = [
        {
            "name": table_name(vrf, family),
            "family": family,
            "vrf": intent.vrfs[vrf].device,
            "kernel": {"table": intent.vrfs[vrf].table, "learn_protocol": None, "prefsrc": None},
            "direct": [],
            "static": [],
            "accept": [],
        }
        for vrf in vrfs
        for family in families_of(node, vrf)
    ]
    return {
        "network": {
            "sysctls": sysctls(SYSCTLS),
            "vrfs": vrf_devices(intent, vrfs),
            "interfaces": interfaces,
            "proxy_arp": [],
            "routes": [],
            "rules": [],
        },
        **daemon(intent, node, vrfs, tables, sessions(intent, found, node)),
    }
