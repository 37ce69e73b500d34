# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's links, addresses and routes: read once, then kept up to date by the kernel's notifications.
Private to this collection."""

from __future__ import annotations

import errno
import os
import socket
import typing as t

from ..._netlink import codec
from ..._netlink.codec import ADDRESS, LINK, ROUTE
from ..._netlink.marks import FOLLOWED, PROTOCOL
from ..._netlink.sockets import CREATE, REPLACE, KernelError, Network, Request
from .model import OURS, Hop, Prefix, Route, ordered

NOWHERE = 255  # scope: any, in a deletion
GONE = (errno.ESRCH, errno.ENOENT)
IP = (socket.AF_INET, socket.AF_INET6)


class Link(t.NamedTuple):
    name: str
    up: bool
    running: bool  # it has a carrier
    loopback: bool

    @classmethod
    def of(cls, link: codec.Link) -> Link:
        flags = link.flags
        return cls(
            link.name, bool(flags & codec.IFF_UP), bool(flags & codec.IFF_RUNNING), bool(flags & codec.IFF_LOOPBACK)
        )


class Action(t.NamedTuple):
    verb: str  # write, remove
    route: Route


def route_of(found: codec.Route) -> Route | None:
    """None for anything that is not an ordinary entry of a routing table."""
    if found.flags & codec.RTM_F_CLONED or found.source_length or found.tos or found.family not in IP:
        return None
    hops = found.hops
    return Route(
        Prefix(found.destination, found.length),
        found.metric,
        found.protocol,
        ordered([Hop(hop.gateway, hop.link, hop.weight) for hop in hops])
        if len(hops) > 1
        else tuple([Hop(hop.gateway, hop.link) for hop in hops]),
        found.type,
        found.scope,
        found.source,
    )


def _gateway(route: Route, hop: Hop) -> tuple[str, bytes | None]:
    same = hop.gateway is None or len(hop.gateway) == len(route.prefix.address)
    return ("RTA_GATEWAY" if same else "RTA_VIA"), hop.gateway


def request_of(table: int, action: Action) -> Request:
    route, write = action.route, action.verb == "write"
    fields = {
        "family": route.prefix.family,
        "dst_len": route.prefix.length,
        "proto": route.protocol,
        "scope": route.scope if write else NOWHERE,
        "type": route.kind,
    }
    attributes: list[tuple[str, t.Any]] = [
        ("RTA_DST", route.prefix.address),
        ("RTA_TABLE", table),
        ("RTA_PRIORITY", route.metric),
    ]
    if not write:
        return ROUTE + 1, 0, codec.pack(ROUTE, fields, attributes)
    attributes.append(("RTA_PREFSRC", route.prefsrc))
    if len(route.hops) == 1:
        [hop] = route.hops
        attributes += [("RTA_OIF", hop.link), _gateway(route, hop)]
    else:
        hops = [(hop.link, hop.weight, 0, [_gateway(route, hop)]) for hop in route.hops]
        attributes.append(("RTA_MULTIPATH", hops))
    return ROUTE, CREATE | REPLACE, codec.pack(ROUTE, fields, attributes)


Table = dict[Prefix, tuple[Route, ...]]


class Host:
    """Links, addresses, and the routes of some tables, in our own network namespace.

    Changes of a link matter if a route uses it or its name is one of `interfaces`.
    """

    def __init__(self, network: Network, tables: t.Iterable[int], interfaces: t.Iterable[str] = ()) -> None:
        self.network = network
        self.tables: dict[int, Table] = {number: {} for number in tables}
        self.links: dict[int, Link] = {}
        self.addresses: set[bytes] = set()
        self.interfaces = frozenset(interfaces)
        self.used: set[int] = set()  # links of any route

    def read(self) -> None:
        """Reads everything again."""
        self.links = {link.index: Link.of(link) for link in self.network.links().values()}
        self.addresses = {entry.address for entry in self.network.dump(ADDRESS) if entry.address}
        for number in self.tables:
            self.tables[number] = self._read_table(number)
        every = (route for table in self.tables.values() for routes in table.values() for route in routes)
        self.used = {hop.link for route in every for hop in route.hops}

    def _read_table(self, number: int) -> Table:
        table: Table = {}
        for family in IP:
            try:
                found = self.network.dump(ROUTE, {"family": family}, [("RTA_TABLE", number)])
            except KernelError as error:
                if error.errno not in GONE:  # an empty table does not exist
                    raise
                continue
            for entry in found:
                route = route_of(entry) if entry.table == number else None
                if route:
                    table[route.prefix] = (*table.get(route.prefix, ()), route)
        return table

    def takes(self, kind: int, body: bytes) -> bool:
        """Handles a notification; returns whether it reports anything new. Echoes of our own changes do not."""
        if kind in (ROUTE, ROUTE + 1):
            return self._is_new_route(kind == ROUTE, codec.parse_route(body))
        if kind in (LINK, LINK + 1):
            return self._take_link(kind == LINK, codec.parse_link(body))
        if kind in (ADDRESS, ADDRESS + 1):
            address = codec.parse_address(body).address
            return bool(address) and (address in self.addresses) is (kind != ADDRESS)
        return False

    def _is_new_route(self, present: bool, found: codec.Route) -> bool:
        route = route_of(found) if found.table in self.tables else None
        if route is None:
            return False
        known = self.tables[found.table].get(route.prefix, ())
        return (route in known) is not present

    def _take_link(self, present: bool, found: codec.Link) -> bool:
        """Other links may come and go often, as those of containers do, and reading all routes again takes long."""
        if found.family:  # a bridge reports about its port
            return False
        link, before = Link.of(found), self.links.pop(found.index, None)
        if present:
            self.links[found.index] = link
        names = {link.name, before.name if before else link.name}
        changed = before != self.links.get(found.index)
        return changed and (found.index in self.used or not names.isdisjoint(self.interfaces))

    def apply(self, number: int, actions: t.Sequence[Action]) -> list[tuple[Action, str]]:
        """Carries out changes of one table; returns those that failed, with the reason."""
        results = self.network.exchange([request_of(number, action) for action in actions])
        table, failed = self.tables[number], []
        for action, error in zip(actions, results, strict=True):
            verb, route = action
            if error and not (verb == "remove" and error.errno in GONE):
                failed.append((action, os.strerror(error.errno or 0)))
                continue
            # A route of another protocol with the same key is not ours, and the kernel did not replace it.
            remaining = [
                other
                for other in table.get(route.prefix, ())
                if other.metric != route.metric or other.protocol not in OURS
            ]
            if verb == "write":
                remaining.append(route)
                self.used.update([hop.link for hop in route.hops])
            if remaining:
                table[route.prefix] = tuple(remaining)
            else:
                table.pop(route.prefix, None)
        return failed

    def link_index(self, name: str) -> int | None:
        return next((index for index, link in self.links.items() if link.name == name), None)

    def announceable(self, number: int) -> t.Iterator[Route]:
        for routes in self.tables[number].values():
            for route in routes:
                if route.protocol in (PROTOCOL, FOLLOWED):
                    yield route
