# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that BGP must have installed: the next hops of a prefix in a routing table."""

from __future__ import annotations

import typing as t

from ..intent.addresses import family_of
from ..intent.model import LENGTH
from ..resolve.bgp import MAXIMUM_PATHS
from ..resolve.index import Index, Place
from .ping import named
from .sessions import LABEL

if t.TYPE_CHECKING:
    from netaddr import IPAddress


def next_hops(node, other, vrf: str, family: str) -> list[str]:
    """OTHER's addresses in a VRF on the fabrics that both are on: one path per fabric."""
    shared = [
        other.uplinks[fabric]
        for fabric, uplink in node.uplinks.items()
        if fabric in other.uplinks and uplink.address(vrf, family)
    ]
    return [str(uplink.address(vrf, family)) for uplink in shared if uplink.address(vrf, family)]


def route(
    family: str, table: int, prefix: str, nexthops: list[str], destination: str, interfaces: list[str] | None = None
) -> dict:
    """If INTERFACES are given, only they are verified, not the next hops."""
    ways = f"{len(nexthops)} next hops" if len(nexthops) > 1 else "its next hop"
    if interfaces:
        ways = f"its ways by {' and '.join(interfaces)}"
    title = f"the route to {destination} has {ways} in table {table} ({LABEL[family]})"
    expected = {"kind": "route", "title": title, "family": family, "table": table, "prefix": prefix}
    if interfaces:
        return {**expected, "nexthops": [], "interfaces": interfaces}
    return {**expected, "nexthops": nexthops, **({"least": MAXIMUM_PATHS} if len(nexthops) > MAXIMUM_PATHS else {})}


def to_guests(found: Index, node, places: list[Place], vrf: str, table: int) -> list[dict]:
    """The routes of NODE to guests on other hypervisors, in each family that the two hypervisors have in common.

    Those to an address that guests share lead to all hypervisors with such a guest, unless NODE is one of them.
    """
    made: dict[IPAddress, dict] = {}
    for place in places:
        for address in place.guest.addresses:
            family, holders = family_of(address), found.holders.get(address, [place])
            carriers = list({holder.hypervisor.name: holder.hypervisor for holder in holders}.values())
            ways = [way for carrier in carriers for way in next_hops(node, carrier, vrf, family)]
            if ways and address not in made and node not in carriers:
                name = named(place.guest, address)
                if address in found.holders:
                    name = f"{address} of {' and '.join(holder.guest.name for holder in holders)}"
                made[address] = route(family, table, f"{address}/{LENGTH[family]}", ways, name)
    return list(made.values())
