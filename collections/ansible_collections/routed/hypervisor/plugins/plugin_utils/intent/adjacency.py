# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where two routers can have a BGP session, and which routers peer."""

from __future__ import annotations

from .draft import FAMILIES, Hypervisor, Intent, Leaf, Reflector, Router


def shared(one: Router, other: Router) -> list[tuple[str, str, str]]:
    """(fabric, VRF, family) of every network on which both have an address."""
    return [
        (fabric, vrf, family)
        for fabric, uplink in one.uplinks.items()
        if fabric in other.uplinks
        for vrf, given in uplink.given.items()
        for family in FAMILIES
        if family in given and other.uplinks[fabric].address(vrf, family) is not None
    ]


def remote(one: Router, other: Router) -> list[tuple[str, str]]:
    """(VRF, family) that both have, but without a common network: packets between them are routed."""
    direct = {(vrf, family) for _fabric, vrf, family in shared(one, other)}
    theirs = set(_all_of(other))
    return [pair for pair in dict.fromkeys(_all_of(one)) if pair in theirs and pair not in direct]


def _all_of(node: Router) -> list[tuple[str, str]]:
    return [
        (vrf, family)
        for uplink in node.uplinks.values()
        for vrf, given in uplink.given.items()
        for family in FAMILIES
        if family in given
    ]


def place(node: Router, vrf: str, family: str) -> str | None:
    """The first fabric on which a router has an address in a VRF and family."""
    return next((fabric for fabric, uplink in node.uplinks.items() if uplink.address(vrf, family) is not None), None)


def is_meshed(intent: Intent) -> bool:
    """Whether hypervisors and borders peer in a full mesh, not with reflectors or configured neighbors."""
    return intent.peering == "automatic" and not intent.uses_reflectors


def mesh(intent: Intent) -> list[Router]:
    """The routers of the full mesh; empty without one."""
    return list(intent.clients) if is_meshed(intent) else []


def named(intent: Intent, node: Hypervisor) -> list[Router]:
    """The routers of the intent that are a hypervisor's neighbors by name."""
    found = (intent.router(neighbor.name) for neighbor in node.neighbors.values() if neighbor.address is None)
    return [router for router in found if router is not None]


def names(one: Router, other: Router) -> bool:
    """Whether ONE is a hypervisor that has OTHER as a neighbor, by name."""
    neighbor = getattr(one, "neighbors", {}).get(other.name)
    return neighbor is not None and neighbor.address is None


def with_leaves(intent: Intent) -> bool:
    """Whether hypervisors peer with the leaves of their fabrics by default."""
    return intent.peering != "configured"


def has_vrf(node: Hypervisor, vrf: str) -> bool:
    """Whether a hypervisor is on a network of a VRF: guests that may run anywhere run only there."""
    return any(vrf in uplink.given for uplink in node.uplinks.values())


def passes_on(node: Router) -> bool:
    """Whether a router re-announces routes learned from others; all others announce only their own."""
    return isinstance(node, (Leaf, Reflector))
