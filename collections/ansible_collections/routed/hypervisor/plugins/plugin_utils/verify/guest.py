# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true for a guest, seen from inside it."""

from __future__ import annotations

from ..intent.addresses import family_of, port_mac
from ..intent.model import Guest, Intent
from ..resolve.firewall import ROUTING_PORTS
from ..resolve.guest import INTERFACE
from ..resolve.index import Index, Place
from .ping import named, ping
from .routes import next_hops
from .sample import others
from .sessions import LABEL


def expectations(intent: Intent, found: Index, node: Guest) -> list[dict]:
    place = found.place[node.name]
    vrf = intent.segments[node.segment].vrf
    peers = others(found.places[vrf], place.position)
    return [
        *_configuration(intent, node),
        *_neighbours(node, peers),
        *_peers(intent, found, place, peers, vrf),
        *_world(intent, found, place, vrf),
        *_isolation(intent, found, place, vrf),
        *_routing_ports(intent, place),
        *_spoofing(found, place, peers, vrf),
    ]


def _configuration(intent: Intent, node: Guest) -> list[dict]:
    """It has its intended addresses, from DHCP and by autoconfiguration."""
    segment = intent.segments[node.segment]
    wanted = []
    if "ipv4" in node.address and segment.has_dhcp:
        address = f"{node.address['ipv4']}/{segment.prefix['ipv4'].prefixlen}"
        title = f"{node.name} has leased {address}"
        gateway = str(segment.gateway["ipv4"])
        wanted.append({"kind": "lease", "title": title, "interface": INTERFACE, "address": address, "gateway": gateway})
    if "ipv6" in node.address and node.is_slaac:
        address = f"{node.address['ipv6']}/{segment.prefix['ipv6'].prefixlen}"
        title = f"{node.name} has given itself {address}"
        gateway = str(segment.gateway["ipv6"])
        wanted.append({"kind": "slaac", "title": title, "interface": INTERFACE, "address": address, "gateway": gateway})
    return wanted


def _neighbours(node: Guest, peers: list[Place]) -> list[dict]:
    """Its own hypervisor answers for every address of the segment: for remote guests, and for one on the same host."""
    elsewhere = [place.guest for place in peers if place.hypervisor.name != node.hypervisor]
    beside = [place.guest for place in peers if place.hypervisor.name == node.hypervisor][:1]
    wanted = []
    for guest in (*elsewhere, *beside):
        for address in guest.addresses:
            family = family_of(address)
            if guest.segment == node.segment and family in node.address and address not in node.addresses:
                protocol, whose = "ARP" if family == "ipv4" else "NDP", named(guest, address)
                wanted.append(
                    {
                        "kind": "neighbor",
                        "title": f"{node.hypervisor} answers {protocol} for {whose} to {node.name}",
                        "family": family,
                        "to": str(address),
                        "to_name": guest.name,
                        "interface": INTERFACE,
                        "mac": port_mac(node.mac),
                    }
                )
    return wanted


def _hop(intent: Intent, place: Place, vrf: str, family: str, with_gateway: bool) -> list[str]:
    """The intended addresses from which a hypervisor may answer a trace: its uplinks', its loopback's, and the
    gateway's on the first hop.

    IPv6 answers come from the gateway's address if the port has no other link-local address: the kernel (up to 7.2)
    compares the scope of a single candidate on the outgoing interface before it has determined it.
    """
    node = place.hypervisor
    addresses = [str(uplink.address(vrf, family)) for uplink in node.uplinks.values() if uplink.address(vrf, family)]
    if loopback := node.loopbacks.get(vrf, {}).get(family):
        addresses.append(str(loopback.address))
    gateway = intent.segments[place.guest.segment].gateway.get(family)
    return [str(gateway), *addresses] if with_gateway and gateway is not None else addresses


def _trace(family: str, target, to_name: str, name: str, hops: list[list[str]], networks: list[str]) -> dict:
    title = (
        f"the way from {name} to {to_name} is {len(hops) - 1} hypervisor{'s' * (len(hops) > 2)} long ({LABEL[family]})"
    )
    return {
        "kind": "trace",
        "title": title,
        "family": family,
        "to": str(target),
        "to_name": to_name,
        "hops": [*hops[:-1], [str(target)]],
        "networks": networks,
    }


