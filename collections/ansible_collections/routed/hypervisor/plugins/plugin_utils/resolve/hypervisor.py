# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor's variables."""

from __future__ import annotations

from ..intent.addresses import family_of
from ..intent.model import FAMILIES, Guest, Hypervisor, Intent, Segment
from . import services
from .index import Index
from .links import MAIN_TABLE, ROUTER_SYSCTLS, families_of, sysctls, uplink_interfaces, vrf_devices, without_nones
from .sessions import bird, client_sessions, table_name

RULE_PRIORITY = 2000  # after the kernel's l3mdev rule (1000), before the main table's (32766)
ROUTE_PROTOCOL = 82  # marks the routes that are ours; BIRD learns only these
LENGTH = {"ipv4": 32, "ipv6": 128}

SYSCTLS = {
    # Sockets in no VRF take connections and packets from all: how the host itself uses the VRFs.
    "net.ipv4.tcp_l3mdev_accept": "1",
    "net.ipv4.udp_l3mdev_accept": "1",
    # IPv4 is forwarded per interface. For IPv6 the kernel only looks at this one.
    "net.ipv6.conf.all.forwarding": "1",
    **ROUTER_SYSCTLS,
}


def vrfs_on(node: Hypervisor, intent: Intent) -> list[str]:
    """The VRFs that the node needs: those of its uplinks, loopbacks and guests, in the intent's order."""
    used = {vrf for uplink in node.uplinks.values() for vrf in uplink.given} | set(node.loopbacks)
    used |= {intent.segments[guest.segment].vrf for guest in node.guests}
    return [vrf for vrf in intent.vrfs if vrf in used]


def segments_by_vrf(intent: Intent) -> dict[str, list[Segment]]:
    by_vrf: dict[str, list[Segment]] = {}
    for segment in intent.segments.values():
        by_vrf.setdefault(segment.vrf, []).append(segment)
    return by_vrf


def hypervisor(intent: Intent, found: Index, node: Hypervisor) -> dict:
    vrfs = vrfs_on(node, intent)
    return {
        "network": _network(intent, node, vrfs),
        "bird": bird(
            node,
            intent,
            [{"vrf": vrf, "kernel_table": intent.vrfs[vrf].table} for vrf in vrfs],
            _tables(intent, node, vrfs),
            client_sessions(intent, found, node),
        ),
        **services.all_of(intent, node),
    }


def _network(intent: Intent, node: Hypervisor, vrfs: list[str]) -> dict:
    segments = segments_by_vrf(intent)
    interfaces = []
    for fabric, uplink in node.uplinks.items():
        interfaces += uplink_interfaces(
            intent, intent.fabrics[fabric], uplink, lambda vrf: vrf, lambda vrf: vrf in segments
        )
    for vrf, families in node.loopbacks.items():
        addresses = [
            {"address": f"{families[family].address}/{LENGTH[family]}"} for family in FAMILIES if family in families
        ]
        if addresses:
            interfaces.append(
                {"name": intent.loopbacks[vrf].interface, "type": "dummy", "vrf": vrf, "addresses": addresses}
            )
    routes = []  # the unreachable defaults belong to the VRFs themselves
    for guest in node.guests:
        segment = intent.segments[guest.segment]
        interfaces.append(_port(guest, segment))
        routes += _guest_routes(guest, segment)
    return {
        "sysctls": sysctls(SYSCTLS),
        "vrfs": vrf_devices(intent, vrfs),
        "interfaces": interfaces,
        "proxy_arp": [
            {"interface": guest.port, "proxy_arp": True, "delay": 0, "entries": []}
            for guest in node.guests
            if "ipv4" in guest.address
        ],
        "routes": routes,
        "rules": rules(intent, vrfs),
    }


def _port(guest: Guest, segment: Segment) -> dict:
    """The interface towards a guest. It has the gateway's addresses, and nothing that makes the segment on-link."""
    addresses = []
    ipv4 = {"forwarding": 0, "rp_filter": 1, "send_redirects": 0, "accept_redirects": 0}
    if "ipv4" in guest.address:
        ipv4["forwarding"] = 1
        addresses.append({"address": f"{segment.gateway['ipv4']}/32", "scope": "link"})
    if "ipv6" in guest.address:
        addresses.append({"address": f"{segment.gateway['ipv6']}/64", "nodad": True})
    # addr_gen_mode 1: no link-local address but the gateway's, which is the same on every hypervisor.
    ipv6 = {"accept_ra": 0, "accept_redirects": 0, "addr_gen_mode": 1}
    port = {
        "name": guest.port,
        "vrf": segment.vrf,
        "mtu": segment.mtu,
        "addresses": addresses,
        "sysctls": {"ipv4": ipv4, "ipv6": ipv6},
    }
    return without_nones(port)


def _guest_routes(guest: Guest, segment: Segment) -> list[dict]:
    """To the guest, in its VRF (announced by BGP) and in the main table (for the host itself)."""
    routes = []
    for where in ({"vrf": segment.vrf}, {"table": MAIN_TABLE}):
        for family in FAMILIES:
            if family in guest.address:
                route = {
                    "prefix": f"{guest.address[family]}/{LENGTH[family]}",
                    **where,
                    "interface": guest.port,
                    "metric": segment.metric,
                }
                routes.append(without_nones({**route, "scope": "link" if family == "ipv4" else None}))
    return routes


def rules(intent: Intent, vrfs: list[str]) -> list[dict]:
    """What the host itself reaches through a VRF. The number depends on the intent's `host` prefixes alone."""
    wanted = [(prefix, vrf) for vrf in vrfs for prefix in intent.vrfs[vrf].host]
    return [
        {"priority": RULE_PRIORITY + position, "family": family_of(prefix), "to": str(prefix), "vrf": vrf}
        for position, (prefix, vrf) in enumerate(wanted)
    ]


def _tables(intent: Intent, node: Hypervisor, vrfs: list[str]) -> list[dict]:
    segments = segments_by_vrf(intent)
    tables = []
    for vrf in vrfs:
        loopback = node.loopbacks.get(vrf, {})
        for family in families_of(node, vrf):
            source = str(loopback[family].address) if family in loopback else None
            accepted = [segment.prefix[family] for segment in segments.get(vrf, ()) if family in segment.prefix]
            tables.append(
                {
                    "name": table_name(vrf, family),
                    "family": family,
                    "vrf": vrf,
                    "kernel": {"table": intent.vrfs[vrf].table, "learn_protocol": ROUTE_PROTOCOL, "prefsrc": source},
                    "direct": [intent.loopbacks[vrf].interface] if source else [],
                    "static": [],
                    "accept": [{"prefix": str(prefix), "longest": LENGTH[family]} for prefix in accepted],
                }
            )
    return tables
