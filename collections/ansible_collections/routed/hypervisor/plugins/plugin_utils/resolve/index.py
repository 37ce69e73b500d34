# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Indexes of the intent, built once, so that the cost per node does not depend on the number of other nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..intent.model import Border, Guest, Hypervisor, Intent, Leaf, Reflector
from ..intent.reach import Reach
from ..libraries import netaddr
from .followed import tables
from .proxy_ndp import neighbors

if TYPE_CHECKING:
    from netaddr import IPAddress


@dataclass
class Place:
    """A guest, where it runs, and its position among the guests of its VRF."""

    guest: Guest
    hypervisor: Hypervisor
    position: int


@dataclass
class Index:
    reach: Reach
    reflectors: dict[str, list[Reflector]] = field(default_factory=dict)  # by fabric
    clients: dict[str, list] = field(default_factory=dict)  # by fabric: hypervisors and borders
    leaves: dict[str, list[Leaf]] = field(default_factory=dict)  # by fabric
    named_by: dict[str, list[Hypervisor]] = field(default_factory=dict)  # by router: hypervisors that name it
    borders: dict[str, list[Border]] = field(default_factory=dict)  # by VRF
    places: dict[str, list[Place]] = field(default_factory=dict)  # by VRF
    place: dict[str, Place] = field(default_factory=dict)  # by guest's name
    holders: dict[IPAddress, list[Place]] = field(default_factory=dict)  # of addresses that guests may share
    hypervisors: list[Hypervisor] = field(default_factory=list)
    position: dict[str, int] = field(default_factory=dict)  # of a hypervisor, by name
    neighbors: dict[str, list[str]] = field(default_factory=dict)  # IPv6 addresses of all guests, by segment
    followed: dict[str, dict] = field(default_factory=dict)  # see followed.tables
    tenants: dict[tuple[str, str], list] = field(default_factory=dict)  # prefixes of guests by VRF and family, merged
    networks: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # and of fabrics and loopbacks


def index(intent: Intent) -> Index:
    made = Index(reach=Reach(intent), tenants=_tenants(intent), neighbors=neighbors(intent))
    made.followed = tables(intent, made.neighbors)
    made.hypervisors = list(intent.hypervisors.values())
    made.networks = _networks(intent, made.tenants)
    for reflector in intent.reflectors.values():
        made.reflectors.setdefault(reflector.fabric, []).append(reflector)
    for node in (*intent.hypervisors.values(), *intent.borders.values()):
        for fabric in node.uplinks:
            made.clients.setdefault(fabric, []).append(node)
    for leaf in intent.leaves.values():
        for fabric in leaf.uplinks:
            made.leaves.setdefault(fabric, []).append(leaf)
    for border in intent.borders.values():
        made.borders.setdefault(border.vrf, []).append(border)
    for position, hypervisor in enumerate(made.hypervisors):
        made.position[hypervisor.name] = position
        for neighbor in hypervisor.neighbors.values():
            if neighbor.address is None:
                made.named_by.setdefault(neighbor.name, []).append(hypervisor)
        for guest in hypervisor.guests:
            places = made.places.setdefault(intent.segments[guest.segment].vrf, [])
            made.place[guest.name] = Place(guest, hypervisor, len(places))
            places.append(made.place[guest.name])
            for given in guest.additional:
                if intent.segments[guest.segment].is_shared(given.address):
                    made.holders.setdefault(given.address, []).append(made.place[guest.name])
    return made


def _tenants(intent: Intent) -> dict[tuple[str, str], list]:
    """Prefixes of all guests and containers by (VRF, family), merged. For a fabric's own network only the containers'
    addresses, because routers are on it, too."""
    made: dict[tuple[str, str], list] = {}
    for segment in intent.segments.values():
        for family, prefix in segment.prefix.items():
            made.setdefault((segment.vrf, family), []).append(prefix)
    for hypervisor in intent.hypervisors.values():
        for part in hypervisor.parts.values():
            vrf = intent.container_networks[part.network].vrf
            if part.prefix_owner != "fabric":
                for family, prefix in part.prefix.items():
                    made.setdefault((vrf, family), []).append(prefix)
                continue
            for container in part.containers:
                for family, address in container.address.items():
                    made.setdefault((vrf, family), []).append(netaddr.IPNetwork(address))
    return {key: netaddr.cidr_merge(prefixes) for key, prefixes in made.items()}


def _networks(intent: Intent, tenants: dict[tuple[str, str], list]) -> dict[tuple[str, str], list[str]]:
    """Networks by (VRF, family) in which the intent gives addresses to routers, guests and containers."""
    made = {key: list(prefixes) for key, prefixes in tenants.items()}
    for fabric in intent.fabrics.values():
        for vrf, network in fabric.networks.items():
            for family, prefix in network.prefix.items():
                made.setdefault((vrf, family), []).append(prefix)
    for loopback in intent.loopbacks.values():
        for family, prefix in loopback.prefix.items():
            made.setdefault((loopback.vrf, family), []).append(prefix)
    return {key: [str(prefix) for prefix in netaddr.cidr_merge(prefixes)] for key, prefixes in made.items()}