def _peers(intent: Intent, found: Index, place: Place, peers: list[Place], vrf: str) -> list[dict]:
    name, wanted = place.guest.name, []
    for peer in peers:
        for address in peer.guest.addresses:
            family = family_of(address)
            if family not in place.guest.address or address in place.guest.addresses:
                continue
            title = f"{name} reaches {named(peer.guest, address)}"
            wanted.append(ping(family, address, peer.guest.name, title))
            # Without a common network, there are leaves or others on the way.
            is_near = bool(next_hops(place.hypervisor, peer.hypervisor, vrf, family))
            if is_near and peer.hypervisor is not place.hypervisor and address not in found.holders:
                hops = [_hop(intent, place, vrf, family, True), _hop(intent, peer, vrf, family, False), []]
                wanted.append(_trace(family, address, peer.guest.name, name, hops, found.networks[vrf, family]))
    return wanted


def _world(intent: Intent, found: Index, place: Place, vrf: str) -> list[dict]:
    name, wanted = place.guest.name, []
    for border in found.borders.get(vrf, ()):
        for address in border.world:
            family = family_of(address)
            if family in place.guest.address and found.reach.meet(place.hypervisor, border, vrf, family):
                wanted.append(ping(family, address, border.name, f"{name} reaches {border.name}"))
                hops = [_hop(intent, place, vrf, family, True), []]
                wanted.append(_trace(family, address, border.name, name, hops, found.networks[vrf, family]))
    return wanted


def _isolation(intent: Intent, found: Index, place: Place, vrf: str) -> list[dict]:
    """It gets no answer from other VRFs: routers' addresses there, and guests."""
    wanted: dict[str, dict] = {}

    def silence(address, to_name: str, what: str) -> None:
        family = family_of(address)
        if family in place.guest.address:
            wanted.setdefault(
                str(address), ping(family, address, to_name, f"{place.guest.name} does not reach {what}", "silence")
            )

    position = found.position[place.hypervisor.name]
    for node in (place.hypervisor, *others(found.hypervisors, position)):
        for other, families in node.loopbacks.items():
            for given in families.values() if other != vrf else ():
                silence(given.address, node.name, f"{node.name}'s loopback in {other}")
        _uplinks(node, vrf, silence)
    for fabric in place.hypervisor.uplinks:
        for reflector in found.reflectors.get(fabric, ()):
            _uplinks(reflector, vrf, silence)
    for other, places in found.places.items():
        for stranger in places[:1] if other != vrf else ():
            for address in stranger.guest.addresses:
                silence(address, stranger.guest.name, f"{stranger.guest.name} in {other}")
    return list(wanted.values())


def _routing_ports(intent: Intent, place: Place) -> list[dict]:
    """It cannot reach the BGP daemon on its hypervisor: the firewall drops its packets."""
    if not intent.firewall:
        return []
    wanted = []
    for family, gateway in intent.segments[place.guest.segment].gateway.items():
        if gateway is None or family not in place.guest.address:
            continue
        who = f"{place.hypervisor.name} does not answer {place.guest.name}"
        to = f"{gateway}%{INTERFACE}" if gateway.is_link_local() else str(gateway)
        wanted += [
            {
                "kind": "tcp",
                "title": f"{who} on TCP port {port} ({LABEL[family]})",
                "to": to,
                "to_name": place.hypervisor.name,
                "port": port,
                "expect": "silence",
            }
            for port in ROUTING_PORTS["tcp"]
        ]
    return wanted


def _uplinks(node, vrf: str, silence) -> None:
    for uplink in node.uplinks.values():
        for other, families in uplink.given.items():
            for given in families.values() if other != vrf else ():
                silence(given.address, node.name, f"{node.name} on {uplink.fabric} in {other}")


def _spoofing(found: Index, place: Place, peers: list[Place], vrf: str) -> list[dict]:
    """It cannot send from another guest's IPv4 address. Without another guest in IPv4, there is nothing to verify."""
    victims = [peer for peer in peers if "ipv4" in peer.guest.address]
    victims.sort(key=lambda peer: peer.hypervisor is place.hypervisor)
    targets = [
        (border.name, address)
        for border in found.borders.get(vrf, ())
        for address in border.world
        if address.version == 4 and found.reach.meet(place.hypervisor, border, vrf, "ipv4")
    ]
    if not victims or not targets or "ipv4" not in place.guest.address:
        return []
    victim, (to_name, target) = victims[0].guest, targets[0]
    return [
        {
            "kind": "spoof",
            "title": f"{place.guest.name} cannot send from {victim.name}'s address",
            "family": "ipv4",
            "from": str(victim.address["ipv4"]),
            "to": str(target),
            "to_name": to_name,
            "node": place.guest.name,
        }
    ]
