# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks segments whose guests' DHCP requests are relayed: that servers are elsewhere, and can reply to hypervisors."""

from __future__ import annotations

from .adjacency import has_vrf
from .draft import Hypervisor, Intent, Segment
from .mistakes import Mistakes, Path, listed
from .placement import Placement
from .uniqueness import Once


def check(intent: Intent, written: set[Path], mistakes: Mistakes, placed: Placement) -> None:
    """WRITTEN holds the paths present in the file; other values are defaults."""
    for segment in intent.segments.values():
        if not segment.relay:
            continue
        path = ("segments", segment.name, "dhcp")
        if (*path, "lease_s") in written:
            mistakes.add((*path, "lease_s"), "leases are those of the servers in relay", "leave it out")
        for position, address in enumerate(segment.dns):
            if address is not None and address.version == 4:
                wrong = f"{address} would be part of leases, which are those of the servers in dhcp.relay"
                mistakes.add(("segments", segment.name, "dns", position), wrong, "leave it out")
        _servers(segment, mistakes, placed)
        if not any((section,) in mistakes.touched for section in ("loopbacks", "hypervisors", "vrfs")):
            _sources(intent, segment, mistakes)


def _servers(segment: Segment, mistakes: Mistakes, placed: Placement) -> None:
    servers = Once(mistakes, "", "each server is needed once")
    for given in segment.relay:
        around = placed.tenants_around(given.address)
        if around:  # on its own hypervisor, replies would come from a guest's port
            wrong = f"{given.address} is in {around}; the relay accepts no replies from guests"
            mistakes.add(given.path, wrong, "a server outside of guests' and containers' networks")
        else:
            servers.give(given.address, given.path)


def _sources(intent: Intent, segment: Segment, mistakes: Mistakes) -> None:
    """Every hypervisor has the gateway's address, so that replies to it could arrive anywhere."""
    nodes = [node.name for node in relays(intent, segment) if "ipv4" not in node.loopbacks.get(segment.vrf or "", {})]
    if nodes:
        wrong = f"without an IPv4 loopback in {segment.vrf} on {listed(nodes)}"
        right = f"add loopbacks.{segment.vrf}.ipv4: servers reply to an address there, through any uplink"
        mistakes.add(("segments", segment.name, "dhcp", "relay"), wrong, right)


def relays(intent: Intent, segment: Segment) -> list[Hypervisor]:
    """The hypervisors with guests in a segment, or on which such guests may run."""
    is_anywhere = any(guest.segment == segment.name for guest in intent.guests)
    return [
        node
        for node in intent.hypervisors.values()
        if any(guest.segment == segment.name for guest in node.guests)
        or (is_anywhere and segment.vrf is not None and has_vrf(node, segment.vrf))
    ]
