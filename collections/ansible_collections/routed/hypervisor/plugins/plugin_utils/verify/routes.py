# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that BGP must have installed: the next hops of a prefix in a routing table."""

from __future__ import annotations

from ..intent.model import FAMILIES, LENGTH
from .sessions import LABEL


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
    return {**expected, "nexthops": [], "interfaces": interfaces} if interfaces else {**expected, "nexthops": nexthops}


def to_guest(node, place, vrf: str, table: int) -> list[dict]:
    """The routes of NODE to a remote guest, in each family that the two hypervisors have in common."""
    found = []
    for family in FAMILIES:
        address = place.guest.address.get(family)
        ways = next_hops(node, place.hypervisor, vrf, family)
        if address is not None and ways:
            found.append(route(family, table, f"{address}/{LENGTH[family]}", ways, place.guest.name))
    return found
