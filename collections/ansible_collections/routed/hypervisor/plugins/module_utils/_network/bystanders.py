# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes and proxy entries that the kernel drops as a side effect of our changes. Private to this collection.

They are those of others, and ours if a run does not plan their kind. The kernel drops them with a link, with its last
IPv4 address, or with the source address of a route. They are added again at the end of the run. Those that cannot be
restored are reported as deletions, in check mode, too; but not those of routing daemons, which change them at any time.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from .._engine.apply import Phase, Step
from .._engine.change import Change
from .._engine.planned import Planned
from .._engine.snapshot import NTF_PROXY, Snapshot
from .._kinds.interface.kind import planned_interfaces
from .._kinds.link_members import host, is_reached
from .._kinds.route.kind import observe as observe_route
from .._kinds.route.steps import ONLINK, UNICAST
from .._netlink.codec import NEIGHBOR, ROUTE, Neighbor, Route, address_text
from .._netlink.kernel import FAMILIES, Kernel
from .._netlink.marks import FOLLOWED, PROTOCOL
from .._netlink.sockets import CREATE, EXCLUSIVE

FEW = 16  # links up to which routes are requested per link; for each request the kernel scans all routes
KERNEL = 2  # RTPROT_KERNEL: the kernel adds these again itself
# Zebra, BIRD, the routing manager's two, the agent's, and what FRR adds as BGP, IS-IS, OSPF, RIP and EIGRP
# (linux/rtnetlink.h).
ROUTING_DAEMONS = {11, 12, 83, 84, 85, 186, 187, 188, 189, 192}


@dataclasses.dataclass
class Bystanders:
    restored: list[Step] = dataclasses.field(default_factory=list)
    lost: list[Change[t.Any]] = dataclasses.field(default_factory=list)
    lost_by_daemons: list[Change[t.Any]] = dataclasses.field(default_factory=list)  # they decide what comes instead


def find(snapshot: Snapshot, planned: Planned, kinds: t.Container[str]) -> Bystanders:
    """`kinds` are those that are planned."""
    found = Bystanders()
    down = (planned.disturbed | planned.remade) & set(snapshot.links)
    names = (down | planned.without_ipv4 | planned.changed_addresses) & set(snapshot.links)
    left_out = {KERNEL, snapshot.protocol} if "routes" in kinds else {KERNEL}
    if planned.state == "deleted" and planned.former is not None:
        left_out |= ROUTING_DAEMONS  # a host is given back without them; in check mode, they still run
    for route in _routes_through(sorted(names), snapshot, left_out):
        name = snapshot.names[route.hops[0].link]
        if _is_dropped(route, name, name in down, planned):
            _keep_route(found, route, name, snapshot, planned)
    for entry in snapshot.proxies if down else ():
        name = snapshot.names.get(entry.link, "")
        if name in down and (entry.protocol != snapshot.protocol or "proxy_arp" not in kinds):
            _keep_proxy(found, entry, name, planned)
    return found


def _routes_through(names: list[str], snapshot: Snapshot, left_out: set[int]) -> t.Iterator[Route]:
    """Routes whose only next hop uses one of these links, except those of the protocols that are left out.

    A route with several next hops survives without one.
    """
    links = {snapshot.links[name].index for name in names}
    routes = snapshot.all_routes if len(links) > FEW else _routes_of_each(sorted(links), snapshot)
    for route in routes:
        if (
            route.protocol not in left_out
            and route.type == UNICAST
            and len(route.hops) == 1
            and route.hops[0].link in links
        ):
            yield route


def _routes_of_each(links: list[int], snapshot: Snapshot) -> t.Iterator[Route]:
    for family in FAMILIES.values():
        for link in links:
            yield from snapshot.kernel.dump(ROUTE, {"family": family}, [("RTA_OIF", link)])


def _is_dropped(route: Route, name: str, is_down: bool, planned: Planned) -> bool:
    if is_down:
        return True
    source = address_text(route.source) if route.source else None
    return route.family == FAMILIES[4] and (name in planned.without_ipv4 or source in planned.lost_sources)


def _keep_route(found: Bystanders, route: Route, name: str, snapshot: Snapshot, planned: Planned) -> None:
    if _can_be_restored(route, name, snapshot, planned):
        label = f"{address_text(route.destination)}/{route.length}"
        found.restored.append(
            Step(Phase.OTHERS, f"restore route {label}", lambda kernel: _add_route(kernel, route, name), place="")
        )
        return
    item = observe_route(route, snapshot)
    lost = found.lost_by_daemons if route.protocol in ROUTING_DAEMONS else found.lost
    lost.append(Change("routes", "delete", item.label, _why_lost(name, route), item.attributes, {}, item))


def _why_lost(name: str, found: Route | Neighbor) -> str:
    owner = "" if found.protocol == PROTOCOL else "is not ours; "
    return f"{owner}the kernel drops it because of changes on {name}"


def _can_be_restored(route: Route, name: str, snapshot: Snapshot, planned: Planned) -> bool:
    after = planned_interfaces(planned).get(name)
    master = snapshot.links[name].master
    if after is None or route.unparsed or planned.down(name):
        return False
    if master != (after.get("vrf") or after.get("bridge")):
        return False
    own = after.get("addresses", {})
    if route.source is not None and address_text(route.source) not in map(host, own):
        return False
    gateway = route.hops[0].gateway
    if gateway is None or route.flags & ONLINK or ipaddress.ip_address(gateway).is_link_local:
        return True
    return is_reached(ipaddress.ip_address(gateway), own)


def _add_route(kernel: Kernel, route: Route, name: str) -> None:
    fields = {
        "family": route.family,
        "dst_len": route.length,
        "src_len": route.source_length,
        "tos": route.tos,
        "proto": route.protocol,
        "scope": route.scope,
        "type": route.type,
        "flags": route.flags & ONLINK,
    }
    gateway = route.hops[0].gateway
    same_family = gateway is None or len(gateway) == len(route.destination)
    attributes = [
        ("RTA_TABLE", route.table),
        ("RTA_DST", route.destination if route.length else None),
        ("RTA_PRIORITY", route.metric or None),
        ("RTA_OIF", kernel.index(name)),
        ("RTA_GATEWAY" if same_family else "RTA_VIA", gateway),
        ("RTA_PREFSRC", route.source),
        ("RTA_METRICS", [("RTAX_MTU", route.mtu)] if route.mtu else None),
    ]
    kernel.new(ROUTE, fields, attributes, flags=CREATE | EXCLUSIVE, exists_ok=True)


def _keep_proxy(found: Bystanders, entry: Neighbor, name: str, planned: Planned) -> None:
    address = address_text(entry.address)
    if name not in planned_interfaces(planned) or planned.down(name):
        if entry.protocol == FOLLOWED:  # the agent adds it again if it is still wanted
            return
        before = {"entries": {address: True}}
        found.lost.append(Change("proxy_arp", "delete", f"{address} on {name}", _why_lost(name, entry), before))
        return

    def add(kernel: Kernel) -> None:
        fields = {"family": entry.family, "ifindex": kernel.index(name), "flags": NTF_PROXY}
        attributes = [("NDA_DST", address), ("NDA_PROTOCOL", entry.protocol or None)]
        kernel.new(NEIGHBOR, fields, attributes, flags=CREATE | EXCLUSIVE, exists_ok=True)

    found.restored.append(Step(Phase.OTHERS, f"restore proxy entry {address} on {name}", add, place=""))
