# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor's variables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ...module_utils._netlink.marks import PROTOCOL  # BIRD learns only our routes
from ..intent.addresses import family_of
from ..intent.model import FAMILIES, LENGTH, MAIN, MAIN_TABLE, Hypervisor, Intent, Segment
from . import containers, runtimes, services
from .bgp import bgp
from .firewall import firewall
from .followed import families_of as followed_families
from .followed import followed_guests, port_options, routes_in, segments_on
from .index import Index
from .links import (
    DEFAULT,
    IPV6_FORWARDING,
    ROUTER_SYSCTLS,
    families_of,
    sysctls,
    uplink_interfaces,
    vlan_interface,
    vrf_devices,
    without_nones,
)
from .metrics import metrics
from .peering import table_name
from .proxy_ndp import AGENT, guests_of, proxy_ndp
from .routing_manager import routing_manager

if TYPE_CHECKING:
    from netaddr import IPAddress

IPV6_METRIC = 1024  # the kernel's default; that of IPv4 is 0
RULE_PRIORITY = 2000  # after the kernel's l3mdev rule (1000), before the main table's (32766)

# Sockets outside of VRFs accept connections and packets from all VRFs: this is how the host uses them.
CONTAINERS_SYSCTLS = {"net.ipv4.conf.all.rp_filter": "0"}  # see containers.FORWARDS
VRF_SYSCTLS = {"net.ipv4.tcp_l3mdev_accept": "1", "net.ipv4.udp_l3mdev_accept": "1"}


def vrfs_on(node: Hypervisor, intent: Intent) -> list[str]:
    """The VRFs that the node needs: those of its uplinks, loopbacks and guests, in the intent's order."""
    used = {vrf for uplink in node.uplinks.values() for vrf in uplink.given} | set(node.loopbacks)
    used |= {intent.segments[guest.segment].vrf for guest in node.guests}
    used |= {intent.container_networks[name].vrf for name in node.parts}
    return [vrf for vrf in intent.vrfs if vrf in used]


def segments_by_vrf(intent: Intent) -> dict[str, list[Segment]]:
    by_vrf: dict[str, list[Segment]] = {}
    for segment in intent.segments.values():
        by_vrf.setdefault(segment.vrf, []).append(segment)
    return by_vrf


def hypervisor(intent: Intent, found: Index, node: Hypervisor) -> dict:
    vrfs = vrfs_on(node, intent)
    network = _network(intent, node, vrfs)
    tables = _tables(intent, node, vrfs)
    routing = bgp(intent, found, node, vrfs, tables)
    made = {
        "network": network,
        "nftables": firewall(intent, found, node, network, routing["sessions"]),
        "bgp": routing,
        "retire_guest_ports": {guest.name: guest.port for guest in (*node.guests, *intent.guests) if guest.port},
        **services.all_of(intent, node),
        **runtimes.all_of(intent, node),
    }
    followed = followed_guests(intent, found.followed, node)
    if followed["guests"]:
        made["followed_guests"] = followed
    answers = proxy_ndp(intent, found.neighbors, node)
    if answers:
        made["proxy_ndp"] = answers
    if intent.metrics:
        made["metrics"] = metrics(node)
    if node.daemon == "gobgp":
        made["routing_manager"] = routing_manager(intent, node, tables, routing)
    return made


def _network(intent: Intent, node: Hypervisor, vrfs: list[str]) -> dict:
    routed = {*segments_by_vrf(intent), *containers.routed_vrfs(intent, node)}
    interfaces = []
    for fabric, uplink in node.uplinks.items():
        interfaces += uplink_interfaces(
            intent, intent.fabrics[fabric], uplink, lambda vrf: intent.vrfs[vrf].device, lambda vrf: vrf in routed
        )
    for vrf, families in node.loopbacks.items():
        addresses = [
            {"address": f"{families[family].address}/{LENGTH[family]}"} for family in FAMILIES if family in families
        ]
        if addresses:
            loopback = {"name": intent.loopbacks[vrf].interface, "type": "dummy", "vrf": intent.vrfs[vrf].device}
            interfaces.append(without_nones({**loopback, "addresses": addresses}))
    routes = gateway_routes(intent, node)  # the VRFs themselves have the unreachable default routes
    for guest in node.guests:
        segment = intent.segments[guest.segment]
        interfaces.append(
            {"name": guest.port, "guest": guest.name, **port_options(guest, segment, intent.vrfs[segment.vrf].device)}
        )
    routes += _guest_routes(intent, node)
    return {
        "sysctls": sysctls(_sysctls(intent, node, vrfs)),
        "vrfs": vrf_devices(intent, vrfs),
        "interfaces": interfaces + containers.dummies(intent, node),
        "namespaces": containers.namespaces(node),
        "ipvlan_links": containers.links(intent, node),
        "proxy_arp": _proxies(intent, node),
        "routes": routes + containers.routes(intent, node),
        "rules": rules(intent, vrfs),
    }


