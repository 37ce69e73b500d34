# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's links, addresses and routes: read once, then kept up to date by what the kernel tells."""

from __future__ import annotations

import errno
import os
import socket
import struct
import typing as t

from . import netlink
from .model import ANNOUNCED_PROTOCOL, OURS, Hop, Prefix, Route, ordered

IFF_UP, IFF_LOOPBACK, IFF_RUNNING = 0x1, 0x8, 0x40
NO_STATISTICS = netlink.number_slot(29, 8)  # IFLA_EXT_MASK
DST, OIF, GATEWAY, PRIORITY, PREFSRC, MULTIPATH, TABLE, VIA = 1, 4, 5, 6, 7, 9, 15, 18
ROUTE_HEADER = struct.Struct("=BBBBBBBBI")  # family, lengths, tos, table, protocol, scope, kind, flags
CLONED = 0x200
NOWHERE = 255
GONE = (errno.ESRCH, errno.ENOENT)


class Link(t.NamedTuple):
    name: str
    up: bool
    running: bool  # it has a carrier
    loopback: bool


class Action(t.NamedTuple):
    verb: str  # write, remove
    route: Route


def parse_link(body: memoryview) -> tuple[int, Link]:
    index, flags = struct.unpack_from("=iI", body, 4)
    name = bytes(netlink.slots(body, 16)[3]).rstrip(b"\0").decode(errors="replace")
    return index, Link(name, bool(flags & IFF_UP), bool(flags & IFF_RUNNING), bool(flags & IFF_LOOPBACK))


def parse_address(body: memoryview) -> tuple[int, bytes] | None:
    found = netlink.slots(body, 8)
    address = found.get(2, found.get(1))  # the address, not the far side of a point-to-point link
    return (struct.unpack_from("=I", body, 4)[0], bytes(address)) if address is not None else None


def _gateway(found: dict[int, memoryview]) -> bytes | None:
    if GATEWAY in found:
        return bytes(found[GATEWAY])
    return bytes(found[VIA][2:]) if VIA in found else None


def _hops(found: dict[int, memoryview]) -> tuple[Hop, ...]:
    if MULTIPATH not in found:
        if OIF not in found:
            return ()
        return (Hop(_gateway(found), struct.unpack_from("=I", found[OIF])[0]),)
    hops, body, start = [], found[MULTIPATH], 0
    while start + 8 <= len(body):
        length, _flags, weight, index = struct.unpack_from("=HBBi", body, start)
        hops.append(Hop(_gateway(netlink.slots(body[: start + length], start + 8)), index, weight + 1))
        start += (length + 3) & ~3
    return ordered(hops)


def parse_route(body: memoryview) -> tuple[int, Route] | None:
    """(table, route), None for what is no entry of a routing table."""
    family, length, source, tos, table, protocol, scope, kind, flags = ROUTE_HEADER.unpack_from(body)
    if flags & CLONED or source or tos or family not in (socket.AF_INET, socket.AF_INET6):
        return None
    found = netlink.slots(body, ROUTE_HEADER.size)
    if TABLE in found:
        table = struct.unpack_from("=I", found[TABLE])[0]
    address = bytes(found[DST]) if DST in found else bytes(4 if family == socket.AF_INET else 16)
    return table, Route(
        prefix=Prefix(address, length),
        metric=struct.unpack_from("=I", found[PRIORITY])[0] if PRIORITY in found else 0,
        protocol=protocol,
        hops=_hops(found),
        kind=kind,
        scope=scope,
        prefsrc=bytes(found[PREFSRC]) if PREFSRC in found else None,
    )


def _gateway_slot(route: Route, hop: Hop) -> bytes:
    if hop.gateway is None:
        return b""
    if len(hop.gateway) == len(route.prefix.address):
        return netlink.slot(GATEWAY, hop.gateway)
    return netlink.slot(VIA, struct.pack("=H", socket.AF_INET6) + hop.gateway)


def _request(table: int, action: Action) -> tuple[int, int, bytes]:
    route, write = action.route, action.verb == "write"
    body = ROUTE_HEADER.pack(
        route.prefix.family,
        route.prefix.length,
        0,
        0,
        table if table < 256 else 0,
        route.protocol,
        route.scope if write else NOWHERE,
        route.kind,
        0,
    )
    body += netlink.slot(DST, route.prefix.address) + netlink.number_slot(TABLE, table)
    body += netlink.number_slot(PRIORITY, route.metric)
    if not write:
        return netlink.ROUTE + 1, 0, body
    if route.prefsrc:
        body += netlink.slot(PREFSRC, route.prefsrc)
    if len(route.hops) == 1:
        body += netlink.number_slot(OIF, route.hops[0].link) + _gateway_slot(route, route.hops[0])
    else:
        ways = b""
        for hop in route.hops:
            gateway = _gateway_slot(route, hop)
            ways += struct.pack("=HBBi", 8 + len(gateway), 0, hop.weight - 1, hop.link) + gateway
        body += netlink.slot(MULTIPATH, ways)
    return netlink.ROUTE, netlink.CREATE | netlink.REPLACE, body


