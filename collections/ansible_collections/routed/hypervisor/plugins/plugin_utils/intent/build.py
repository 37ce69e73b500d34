# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the model of an intent from the data of its file. Derives addresses; checks nothing."""

from __future__ import annotations

from ..libraries import netaddr
from . import containers, names
from .addresses import address as parsed
from .addresses import gateways, mac_from_ipv4, plus, slaac
from .draft import (
    FAMILIES,
    MAIN,
    MAIN_TABLE,
    Border,
    Fabric,
    Given,
    Guest,
    Hypervisor,
    Intent,
    Lab,
    Leaf,
    Loopback,
    Metrics,
    Neighbor,
    Network,
    Reflector,
    Segment,
    Static,
    Uplink,
    Vrf,
)
from .schema import defaults

BORDER_DAEMON = "bird"  # the only one supported on borders


def _lab(lab: dict) -> Lab:
    return Lab(
        lab["packages"],
        lab["init"],
        {name: node["init"] for name, node in lab["nodes"].items() if "init" in node},
        {name: drill["lost_ms"] for name, drill in lab["drills"].items() if "lost_ms" in drill},
        lab["impair"],
        {name: node["impair"] for name, node in lab["nodes"].items() if node["impair"]},
    )


def build(data: dict) -> Intent:
    """The model of DATA, which has passed through check_shape."""
    bgp = data.get("bgp") or defaults("bgp")
    intent = Intent(
        name=data.get("name", ""),
        asn=bgp.get("as"),
        daemon=bgp["daemon"],
        peering=bgp["peering"],
        mesh=bgp["mesh"],
        timers=bgp["timers"],
        graceful_restart_s=bgp["graceful_restart_s"],
        bfd=bgp.get("bfd"),
        ttl_security=bgp["ttl_security"],
        add_path=bgp["add_path"],
        ospf=data.get("ospf"),
        lab=_lab(data["lab"]) if "lab" in data else None,
        firewall=data["firewall"],
        metrics=_metrics(data["metrics"]) if "metrics" in data else None,
        vrfs={name: _vrf(name, vrf) for name, vrf in data.get("vrfs", {}).items()},
        fabrics={name: _fabric(name, fabric) for name, fabric in data.get("fabrics", {}).items()},
        loopbacks={
            vrf: Loopback(vrf, loopback["interface"], _prefixes(loopback))
            for vrf, loopback in data["loopbacks"].items()
        },
        segments={name: _segment(name, segment) for name, segment in data["segments"].items()},
        guests=[],
        reflectors={},
        borders={},
        leaves={},
        container_networks={
            name: containers.network(name, network) for name, network in data["container_networks"].items()
        },
        hypervisors={},
    )
    intent.reflectors = {name: _reflector(intent, name, node) for name, node in data["reflectors"].items()}
    intent.borders = {name: _border(intent, name, node) for name, node in data["borders"].items()}
    intent.leaves = {name: _leaf(intent, name, node) for name, node in data["leaves"].items()}
    hypervisors = data.get("hypervisors", {})
    intent.hypervisors = {name: _hypervisor(intent, name, node) for name, node in hypervisors.items()}
    intent.guests = [_guest(intent, None, name, guest) for name, guest in data["guests"].items()]
    containers.allocate(intent)
    return intent


def _vrf(name: str, data: dict) -> Vrf:
    host = [netaddr.IPNetwork(prefix) if prefix else None for prefix in data["host"]]
    table = data.get("table", MAIN_TABLE if name == MAIN else None)
    return Vrf(name, table, data.get("vlan"), data["password"], host)


def _metrics(data: dict) -> Metrics:
    return Metrics(_listed(data.get("servers", []), ("metrics", "servers")), data.get("vrf"))


def _prefixes(data: dict) -> dict:
    return {family: netaddr.IPNetwork(data[family]) for family in FAMILIES if family in data}


def _addresses(data: dict) -> dict:
    return {family: parsed(data[family]) for family in FAMILIES if family in data}


def _fabric(name: str, data: dict) -> Fabric:
    networks = {}
    for vrf, network in data.get("networks", {}).items():
        prefix = _prefixes(network)
        first = {family: netaddr.IPAddress(value.first, value.version) for family, value in prefix.items()}
        base = {**first, **_addresses(network.get("hypervisors", {}))}
        networks[vrf] = Network(name, vrf, prefix, base, gateways(network))
    return Fabric(name, data.get("interface", names.uplink(name)), data.get("mtu"), networks)


def _segment(name: str, data: dict) -> Segment:
    prefix = _prefixes(data)
    gateway = {}
    if "ipv4" in prefix and "gateway4" in data:
        gateway["ipv4"] = parsed(data["gateway4"])
    if "ipv6" in prefix:
        gateway["ipv6"] = parsed(data["gateway6"])
    dhcp = data.get("dhcp")
    lease = dhcp["lease_s"] if dhcp is not None and not dhcp["relay"] else None
    relay = _listed(dhcp["relay"], ("segments", name, "dhcp", "relay")) if dhcp is not None else []
    dns = [parsed(address) if address else None for address in data["dns"]]
    anycast = _listed(data["anycast"], ("segments", name, "anycast"))
    sizes = data.get("mtu"), data.get("metric")
    return Segment(name, data.get("vrf"), prefix, gateway, lease, dns, *sizes, anycast, relay, data["ndp"])


def _given(data: dict, path: tuple) -> dict:
    return {family: Given(address, (*path, family)) for family, address in _addresses(data).items()}


def _listed(data: list, path: tuple) -> list[Given]:
    """The addresses of a list, without wrong ones."""
    return [Given(parsed(text), (*path, position)) for position, text in enumerate(data) if text]