def _proxies(intent: Intent, node: Hypervisor) -> list[dict]:
    """Where the kernel answers ARP, by its routes, and NDP, for the addresses that it gets from the agent."""
    wanted: dict[str, dict] = {}
    for guest in node.guests:
        if "ipv4" in guest.address:
            wanted[guest.port] = {"proxy_arp": True, "delay": 0}
    for guest in guests_of(intent, node, AGENT):
        wanted.setdefault(guest.port, {}).update(proxy_ndp=True, ndp_delay=0)
    wanted |= {link: {"proxy_arp": True, "delay": 0} for link in containers.proxies(node)}
    return [{"interface": port, **settings, "entries": []} for port, settings in wanted.items()]


def _sysctls(intent: Intent, node: Hypervisor, vrfs: list[str]) -> dict[str, str]:
    """Host-wide settings: only those without which something of this host would not work."""
    in_vrfs = any(intent.vrfs[vrf].device is not None for vrf in vrfs)
    routes_ipv6 = any("ipv6" in guest.address for guest in node.guests)
    routes_ipv6 |= any("ipv6" in followed_families(intent, segment) for segment in segments_on(intent, node))
    routes_ipv6 |= any("ipv6" in part.prefix for part in node.parts.values())
    return {
        **(VRF_SYSCTLS if in_vrfs else {}),
        **(IPV6_FORWARDING if routes_ipv6 else {}),
        **(CONTAINERS_SYSCTLS if node.parts else {}),
        **ROUTER_SYSCTLS,
    }


def gateway_routes(intent: Intent, node: Hypervisor) -> list[dict]:
    """Default routes to the gateways of its networks: one per VRF and family, through all uplinks with a gateway."""
    ways: dict[tuple[str, str], list[dict]] = {}
    for fabric, uplink in node.uplinks.items():
        for vrf, families in uplink.given.items():
            for family in families:
                gateway = intent.fabrics[fabric].networks[vrf].gateway.get(family)
                if gateway is not None:
                    way = {"gateway": str(gateway), "interface": vlan_interface(intent, uplink, vrf)}
                    ways.setdefault((vrf, family), []).append(way)
    return [
        {"prefix": DEFAULT[family], "table": intent.vrfs[vrf].table, "nexthops": nexthops}
        for (vrf, family), nexthops in ways.items()
    ]


def _guest_routes(intent: Intent, node: Hypervisor) -> list[dict]:
    """Routes to the guests, in their VRF (announced by BGP) and in the main table (for the host itself).

    Of several guests with one address, each later one has a higher metric: it answers when the port before it is gone.
    """
    routes: list[dict] = []
    holders: Counter[IPAddress] = Counter()
    for guest in node.guests:
        segment = intent.segments[guest.segment]
        tables = ({"table": MAIN_TABLE},) if segment.vrf == MAIN else ({"vrf": segment.vrf}, {"table": MAIN_TABLE})
        ways = [(address, _metric(segment, holders[address])) for address in guest.addresses]
        holders.update(guest.addresses)
        for where in tables:
            for address, metric in ways:
                prefix = f"{address}/{LENGTH[family_of(address)]}"
                route = {"prefix": prefix, **where, "interface": guest.port, "metric": metric}
                routes.append(without_nones({**route, "scope": "link" if address.version == 4 else None}))
    return routes


def _metric(segment: Segment, others: int) -> int | None:
    """The metric of a route to a guest, after those of OTHERS with the same address."""
    return (segment.metric or IPV6_METRIC) + others if others else segment.metric


def rules(intent: Intent, vrfs: list[str]) -> list[dict]:
    """Rules for what the host itself reaches through a VRF. Their number depends only on the `host` prefixes."""
    wanted = [(prefix, vrf) for vrf in vrfs if vrf != MAIN for prefix in intent.vrfs[vrf].host if prefix is not None]
    return [
        {"priority": RULE_PRIORITY + position, "family": family_of(prefix), "to": str(prefix), "vrf": vrf}
        for position, (prefix, vrf) in enumerate(wanted)
    ]


def _tables(intent: Intent, node: Hypervisor, vrfs: list[str]) -> list[dict]:
    segments = segments_by_vrf(intent)
    tables = []
    for vrf in vrfs:
        loopback = node.loopbacks.get(vrf, {})
        device = intent.vrfs[vrf].device
        for family in families_of(node, vrf):
            source = str(loopback[family].address) if family in loopback else None
            accepted = [
                {"prefix": str(segment.prefix[family]), "longest": LENGTH[family]}
                for segment in segments.get(vrf, ())
                if family in segment.prefix
            ]
            kernel: dict = {"table": intent.vrfs[vrf].table, "learn_protocol": PROTOCOL, "prefsrc": source}
            guests = routes_in(intent, node, vrf, family)
            if guests:
                kernel["guests"] = guests
            tables.append(
                {
                    "name": f"{table_name(vrf)}_{family}",
                    "family": family,
                    "vrf": device,
                    "kernel": kernel,
                    "direct": [intent.loopbacks[vrf].interface] if source else [],
                    "static": [],
                    "accept": accepted + containers.accepted(intent, node, vrf, family),
                }
            )
    return tables
