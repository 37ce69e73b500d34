# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a BGP next hop is reached: recursive lookup in one routing table, without the kernel. Private to this
collection.

Routes learned by BGP are ignored: a next hop that is only reached through a route that depends on it would keep itself
alive forever. The kernel's own lookup (RTM_GETROUTE) does not make this distinction.
"""

from __future__ import annotations

import typing as t

from ..._netlink.codec import address_text
from .host import Link, Table
from .model import LEARNED_PROTOCOL, ORDINARY, UNICAST, Hop, Route

LOCAL, REFUSING = 2, {6: "blackhole", 7: "unreachable", 8: "prohibited"}


class NextHop(t.NamedTuple):
    address: bytes
    zone: str | None = None  # the interface of a link-local address
    preference: int = ORDINARY  # BGP's local preference of the path to it

    def __str__(self) -> str:
        return address_text(self.address) + (f"%{self.zone}" if self.zone else "")


class Resolver:
    """For one state of table, links and own addresses; create a new one when they change."""

    def __init__(self, table: Table, links: dict[int, Link], own: t.Collection[bytes]) -> None:
        self.links, self.own = links, own
        self.indexes = {link.name: index for index, link in links.items()}
        self.known: dict[NextHop, tuple[Hop, ...] | str] = {}
        self.by_length: dict[tuple[int, int], dict[bytes, Route]] = {}
        for prefix, routes in table.items():
            usable = [
                route
                for route in routes
                if route.protocol != LEARNED_PROTOCOL and route.kind in (UNICAST, LOCAL, *REFUSING)
            ]
            if usable:
                best = min(usable, key=lambda route: route.metric)
                self.by_length.setdefault((len(prefix.address), prefix.length), {})[prefix.address] = best
        self.lengths = sorted(self.by_length, reverse=True)

    def hops(self, next_hop: NextHop) -> tuple[Hop, ...] | str:
        """The hops to a next hop, or why there are none."""
        if next_hop not in self.known:
            self.known[next_hop] = self._hops(next_hop)
        return self.known[next_hop]

    def _hops(self, next_hop: NextHop) -> tuple[Hop, ...] | str:
        address = next_hop.address
        if address in self.own:
            return "is an address of this host"
        if next_hop.zone is not None:
            index = self.indexes.get(next_hop.zone)
            return self._usable([Hop(address, index)]) if index else f"interface {next_hop.zone} is missing"
        if len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80:
            return "is a link-local address without an interface"
        return self._by(self._longest(address), address)

    def _by(self, route: Route | None, address: bytes) -> tuple[Hop, ...] | str:
        if route is None:
            return "no route to it, other than routes learned by BGP"
        if route.kind == LOCAL:
            return "is an address of this host"
        if route.kind in REFUSING:
            return f"its route {route.prefix} is {REFUSING[route.kind]}"
        return self._usable([hop if hop.gateway else hop._replace(gateway=address) for hop in route.hops])

    def _longest(self, address: bytes) -> Route | None:
        whole, bits = int.from_bytes(address), len(address) * 8
        for size, length in self.lengths:
            if size == len(address):
                rest = bits - length
                found = self.by_length[size, length].get((whole >> rest << rest).to_bytes(size))
                if found:
                    return found
        return None

    def _usable(self, hops: list[Hop]) -> tuple[Hop, ...] | str:
        usable = tuple(hop for hop in hops if (link := self.links.get(hop.link)) and link.up and link.running)
        if usable:
            return usable
        names = {self.links[hop.link].name if hop.link in self.links else f"interface {hop.link}" for hop in hops}
        return f"{', '.join(sorted(names)) or 'its interface'} is down"