Table = dict[Prefix, tuple[Route, ...]]


class Host:
    """What the kernel has in our own namespace: links, addresses, and the routes of the tables that were asked for.

    A link is of interest once a route uses it, or by its name if that is one of `interfaces`.
    """

    def __init__(self, requests: netlink.Requests, tables: t.Iterable[int], interfaces: t.Iterable[str] = ()) -> None:
        self.requests = requests
        self.tables: dict[int, Table] = {number: {} for number in tables}
        self.links: dict[int, Link] = {}
        self.addresses: set[bytes] = set()
        self.interfaces = frozenset(interfaces)
        self.used: set[int] = set()  # links of any route

    def read(self) -> None:
        """Reads everything anew."""
        ask = self.requests.ask
        self.links = dict(map(parse_link, ask(netlink.LINK + 2, bytes(16) + NO_STATISTICS, netlink.DUMP)))
        found = map(parse_address, ask(netlink.ADDRESS + 2, bytes(8), netlink.DUMP))
        self.addresses = {entry[1] for entry in found if entry}
        for number in self.tables:
            self.tables[number] = self._read_table(number)
        every = (route for table in self.tables.values() for routes in table.values() for route in routes)
        self.used = {hop.link for route in every for hop in route.hops}

    def _read_table(self, number: int) -> Table:
        table: Table = {}
        for family in (socket.AF_INET, socket.AF_INET6):
            header = ROUTE_HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0) + netlink.number_slot(TABLE, number)
            try:
                answers = self.requests.ask(netlink.ROUTE + 2, header, netlink.DUMP)
            except netlink.NetlinkError as error:
                if error.errno not in GONE:  # a table without routes is none
                    raise
                continue
            for answer in answers:
                entry = parse_route(answer)
                if entry and entry[0] == number:
                    table[entry[1].prefix] = (*table.get(entry[1].prefix, ()), entry[1])
        return table

    def is_news(self, message: netlink.Message) -> bool:
        """Whether a notification says what we do not know. Echoes of our own changes do not."""
        number, _flags, _sequence, body = message
        if number in (netlink.LINK, netlink.LINK + 1):
            if body[0]:  # a bridge speaks of its port
                return False
            return self._take_link(number == netlink.LINK, *parse_link(body))
        if number in (netlink.ADDRESS, netlink.ADDRESS + 1):
            entry = parse_address(body)
            return entry is not None and (entry[1] in self.addresses) is (number != netlink.ADDRESS)
        if number in (netlink.ROUTE, netlink.ROUTE + 1):
            entry = parse_route(body)
            if entry is None or entry[0] not in self.tables:
                return False
            known = self.tables[entry[0]].get(entry[1].prefix, ())
            return (entry[1] in known) is (number != netlink.ROUTE)
        return False

    def _take_link(self, there: bool, index: int, link: Link) -> bool:
        """Containers come with links that pass through us: reading all routes again for each would be costly."""
        before = self.links.pop(index, None)
        if there:
            self.links[index] = link
        names = {link.name, before.name if before else link.name}
        return before != self.links.get(index) and (index in self.used or not names.isdisjoint(self.interfaces))

    def apply(self, number: int, actions: t.Sequence[Action]) -> list[tuple[Action, str]]:
        """Carries out changes of one table; returns those that failed, with the reason."""
        results = self.requests.change([_request(number, action) for action in actions])
        table, failed = self.tables[number], []
        for action, result in zip(actions, results, strict=True):
            route = action.route
            if result and not (action.verb == "remove" and result in GONE):
                failed.append((action, os.strerror(result)))
                continue
            rest = [other for other in table.get(route.prefix, ()) if other.key != route.key]
            rest += [other for other in table.get(route.prefix, ()) if other.key == route.key and not _replaced(other)]
            if action.verb == "write":
                rest.append(route)
                self.used.update(hop.link for hop in route.hops)
            if rest:
                table[route.prefix] = tuple(rest)
            else:
                table.pop(route.prefix, None)
        return failed

    def link_index(self, name: str) -> int | None:
        return next((index for index, link in self.links.items() if link.name == name), None)

    def announceable(self, number: int) -> t.Iterator[Route]:
        for routes in self.tables[number].values():
            for route in routes:
                if route.protocol == ANNOUNCED_PROTOCOL:
                    yield route


def _replaced(route: Route) -> bool:
    return route.protocol in OURS
