# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true on a hypervisor."""

from __future__ import annotations

from ..intent.addresses import family_of
from ..intent.model import FAMILIES, LENGTH, MAIN, MAIN_TABLE, Hypervisor, Intent
from ..resolve.hypervisor import vrfs_on
from ..resolve.index import Index
from ..resolve.links import DEFAULT
from . import containers, firewall, followed, presence, sessions
from .ping import named, ping
from .routes import next_hops, route, to_guests
from .sample import ROUTES, others
from .sessions import LABEL


def expectations(intent: Intent, found: Index, node: Hypervisor, resolved: dict) -> list[dict]:
    return [
        *sessions.expectations(resolved),
        *_rules(resolved),
        *firewall.expectations(node.name, resolved["nftables"]),
        *presence.ports(node),
        *_own_guests(intent, found, node),
        *followed.on_hypervisor(intent, node, resolved),
        *_remote_guests(intent, found, node),
        *_default_routes(intent, found, node),
        *_loopbacks(intent, found, node),
        *_no_way_out(intent, found, node),
        *containers.expectations(intent, found, node, resolved),
    ]


def _rules(resolved: dict) -> list[dict]:
    """Our rules, and the kernel's for VRFs. Rules of others are none of our business."""
    network = resolved["network"]
    tables = {vrf["name"]: vrf["table"] for vrf in network["vrfs"]}
    return [
        {
            "kind": "rules",
            "title": f"the {LABEL[family]} rules of the host's own traffic are complete",
            "family": family,
            "rules": [
                {"priority": rule["priority"], "to": rule["to"], "table": tables.get(rule["vrf"], rule["vrf"])}
                for rule in network["rules"]
                if rule["family"] == family
            ],
            "l3mdev": bool(network["vrfs"]),
        }
        for family in FAMILIES
    ]


def _own_guests(intent: Intent, found: Index, node: Hypervisor) -> list[dict]:
    """Routes to its own guests in both tables, and that the host itself reaches them."""
    wanted = []
    for guest in node.guests:
        table = intent.vrfs[intent.segments[guest.segment].vrf].table
        for address in guest.addresses:
            family = family_of(address)
            here = [place.guest for place in found.holders.get(address, ()) if place.hypervisor is node]
            if here and here[0] is not guest:  # the first one answers
                continue
            for where in dict.fromkeys((table, MAIN_TABLE)):
                title = f"the route to {named(guest, address)} is its port in table {where} ({LABEL[family]})"
                prefix = f"{address}/{LENGTH[family]}"
                wanted.append(
                    {
                        "kind": "route",
                        "title": title,
                        "family": family,
                        "table": where,
                        "prefix": prefix,
                        "nexthops": [],
                        "interfaces": [guest.port],
                    }
                )
            title = f"{node.name} itself reaches its guest {named(guest, address)}"
            wanted.append(ping(family, address, guest.name, title))
    return wanted


def _remote_guests(intent: Intent, found: Index, node: Hypervisor) -> list[dict]:
    wanted = []
    for vrf in vrfs_on(node, intent):
        places = found.places.get(vrf, [])
        start = next(
            (found.place[guest.name].position for guest in node.guests if intent.segments[guest.segment].vrf == vrf),
            None,
        )
        sample = others(places, start, ROUTES, ROUTES) if start is not None else places[:ROUTES]
        remote = [place for place in sample if place.hypervisor is not node]
        wanted += to_guests(found, node, remote, vrf, intent.vrfs[vrf].table)
    return wanted


def _default_routes(intent: Intent, found: Index, node: Hypervisor) -> list[dict]:
    wanted = []
    for vrf in vrfs_on(node, intent):
        for family in FAMILIES:
            ways = [way for border in found.borders.get(vrf, ()) for way in next_hops(node, border, vrf, family)]
            if ways:
                wanted.append(
                    route(family, intent.vrfs[vrf].table, DEFAULT[family], ways, f"everywhere else from {vrf}")
                )
    return wanted


def _loopbacks(intent: Intent, found: Index, node: Hypervisor) -> list[dict]:
    """Routes to others' loopbacks through every shared fabric, and pings where the host's rules lead there."""
    wanted = []
    for other in others(found.hypervisors, found.position[node.name]):
        for vrf, families in other.loopbacks.items():
            for family, given in families.items():
                own = node.loopbacks.get(vrf, {}).get(family)
                ways = next_hops(node, other, vrf, family)
                if not ways or own is None:
                    continue
                prefix = f"{given.address}/{LENGTH[family]}"
                wanted.append(route(family, intent.vrfs[vrf].table, prefix, ways, f"{other.name}'s loopback"))
                if any(given.address in host for host in intent.vrfs[vrf].host):
                    title = f"{node.name} itself uses its loopback towards {other.name} ({LABEL[family]})"
                    wanted.append(
                        {"kind": "route_source", "title": title, "to": str(given.address), "source": str(own.address)}
                    )
                    wanted.append(
                        ping(family, given.address, other.name, f"{node.name} itself reaches {other.name}'s loopback")
                    )
    return wanted


def _no_way_out(intent: Intent, found: Index, node: Hypervisor) -> list[dict]:
    """The host itself cannot reach the outside world through a VRF of guests."""
    return [
        ping(
            "ipv4" if address.version == 4 else "ipv6",
            address,
            border.name,
            f"{node.name} itself does not reach {border.name}",
            "silence",
        )
        for vrf in vrfs_on(node, intent)
        if vrf != MAIN
        for border in found.borders.get(vrf, ())
        for address in border.world
        if not any(address in host for other in intent.vrfs.values() for host in other.host)
    ]
