# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One GoBGP and one routing table: computes what each should have. No input or output here. Private to this
collection."""

from __future__ import annotations

import socket
import typing as t

from ..._netlink.codec import address_text
from ..._netlink.marks import FOLLOWED
from ..follow.seen import FIRST_METRIC, LAST
from . import plan, settings
from .host import Action, Host
from .model import (
    ANNOUNCEABLE,
    GLOBAL_SCOPE,
    LEARNED_PROTOCOL,
    LINK_SCOPE,
    LOCAL_METRIC,
    LOCAL_PROTOCOL,
    ORDINARY,
    UNICAST,
    Hop,
    Prefix,
    Route,
    host_prefix,
    ordered,
)
from .resolve import Resolver
from .rib import NextHops, Rib

Found = dict[bytes, list[str]]  # addresses of containers


class Instance:
    def __init__(self, given: settings.Instance, metric: int, host: Host) -> None:
        self.settings, self.metric, self.host = given, metric, host
        self.families = set(given.families.values())
        self.learned: dict[Prefix, NextHops] = {}
        self.withdrawn: set[Prefix] = set()  # explicitly, since `complete` was last lost
        self.complete = False  # GoBGP has received End-of-RIB from all neighbours
        self.announced: dict[Prefix, int] | None = None  # with local preference; None: GoBGP cannot be reached
        self.containers: dict[Prefix, settings.Network] = {}
        self.places: dict[Prefix, list[str]] = {}  # of containers
        self.rivals: dict[Prefix, list[str]] = {}  # other hosts that announce the same, as last read
        self._resolver: Resolver | None = None

    def __str__(self) -> str:
        return self.settings.name

    # input from GoBGP

    def take_table(self, rib: Rib, complete: bool) -> None:
        """The whole RIB. Until it is complete, earlier next hops of prefixes that it lacks are kept."""
        learned = {where: hops for where, hops in rib.learned.items() if where.family in self.families}
        self.learned = learned if complete else {**self.learned, **learned}
        if complete:
            self.withdrawn.clear()
        else:
            self.withdrawn -= learned.keys()
        self.complete = complete
        self.announced = dict(rib.announced)
        self.rivals = dict(rib.rivals)

    def take_change(self, where: Prefix, hops: NextHops) -> None:
        if where.family not in self.families:
            return
        if hops:
            self.learned[where] = hops
            self.withdrawn.discard(where)
        else:
            self.learned.pop(where, None)
            if not self.complete:
                self.withdrawn.add(where)

    def lose(self) -> None:
        """GoBGP cannot be reached. What was learned is kept until it is back, or until `give_up`."""
        self.complete, self.announced = False, None

    def give_up(self) -> None:
        self.learned.clear()
        self.withdrawn.clear()
        self.complete = True

    # input from the kernel

    def host_changed(self) -> None:
        self._resolver = None

    def routes_changed(self, actions: t.Iterable[Action]) -> None:
        """We changed these ourselves. A next hop may be reached through a container's route, never a learned one."""
        if any(action.route.protocol != LEARNED_PROTOCOL for action in actions):
            self._resolver = None

    def take_containers(self, found: Found) -> set[Prefix]:
        """Returns the prefixes that were added or removed."""
        before = self.containers
        self.containers = {}
        self.places = {host_prefix(address): sorted(names) for address, names in found.items()}
        for address in found:
            for network in self.settings.networks:
                if any(prefix.contains(address) for prefix in network.prefixes):
                    self.containers[host_prefix(address)] = network
                    break
        return set(before.keys() ^ self.containers.keys())

    @property
    def resolver(self) -> Resolver:
        if self._resolver is None:
            own = self.host.addresses | self.settings.local_addresses
            self._resolver = Resolver(self.host.tables[self.settings.table], self.host.links, own)
        return self._resolver

    # output

    def to_announce(self) -> dict[Prefix, int]:
        """With local preference."""
        found = dict.fromkeys(self.containers, ORDINARY)
        for route in self.host.announceable(self.settings.table):
            if route.protocol == FOLLOWED:
                # A sequence number, or none for addresses that several guests share. Until it is withdrawn, a route
                # that is gone may be unreachable: see follow/routes.py.
                if route.kind == UNICAST and self._is_guest(route.prefix):
                    found[route.prefix] = max(route.metric - FIRST_METRIC, ORDINARY)
            elif route.kind in ANNOUNCEABLE and any(rule.covers(route.prefix) for rule in self.settings.announce):
                found[route.prefix] = ORDINARY
        return {where: preference for where, preference in found.items() if where.family in self.families}

    def holds_guests(self) -> bool:
        """Whether another host may claim a guest that is announced here."""
        return any(preference > ORDINARY for preference in (self.announced or {}).values())

    def conflicts(self) -> list[str]:
        """Addresses of containers here that other hosts announce, too."""
        return [
            f"{address_text(where.address)} is in {' and in '.join(self.places[where])}, and announced by "
            f"{' and '.join(self.rivals[where])}, too"
            for where in sorted(self.rivals.keys() & self.containers.keys())
        ]

    def _is_guest(self, where: Prefix) -> bool:
        return any(rule.covers(where) for rule in self.settings.guests)

    def _is_here(self, where: Prefix) -> bool:
        """Whether the agent holds a guest with a later number than what is learned, which GoBGP does not know yet."""
        routes = self.host.tables[self.settings.table].get(where, ())
        numbers = [route.metric - FIRST_METRIC for route in routes if route.protocol == FOLLOWED]
        return max(numbers, default=0) > self.learned[where][0].preference

    def _metric(self, where: Prefix) -> int:
        """The agent recognizes the sequence number of a guest's place elsewhere by the metric."""
        if not self._is_guest(where):
            return self.metric
        preference = self.learned[where][0].preference
        return preference if ORDINARY < preference <= LAST else LOCAL_METRIC

    def learned_route(self, where: Prefix) -> Route | list[str]:
        """The kernel's route of a learned prefix, or why there can be none."""
        hops: list[Hop] = []
        reasons = []
        for next_hop in self.learned[where]:
            found = self.resolver.hops(next_hop)
            if isinstance(found, str):
                reasons.append(
                    f"next hop {next_hop} {found}" if found.startswith("is ") else f"next hop {next_hop}: {found}"
                )
            elif len(where.address) == 16 and any(hop.gateway and len(hop.gateway) == 4 for hop in found):
                reasons.append(f"next hop {next_hop} is of the other address family")
            else:
                hops.extend(found)
        if not hops:
            return reasons
        prefsrc = self.settings.prefsrc.get(where.family)
        return Route(where, self._metric(where), LEARNED_PROTOCOL, ordered(hops), prefsrc=prefsrc)

    def container_route(self, where: Prefix) -> Route | str | None:
        """The kernel's route to a container; None if it is not ours, or why there can be none."""
        name = self.containers[where].interface
        if name is None:
            return None
        index = self.host.link_index(name)
        if index is None:
            return f"interface {name} is missing"
        if not self.host.links[index].up:
            return f"interface {name} is down"
        scope = LINK_SCOPE if where.family == socket.AF_INET else GLOBAL_SCOPE
        return Route(where, LOCAL_METRIC, LOCAL_PROTOCOL, (Hop(None, index),), scope=scope)

    def plan(self, only: t.Collection[Prefix] | None = None) -> plan.Plan:
        """The changes in the kernel, for all prefixes or for some."""
        table = self.host.tables[self.settings.table]
        want: list[Route] = []
        for where in self.learned if only is None else [where for where in only if where in self.learned]:
            route = self.learned_route(where)
            if isinstance(route, Route) and not self._is_here(where):
                want.append(route)
        for where in self.containers if only is None else [where for where in only if where in self.containers]:
            local = self.container_route(where)
            if isinstance(local, Route):
                want.append(local)
        if only is None:
            have = [route for routes in table.values() for route in routes]
        else:
            have = [route for where in only for route in table.get(where, ())]
        return plan.make(want, have, self._may_remove, may_shrink=self.complete)

    def describe(self, action: Action) -> str:
        route, links = action.route, self.host.links
        verb = {"write": "route", "remove": "removed route"}[action.verb]
        hops = []
        for hop in route.hops:
            name = links[hop.link].name if hop.link in links else f"interface {hop.link}"
            hops.append(f"via {address_text(hop.gateway)} dev {name}" if hop.gateway else f"dev {name}")
        return f"{verb} {route.prefix} {', '.join(hops)}".rstrip()

    def _may_remove(self, route: Route) -> bool:
        """A learned route that GoBGP has not learned again after a restart may still be right."""
        if route.protocol == LOCAL_PROTOCOL or self.complete:
            return True
        return route.prefix in self.withdrawn or route.prefix in self.learned
