# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks guests that may run on any hypervisor: that hypervisors can find them, and agree on where they run; and that
routers learn all guests that share an address."""

from __future__ import annotations

from .addresses import tap_mac
from .adjacency import has_vrf
from .draft import Hypervisor, Intent
from .mistakes import Mistakes, Path, listed, render


def check(intent: Intent, mistakes: Mistakes) -> None:
    shared = [f"segments.{name}.anycast" for name, segment in intent.segments.items() if segment.anycast]
    if shared and intent.uses_reflectors and not intent.add_path:
        wrong = f"reflectors would announce only one guest of several with an address in {listed(shared)}"
        mistakes.add(("bgp", "add_path"), wrong, "leave it out")
    if not intent.guests:
        return
    _ports(intent, mistakes)
    _ndp(intent, mistakes)
    if any((section,) in mistakes.touched for section in ("bgp", "fabrics", "hypervisors", "leaves", "vrfs")):
        return
    used = {guest.segment for guest in intent.guests if guest.path not in mistakes.touched}
    hosts: dict[str, Hypervisor] = {}
    for name, segment in intent.segments.items():
        if name not in used or segment.vrf is None:
            continue
        here = [node for node in intent.hypervisors.values() if has_vrf(node, segment.vrf)]
        hosts |= {node.name: node for node in here}
        if not here and segment.vrf in intent.vrfs and ("segments", name) not in mistakes.touched:
            wrong = f"no hypervisor is on a network in {segment.vrf}, so its guests can run nowhere"
            mistakes.add(("segments", name, "vrf"), wrong, "put hypervisors on a fabric with such a network")
    _daemons(intent, list(hosts.values()), mistakes)
    _systems(list(hosts.values()), mistakes)


def _ports(intent: Intent, mistakes: Mistakes) -> None:
    """Those without a port's name are found by its MAC, which has only five bytes of the guest's."""
    first: dict[str, Path] = {}
    for guest in intent.guests:
        if guest.port or guest.mac is None:
            continue
        other = first.setdefault(tap_mac(guest.mac), guest.path)
        if other != guest.path:
            wrong = f"the port's MAC, {tap_mac(guest.mac)}, would be that of {render(other)}, too"
            mistakes.add((*guest.path, "mac"), wrong, "another MAC, or the name of the port")


def _ndp(intent: Intent, mistakes: Mistakes) -> None:
    used = {guest.segment for guest in intent.guests if "ipv6" in guest.address}
    for name, segment in intent.segments.items():
        if name in used and segment.ndp == "ndppd":
            wrong = "ndppd does not run without one of its ports, and the ports of guests under guests come and go"
            right = "leave it out; hypervisors.NAME.ndp is for guests under a hypervisor"
            mistakes.add(("segments", name, "ndp"), wrong, right)


def _daemons(intent: Intent, hosts: list[Hypervisor], mistakes: Mistakes) -> None:
    """GoBGP compares whether a path is its own before MED, and cannot make a local preference of a community."""
    systems = {node.asn for node in (*hosts, *intent.leaves.values())}
    others = [node.name for node in hosts if node.daemon != "bird"]
    if others and len(systems) > 1:
        wrong = f"GoBGP on {listed(others)} would prefer its own path to a guest to any from another autonomous system"
        mistakes.add(("guests",), wrong, "daemon: bird, or one AS for hypervisors and leaves")


def _systems(hosts: list[Hypervisor], mistakes: Mistakes) -> None:
    """In another autonomous system, routers agree on where a guest is if they compare MED and pass communities on."""
    for node in hosts:
        for neighbor in node.neighbors.values():
            if neighbor.address is not None and neighbor.asn not in (None, node.asn):
                wrong = f"{neighbor.name} is in another autonomous system, and not in this file"
                wrong += ": it may not choose a guest's latest place"
                mistakes.add((*neighbor.path, "as"), wrong, "a leaf, or guests under their hypervisors")
