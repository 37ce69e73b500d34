# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers neighbor solicitations of a hypervisor's own guests, and for which addresses."""

from __future__ import annotations

from ..intent.model import Guest, Hypervisor, Intent

AGENT, NDPPD = "agent", "ndppd"


def guests_of(intent: Intent, node: Hypervisor, by: str) -> list[Guest]:
    """The hypervisor's own guests with IPv6 that the agent, or ndppd, answers."""
    guests = [guest for guest in node.guests if "ipv6" in guest.address]
    return [guest for guest in guests if (node.ndp or intent.segments[guest.segment].ndp) == by]


def proxy_ndp(intent: Intent, neighbors: dict[str, list[str]], node: Hypervisor) -> dict | None:
    """For the agent: each port answers for all guests of its segment but its own. None if there is no such port."""
    guests = guests_of(intent, node, AGENT)
    if not guests:
        return None
    segments = {guest.segment: intent.segments[guest.segment] for guest in guests}
    return {
        "segments": {
            name: {"gateway": str(segment.gateway["ipv6"]), "neighbors": neighbors[name]}
            for name, segment in segments.items()
        },
        "ports": {
            guest.port: {"segment": guest.segment, "own": [str(one) for one in guest.addresses if one.version == 6]}
            for guest in guests
        },
    }


def neighbors(intent: Intent) -> dict[str, list[str]]:
    """The IPv6 addresses of all guests, by segment."""
    found: dict[str, dict[str, None]] = {}
    own = (guest for node in intent.hypervisors.values() for guest in node.guests)
    for guest in (*own, *intent.guests):
        addresses = (str(address) for address in guest.addresses if address.version == 6)
        found.setdefault(guest.segment, {}).update(dict.fromkeys(addresses))
    return {name: list(addresses) for name, addresses in found.items()}
