# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel has, as far as guests are concerned: read once, then kept up to date by notifications. Private to
this collection.

Whatever order notifications arrive in, the result is what reading everything again would give.
"""

from __future__ import annotations

import dataclasses
import errno
import socket
import typing as t

from ..._netlink import codec
from ..._netlink.codec import ADDRESS, LINK, ROUTE
from ..._netlink.marks import FOLLOWED
from ..._netlink.sockets import KernelError, MayBe, Network
from .guests import Destination

# Routes of this host's guests have a metric above FIRST_METRIC by a sequence number, and FIRST_METRIC itself if other
# guests may have the address as well: then there is no latest place. The routing daemon carries it as
# local preference, and writes the routes to other places of the same guests with it as their metric, which is lower.
FIRST_METRIC = 1_000_000
ORDINARY, LAST = 100, 32_000  # local preference of all other routes; the last that BIRD's 16-bit preferences allow
LENGTHS: dict[int, int] = {socket.AF_INET: 32, socket.AF_INET6: 128}
UNICAST = 1


@dataclasses.dataclass
class Seen:
    destinations: t.Collection[Destination]
    links: dict[int, codec.Link] = dataclasses.field(default_factory=dict)
    # by destination: metric -> link of the agent's own routes, metric -> hops of the routing daemon's
    own: dict[Destination, dict[int, int]] = dataclasses.field(default_factory=dict)
    others: dict[Destination, dict[int, tuple[codec.Hop, ...]]] = dataclasses.field(default_factory=dict)
    marked: set[tuple[int, bytes]] = dataclasses.field(default_factory=set)  # the agent's addresses, by link
    lost: set[tuple[Destination, int]] = dataclasses.field(default_factory=set)  # own routes gone without notification
    used: set[int] = dataclasses.field(default_factory=set)  # links that any of these routes has used
    emptied: set[int] = dataclasses.field(default_factory=set)  # links whose proxy entries the kernel has dropped

    def read(self, network: Network) -> None:
        """Reads everything again."""
        links = {
            link.index: link for link in network.dump(LINK, {}, [("IFLA_EXT_MASK", codec.RTEXT_FILTER_SKIP_STATS)])
        }
        self.links = links
        self.marked = {(found.index, found.address) for found in network.dump(ADDRESS) if found.protocol == FOLLOWED}
        before, self.own, self.others, self.used = self.own, {}, {}, set()
        for family in LENGTHS:
            for route in _routes(network, family, self.destinations):
                self._add(route)
                if route.protocol == FOLLOWED and route.type != UNICAST and _is_host_route(route):
                    self.lost.add(((route.table, route.destination), route.metric))  # see routes.announce_lost
        self.lost |= {
            (destination, metric)
            for destination, metrics in before.items()
            for metric in metrics
            if metric not in self.own.get(destination, ())
        }

    def wrote(self, routes: dict[Destination, dict[int, int]]) -> None:
        """The kernel has these own routes now; notifications of them report nothing new."""
        self.own = {destination: dict(metrics) for destination, metrics in routes.items()}
        self.used.update(link for metrics in routes.values() for link in metrics.values())

    def take(self, kind: int, body: bytes) -> bool:
        """Handles a notification; returns whether it reports anything new. Echoes of our own changes do not."""
        if kind in (LINK, LINK + 1):
            return self._take_link(kind == LINK, codec.parse_link(body))
        if kind in (ROUTE, ROUTE + 1):
            route = codec.parse_route(body)
            return self._add(route) if kind == ROUTE else self._remove(route)
        if kind in (ADDRESS, ADDRESS + 1):
            return self._take_address(kind == ADDRESS, codec.parse_address(body))
        return False

    def _take_link(self, present: bool, link: codec.Link) -> bool:
        if link.family:  # a bridge reports about its port
            return False
        before = self.links.pop(link.index, None)
        if present:
            self.links[link.index] = link
        if not (present and link.up):
            self.emptied.add(link.index)
        if not (present and link.up) and link.index in self.used:
            self._drop_routes(link.index)
        if not present:
            self.marked = {entry for entry in self.marked if entry[0] != link.index}
        return before is None or not present or _essence(before) != _essence(link)

    def _drop_routes(self, index: int) -> None:
        """The kernel drops the routes through a link that is down or gone, and sends no notification for IPv4."""
        for destination, metrics in list(self.own.items()):
            for metric in [metric for metric, link in metrics.items() if link == index]:
                del metrics[metric]
                self.lost.add((destination, metric))
            if not metrics:
                del self.own[destination]
        for destination, found in list(self.others.items()):
            for metric in [metric for metric, hops in found.items() if {hop.link for hop in hops} <= {index}]:
                del found[metric]
            if not found:
                del self.others[destination]

    def _take_address(self, present: bool, found: codec.Address) -> bool:
        entry = (found.index, found.address)
        if present:
            if found.protocol != FOLLOWED or entry in self.marked:
                return False
            self.marked.add(entry)
            return True
        if entry not in self.marked:
            return False
        self.marked.discard(entry)
        return True

    def _add(self, route: codec.Route) -> bool:
        destination = (route.table, route.destination)
        if not _is_host_route(route):
            return False
        if route.protocol == FOLLOWED:
            if route.type != UNICAST:
                return False  # see routes.announce_lost
            link = route.hops[0].link if route.hops else 0
            self.used.add(link)
            metrics = self.own.setdefault(destination, {})
            changed = metrics.get(route.metric) != link
            metrics[route.metric] = link
            self.lost.discard((destination, route.metric))
            return changed
        if destination not in self.destinations or not ORDINARY < route.metric <= LAST:
            return False
        found = self.others.setdefault(destination, {})
        changed = route.metric not in found
        self.used.update([hop.link for hop in route.hops])
        found[route.metric] = route.hops
        return changed

    def _remove(self, route: codec.Route) -> bool:
        destination = (route.table, route.destination)
        table: dict[Destination, dict[int, t.Any]]
        table = self.own if route.protocol == FOLLOWED else self.others
        if not _is_host_route(route) or route.type != UNICAST or route.metric not in table.get(destination, ()):
            return False
        del table[destination][route.metric]
        if not table[destination]:
            del table[destination]
        return True


def _is_host_route(route: codec.Route) -> bool:
    plain = not (route.flags & codec.RTM_F_CLONED or route.source_length or route.tos)
    return plain and route.length == LENGTHS.get(route.family)


def _essence(link: codec.Link) -> tuple[t.Any, ...]:
    return link.name, link.mac, link.flags, link.master, link.altnames, link.mtu, link.kind, link.alias


def _routes(network: Network, family: int, destinations: t.Collection[Destination]) -> list[codec.Route]:
    """The agent's routes, and all to guests. A router may hold a million others, which the kernel or `may_be` drops."""
    found = _dump(network, {"family": family, "proto": FOLLOWED})
    addresses = {(address, LENGTHS[family]) for _table, address in destinations if codec.family_of(address) == family}
    may_be = codec.to_destinations(addresses)
    for table in {table for table, _address in destinations}:
        found += _dump(network, {"family": family}, [("RTA_TABLE", table)], may_be)
    return found


def _dump(
    network: Network, fields: dict[str, int], attributes: codec.Attributes = (), may_be: MayBe | None = None
) -> list[codec.Route]:
    try:
        return list(network.dump(ROUTE, fields, attributes, may_be))
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH, errno.EINVAL):  # the table does not exist: it is empty
            return []
        raise
