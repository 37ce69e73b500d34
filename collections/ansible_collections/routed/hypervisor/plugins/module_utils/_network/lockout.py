# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses changes that would cut the path to this host: its default route, or the connection that this run came by.

Private to this collection.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from .._engine.change import Change
from .._engine.options import Mistakes
from .._engine.planned import Planned
from .._engine.snapshot import Snapshot
from .._netlink.codec import Route, address_text
from .._netlink.marks import PROTOCOL
from .connection import Connection, of_this_process

MAIN = 254
UNICAST = 1
ROUTER_ADVERTISEMENT = 9  # RTPROT_RA
REMEDY = "Manage the host through an interface that is not in the configuration"


@dataclasses.dataclass
class Path:
    """What keeps this host reachable, and must not change."""

    what: str
    links: set[str]  # the link, and those below it
    route: Route | None = None
    connection: Connection | None = None


def refuse(
    changes: list[Change[t.Any]], lost: list[Change[t.Any]], snapshot: Snapshot, planned: Planned, mistakes: Mistakes
) -> None:
    """`lost` are routes of others that the kernel will drop and that cannot be restored."""
    for path in _paths(snapshot):
        reasons = [(change, _reason(change, path, snapshot, planned)) for change in changes]
        for change, reason in reasons:
            if reason:
                place = change.item.place or f"{change.kind} {change.name}"
                mistakes.at(place, f"would cut {path.what}: {reason}. {REMEDY}")
        for change in lost if path.route is not None and not any(reason for _change, reason in reasons) else ():
            if change.kind == "routes" and _is_default(change.name):
                mistakes.at(f"routes {change.name}", f"would cut {path.what}: the kernel drops it. {REMEDY}")


def _paths(snapshot: Snapshot) -> list[Path]:
    found = []
    for route in _default_routes(snapshot):
        for hop in route.hops:
            name = snapshot.names.get(hop.link)
            if name:
                family = "IPv6" if len(route.destination) == 16 else "IPv4"
                found.append(Path(f"this host's {family} default route", _with_lower(name, snapshot), route=route))
    connection = of_this_process()
    if connection is not None:
        for name in _links_of(connection, snapshot):
            what = f"Ansible's connection ({connection.local} from {connection.peer})"
            found.append(Path(what, _with_lower(name, snapshot), connection=connection))
    return found


def _default_routes(snapshot: Snapshot) -> list[Route]:
    """Default routes of others in the main table."""
    return [
        route
        for version, prefix in ((4, "0.0.0.0/0"), (6, "::/0"))
        for route in snapshot.routes_to([prefix], version, MAIN)
        if route.length == 0 and route.type == UNICAST and route.protocol != PROTOCOL
    ]


def _links_of(connection: Connection, snapshot: Snapshot) -> list[str]:
    local = ipaddress.ip_address(connection.local)
    if local.is_loopback:
        return []
    indexes = {entry.index for entry in snapshot.addresses if address_text(entry.address) == str(local)}
    return sorted(snapshot.names[index] for index in indexes if index in snapshot.names)


def _with_lower(name: str, snapshot: Snapshot) -> set[str]:
    """A link and those it is made of: the parents of a VLAN, the ports of a bridge or a bond."""
    links = {name}
    queue = [name]
    while queue:
        here = snapshot.links[queue.pop()]
        below = {link.name for link in snapshot.links.values() if link.master == here.name and here.kind != "vrf"}
        if here.kind == "vlan" and here.parent:
            below.add(here.parent)
        queue += below - links
        links |= below
    return links


def _reason(change: Change[t.Any], path: Path, snapshot: Snapshot, planned: Planned) -> str | None:
    if change.kind == "vrfs" and change.op in ("delete", "replace"):
        members = {name for name in path.links if snapshot.links[name].master == change.item.key}
        return f"{', '.join(sorted(members))} would leave VRF {change.item.key}" if members else None
    if change.kind in ("interfaces", "ipvlan_links") and change.name in path.links:
        reason = _reason_of_link(change, path, planned)
        return f"{change.name} would {reason}" if reason else None
    if path.connection is not None and change.kind in ("routes", "rules"):
        taken = _takes_over(change, path.connection)
        return f"{change.name} would take over the packets to {path.connection.peer}" if taken else None
    return None


def _reason_of_link(change: Change[t.Any], path: Path, planned: Planned) -> str | None:
    after, before = change.after, change.before
    if change.op == "create":
        return None
    if change.op in ("delete", "replace"):
        return "be deleted"
    reasons = []
    for key, noun in (("vrf", "VRF"), ("bridge", "bridge")):
        if after.get(key):
            reasons.append(f"join {noun} {after[key]}")
        elif key in after and before.get(key):
            reasons.append(f"leave {noun} {before[key]}")
    if after.get("state") == "down":
        reasons.append("be set down")
    if path.connection is not None:
        removed = set(before.get("addresses", {})) - set(change.item.attributes.get("addresses", {}))
        if any(str(ipaddress.ip_interface(address).ip) == path.connection.local for address in removed):
            reasons.append(f"lose the address {path.connection.local}")
    if path.route is not None and path.route.protocol == ROUTER_ADVERTISEMENT:
        accept = after.get("sysctls", {}).get("ipv6.accept_ra")
        if accept == "0" or (accept == "1" and planned.spread.get("ipv6.forwarding", "0") != "0"):
            reasons.append("ignore the router advertisements that it comes from")
    return ", ".join(reasons) or None


def _takes_over(change: Change[t.Any], connection: Connection) -> bool:
    """Whether a new rule, or a new or removed route in the main table, diverts the packets to the peer."""
    peer = ipaddress.ip_address(connection.peer)
    if change.kind == "rules":
        wanted = change.want.attributes if change.want and change.op == "create" else {}
        return not wanted.get("iif") and _covers(wanted.get("to"), peer)
    _version, table, prefix, _metric = change.item.key
    return table == MAIN and change.op != "change" and not prefix.endswith("/0") and _covers(prefix, peer)


def _covers(prefix: t.Any, address: t.Any) -> bool:
    return bool(prefix) and address in ipaddress.ip_network(prefix)


def _is_default(name: str) -> bool:
    return name.startswith(("0.0.0.0/0 in table 254", "::/0 in table 254"))
