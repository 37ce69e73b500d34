# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides, from what was seen, which port is whose and which routes there should be. Pure. Private to this collection.

A guest is held here if it was received on its port after any other hypervisor announced it. This is expressed by a
sequence number, one higher than all others that were seen: the kernel's route stores it, so that it survives a restart.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._netlink import codec
from ..._netlink.marks import MARK
from .guests import Destination, Guest, Guests
from .seen import FIRST_METRIC, LAST, ORDINARY, Seen

TAPS = ("tun", "veth", "macvtap")  # kinds of links among which a port is looked for by its MAC
TAP_MAC = "fe:"
LOWER_UP = 0x10000
HIGH = 1000  # above this a lone holder begins again


@dataclasses.dataclass(frozen=True)
class Decision:
    bound: dict[int, Guest]  # by link
    silent: dict[int, Guest]  # those that are to be listened to: usable ports of guests that are not held
    held: dict[str, tuple[int, int]]  # by guest: link and sequence number
    routes: dict[Destination, dict[int, int]]  # as Seen.own
    released: set[int]  # links with settings of ours that are no guest's port any more
    problems: list[str]
    strangers: list[str]  # ports of virtual machines that are in no table: they get nothing


def decide(guests: Guests, seen: Seen, heard: t.Mapping[str, int], settled: t.Container[str] = ()) -> Decision:
    """`heard`: guests that were received since they were last not held, and on which link. `settled`: guests held for
    so long that no announcement of an earlier place can be on its way."""
    bound, problems = _bound(guests, seen)
    released = {index for index, _address in seen.marked if index not in bound}
    links = seen.links.values() if guests.all else ()
    strangers = [f"{link.name} ({link.mac})" for link in links if _is_stranger(guests, link)]
    decision = Decision(bound, {}, {}, {}, released, problems, sorted(strangers))
    for index, guest in bound.items():
        if not is_usable(guests, guest, seen.links[index], seen):
            continue
        number = _sequence(guests, guest, index, seen, heard.get(guest.name) == index)
        if number is None:
            decision.silent[index] = guest
            continue
        if number > HIGH and guest.name in settled:
            number = ORDINARY + 1
        decision.held[guest.name] = (index, min(number, LAST))
        for destination in guests.destinations(guest):
            decision.routes[destination] = {FIRST_METRIC + min(number, LAST): index}
        for destination in guests.shared(guest):  # of several guests here, the one with the oldest port
            decision.routes.setdefault(destination, {FIRST_METRIC: index})
    return decision


def is_usable(guests: Guests, guest: Guest, link: codec.Link, seen: Seen) -> bool:
    """Whether a port is in its VRF, up, and has a carrier: routes through it last, whatever else it lacks."""
    master = seen.links.get(link.master)
    in_vrf = (master.name if master else None) == guests.kind(guest).vrf
    return in_vrf and link.up and bool(link.flags & LOWER_UP)


def is_configured(guests: Guests, guest: Guest, link: codec.Link, seen: Seen) -> bool:
    """Whether a port is up, and has its VRF, its MAC and the addresses of the gateways."""
    kind = guests.kind(guest)
    master = seen.links.get(link.master)
    in_vrf = (master.name if master else None) == kind.vrf
    gateways = {(link.index, address) for address in kind.gateways}
    return in_vrf and link.up and link.mac == guest.port_mac and gateways <= seen.marked


def _sequence(guests: Guests, guest: Guest, index: int, seen: Seen, is_heard: bool) -> int | None:
    destinations = guests.destinations(guest)
    own = [(metric - FIRST_METRIC, link) for where in destinations for metric, link in seen.own.get(where, {}).items()]
    mine = max((number for number, link in own if link == index), default=0)
    elsewhere = max((number for number, link in own if link != index), default=0)
    theirs = max((number for where in destinations for number in seen.others.get(where, ())), default=0)
    if mine > max(theirs, elsewhere):
        return mine
    return max(mine, theirs, elsewhere, ORDINARY) + 1 if is_heard else None


def _bound(guests: Guests, seen: Seen) -> tuple[dict[int, Guest], list[str]]:
    """Which link is whose port. Of several with one MAC, the first that was created keeps the guest."""
    found: dict[str, int] = {}
    problems = []
    for index, link in sorted(seen.links.items()):
        guest = _guest_of(guests, link)
        if guest is None:
            continue
        master = seen.links.get(link.master)
        if guest.name in found:
            problems.append(
                f"{link.name} has the MAC of {guest.name}, whose port is {seen.links[found[guest.name]].name}"
            )
        elif master is not None and master.kind != "vrf":
            problems.append(f"{link.name} would be the port of {guest.name}, but is a port of {master.name}")
        else:
            found[guest.name] = index
    return {index: guests.all[name] for name, index in found.items()}, problems


def _is_stranger(guests: Guests, link: codec.Link) -> bool:
    """A tap with a MAC as libvirt gives them, on its own: what is in a bridge is the business of others."""
    is_tap = link.kind == "tun" and link.mac.startswith(TAP_MAC) and link.up and not link.master
    return is_tap and link.name not in guests.configured and _guest_of(guests, link) is None


def _guest_of(guests: Guests, link: codec.Link) -> Guest | None:
    if link.alias == MARK:
        return None
    for name in (link.name, *link.altnames):
        if name in guests.by_port:
            return guests.by_port[name]
    return guests.by_mac.get(link.mac) if link.kind in TAPS else None
