# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves: routers that hypervisors are attached to. A leaf forwards in all its VRFs, between the fabrics it is on."""

from __future__ import annotations

from ..intent.addresses import family_of
from ..intent.model import LENGTH, LOOPBACK, Intent, Leaf, Static
from .bgp import bgp
from .index import Index
from .leaf_data import leaf_data
from .links import (
    IPV6_FORWARDING,
    ROUTER_SYSCTLS,
    families_of,
    sysctls,
    uplink_interfaces,
    vlan_interface,
    vrf_devices,
    vrfs_of,
)
from .ospf import ospf
from .peering import table_name


def leaf(intent: Intent, found: Index, node: Leaf) -> dict:
    made: dict = {"bgp": bgp(intent, found, node, vrfs_of(intent, node), _tables(intent, node))}
    if node.platform != "bird":
        made.update(ospf=ospf(intent, found, node), leaf=leaf_data(intent, found, node))
    return made if node.platform == "nxos" else {"network": _network(intent, node), **made}


def _tables(intent: Intent, node: Leaf) -> list[dict]:
    return [
        {
            "name": f"{table_name(vrf)}_{family}",
            "family": family,
            "vrf": intent.vrfs[vrf].device,
            "kernel": {"table": intent.vrfs[vrf].table, "learn_protocol": None, "prefsrc": None},
            "direct": [],
            "static": [
                {"prefix": str(route.prefix)}
                for route in node.static
                if route.vrf == vrf and family_of(route.prefix) == family
            ],
            "accept": [],
        }
        for vrf in vrfs_of(intent, node)
        for family in families_of(node, vrf)
    ]


def _network(intent: Intent, node: Leaf) -> dict:
    interfaces = []
    if node.loopback:
        addresses = [{"address": f"{given.address}/{LENGTH[family]}"} for family, given in node.loopback.items()]
        interfaces.append({"name": LOOPBACK, "type": "dummy", "addresses": addresses})
    for fabric, uplink in node.uplinks.items():
        interfaces += uplink_interfaces(
            intent, intent.fabrics[fabric], uplink, lambda vrf: intent.vrfs[vrf].device, lambda vrf: True
        )
    return {
        "sysctls": sysctls({**(IPV6_FORWARDING if _routes_ipv6(intent, node) else {}), **ROUTER_SYSCTLS}),
        "vrfs": vrf_devices(intent, vrfs_of(intent, node)),
        "interfaces": interfaces,
        "proxy_arp": [],
        "routes": _routes(intent, node) if node.platform == "bird" else [],
        "rules": [],
    }


def _routes_ipv6(intent: Intent, node: Leaf) -> bool:
    return any("ipv6" in families_of(node, vrf) for vrf in vrfs_of(intent, node))


def _routes(intent: Intent, node: Leaf) -> list[dict]:
    """Static routes, which BIRD announces. They are kernel routes: BIRD exports only BGP routes to the kernel."""
    return [
        {
            "prefix": str(route.prefix),
            "table": intent.vrfs[route.vrf].table,
            "nexthops": [{"gateway": str(route.next_hop), "interface": _interface(intent, node, route)}],
        }
        for route in node.static
    ]


def _interface(intent: Intent, node: Leaf, route: Static) -> str:
    """The interface to the next hop's network."""
    family = family_of(route.prefix)
    return next(
        vlan_interface(intent, uplink, route.vrf)
        for fabric, uplink in node.uplinks.items()
        if uplink.address(route.vrf, family) is not None
        and route.next_hop in intent.fabrics[fabric].networks[route.vrf].prefix[family]
    )