def _uplink(intent: Intent, fabric: str, data: dict) -> Uplink:
    default = intent.fabrics[fabric].interface if fabric in intent.fabrics else names.uplink(fabric)
    return Uplink(fabric, data.get("interface", default))


def _reflector(intent: Intent, name: str, data: dict) -> Reflector:
    path = ("reflectors", name)
    daemon = data.get("daemon", intent.daemon)
    node = Reflector(name, path, data.get("router_id"), intent.asn, daemon, fabric=data.get("fabric"))
    if node.fabric:
        uplink = _uplink(intent, node.fabric, data)
        uplink.given = {
            vrf: _given(addresses, (*path, "addresses", vrf)) for vrf, addresses in data.get("addresses", {}).items()
        }
        node.uplinks[node.fabric] = uplink
    return node


def _border(intent: Intent, name: str, data: dict) -> Border:
    path = ("borders", name)
    world = [parsed(address) if address else None for address in data["world"]]
    node = Border(name, path, data.get("router_id"), intent.asn, BORDER_DAEMON, vrf=data.get("vrf"), world=world)
    for fabric, place in data.get("fabrics", {}).items():
        uplink = _uplink(intent, fabric, place)
        uplink.given = {node.vrf: _given(place, (*path, "fabrics", fabric))} if node.vrf is not None else {}
        node.uplinks[fabric] = uplink
    return node


def _leaf(intent: Intent, name: str, data: dict) -> Leaf:
    path = ("leaves", name)
    platform = data["platform"]
    node = Leaf(name, path, data.get("router_id"), data.get("as", intent.asn), platform, platform=platform)
    node.loopback = _given(data.get("loopback", {}), (*path, "loopback"))
    node.maximum_prefix = data["maximum_prefix"]
    node.static = [
        Static((*path, "static", vrf, prefix), vrf, netaddr.IPNetwork(prefix), parsed(next_hop))
        for vrf, routes in data["static"].items()
        for prefix, next_hop in routes.items()
    ]
    for fabric, place in data.get("fabrics", {}).items():
        uplink = _uplink(intent, fabric, place)
        if platform != "nxos":
            uplink.interface = names.on_linux(uplink.interface)
        node.ports[fabric] = [port for port in place["ports"] if port]
        uplink.given = {
            vrf: _given(addresses, (*path, "fabrics", fabric, "addresses", vrf))
            for vrf, addresses in place.get("addresses", {}).items()
        }
        node.uplinks[fabric] = uplink
    return node


def _derived(base: dict, number: int | None, path: tuple) -> dict:
    """One address per family: BASE + NUMBER, where NUMBER is given at PATH."""
    derived = {family: plus(address, number) for family, address in base.items()} if number else {}
    return {family: Given(address, path, derived=True) for family, address in derived.items() if address is not None}


def _hypervisor(intent: Intent, name: str, data: dict) -> Hypervisor:
    path = ("hypervisors", name)
    daemon = data.get("daemon", intent.daemon)
    node = Hypervisor(name, path, data.get("router_id"), data.get("as", intent.asn), daemon, id=data.get("id"))
    for fabric, place in data.get("fabrics", {fabric: {} for fabric in intent.fabrics}).items():
        uplink = _uplink(intent, fabric, place)
        networks = intent.fabrics[fabric].networks if fabric in intent.fabrics else {}
        for vrf, network in networks.items():
            uplink.given[vrf] = _derived(
                {family: network.base[family] for family in network.prefix}, node.id, (*path, "id")
            )
        for vrf, addresses in place.get("addresses", {}).items():
            uplink.given.setdefault(vrf, {}).update(_given(addresses, (*path, "fabrics", fabric, "addresses", vrf)))
        node.uplinks[fabric] = uplink
    for vrf, loopback in intent.loopbacks.items():
        first = {family: netaddr.IPAddress(prefix.first, prefix.version) for family, prefix in loopback.prefix.items()}
        node.loopbacks[vrf] = _derived(first, node.id, (*path, "id"))
    for vrf, addresses in data.get("loopbacks", {}).items():
        node.loopbacks.setdefault(vrf, {}).update(_given(addresses, (*path, "loopbacks", vrf)))
    for neighbor, facts in data["neighbors"].items():
        address = parsed(facts["address"]) if "address" in facts else None
        node.neighbors[neighbor] = Neighbor(neighbor, (*path, "neighbors", neighbor), address, facts.get("as"))
    for network, part in data["container_networks"].items():
        node.parts[network] = containers.part(intent, node, network, part)
    node.ndp = data.get("ndp")
    node.guests = [_guest(intent, node, guest, facts) for guest, facts in data["guests"].items()]
    return node


def _guest(intent: Intent, hypervisor: Hypervisor | None, name: str, data: dict) -> Guest:
    only = next(iter(intent.segments)) if len(intent.segments) == 1 else None
    segment = data.get("segment", only)
    prefix = intent.segments[segment].prefix if segment is not None and segment in intent.segments else {}
    address = {"ipv4": parsed(data["ipv4"])} if "ipv4" in data else {}
    mac = data["mac"].lower() if "mac" in data else mac_from_ipv4(address["ipv4"]) if address else None
    ipv6 = data["ipv6"]
    if ipv6 not in ("slaac", "none"):
        address["ipv6"] = parsed(ipv6)
    elif ipv6 == "slaac" and mac and "ipv6" in prefix and prefix["ipv6"].prefixlen == 64:
        address["ipv6"] = slaac(prefix["ipv6"], mac)
    path = (*(hypervisor.path if hypervisor else ()), "guests", name)
    place, port = (hypervisor.name, name) if hypervisor else ("", "")
    more = _listed(data["addresses"], (*path, "addresses"))
    return Guest(name, path, place, segment, address, ipv6 == "slaac", mac, data.get("port", port), "mac" in data, more)
