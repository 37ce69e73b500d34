# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of guests that may run on any hypervisor, as a run has distributed it. Private to this collection."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..._netlink.codec import packed

Destination = tuple[int, bytes]  # routing table and address of a route to a guest


@dataclasses.dataclass(frozen=True)
class Guest:
    name: str
    kind: str  # what its port gets: a key of Guests.kinds
    mac: bytes
    port: str | None  # the name of its port; None: any port with this MAC
    port_mac: str
    addresses: tuple[bytes, ...]  # its own: they show where it is
    anycast: tuple[bytes, ...] = ()  # those that it shares with others


@dataclasses.dataclass(frozen=True)
class PortKind:
    """What the ports of guests of one segment get."""

    tables: tuple[int, ...]  # with routes to the guests
    vrf: str | None
    interface: dict[str, t.Any]  # options of the module `interfaces`
    proxy_arp: dict[str, t.Any]  # options of the module `proxy_arp`
    neighbors: tuple[str, ...]  # addresses of all guests of the segment, for which a port answers
    gateways: tuple[bytes, ...]

    @functools.cached_property
    def answered(self) -> frozenset[bytes]:
        return frozenset(map(packed, self.neighbors))


class Guests:
    """`given` is the variable `followed_guests`, `configured` the names of interfaces that a run has configured."""

    def __init__(self, given: dict[str, t.Any], configured: t.Collection[str] = ()) -> None:
        self.configured = frozenset(configured)
        self.kinds = {name: _kind(entry) for name, entry in (given.get("ports") or {}).items()}
        self.all = {name: _guest(name, entry) for name, entry in (given.get("guests") or {}).items()}
        self.by_port = {guest.port: guest for guest in self.all.values() if guest.port}
        self.by_mac = {guest.port_mac: guest for guest in self.all.values() if not guest.port}
        self.by_destination = {
            destination: guest for guest in self.all.values() for destination in self.destinations(guest)
        }

    def kind(self, guest: Guest) -> PortKind:
        return self.kinds[guest.kind]

    def destinations(self, guest: Guest) -> list[Destination]:
        return self._in_tables(guest, guest.addresses)

    def shared(self, guest: Guest) -> list[Destination]:
        return self._in_tables(guest, guest.anycast)

    def _in_tables(self, guest: Guest, addresses: tuple[bytes, ...]) -> list[Destination]:
        return [(table, address) for address in addresses for table in self.kinds[guest.kind].tables]


def _guest(name: str, entry: dict[str, t.Any]) -> Guest:
    mac = bytes.fromhex(entry["mac"].replace(":", ""))
    addresses = tuple(packed(address) for address in entry["addresses"])
    anycast = tuple(packed(address) for address in entry.get("anycast") or ())
    return Guest(name, entry["kind"], mac, entry["port"], entry["port_mac"], addresses, anycast)


def _kind(entry: dict[str, t.Any]) -> PortKind:
    return PortKind(
        tuple(entry["tables"]),
        entry["interface"].get("vrf"),
        entry["interface"],
        entry["proxy_arp"],
        tuple(entry["neighbors"]),
        tuple(packed(address) for address in entry["gateways"]),
    )
