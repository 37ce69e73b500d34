# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rejects ipvlan links that the kernel would silently change, or refuse half way. Private to this collection."""

from __future__ import annotations

from ..._engine.change import Change, Item
from ..._engine.kind import Have
from ..._engine.options import Mistakes
from ..._engine.planned import Planned
from ..._engine.snapshot import Snapshot
from ..._engine.spelling import suggestion
from ..._netlink.kernel import FAMILIES
from ..._netlink.marks import PROTOCOL
from ..link_members import check_sysctls, host
from ..route.kind import IPV6_METRIC, PROTOCOL_NAMES, prefix_of
from ..route.steps import MAIN, UNICAST
from .view import LinkKey


def check(
    want: list[Item[LinkKey]], have: Have[LinkKey], snapshot: Snapshot, planned: Planned, mistakes: Mistakes
) -> None:
    remaining = _remaining_others(want, have, planned)
    macvlans = {link.parent: link.name for link in snapshot.links.values() if link.kind in ("macvlan", "macvtap")}
    for item in want:
        _existence(item, have, snapshot, planned, mistakes)
        master = item.attributes.get("master")
        if master:
            _master(item, master, macvlans.get(master), planned, mistakes)
            _limits(item, master, planned, mistakes)
        if item.attributes.get("vrf") and item.attributes["vrf"] not in planned.tables:
            mistakes.at(f"{item.place}.vrf", f"there is no VRF {item.attributes['vrf']}, and none is configured")
        check_sysctls(item, mistakes)
    _modes(want, have, remaining, planned, mistakes)
    _addresses(want, remaining, mistakes)
    _routes(want, mistakes)


def _remaining_others(
    want: list[Item[LinkKey]], have: Have[LinkKey], planned: Planned
) -> dict[str, list[Item[LinkKey]]]:
    """By master, the slaves that this call neither mentions nor removes."""
    wanted = {item.key for item in want}
    remaining: dict[str, list[Item[LinkKey]]] = {}
    for key, item in have.items():
        if key not in wanted and key[1] not in planned.left_out and not (item.owned and planned.state == "overridden"):
            remaining.setdefault(item.hints["master"], []).append(item)
    return remaining


def _existence(
    item: Item[LinkKey], have: Have[LinkKey], snapshot: Snapshot, planned: Planned, mistakes: Mistakes
) -> None:
    if item.key in have:
        return
    where, name = item.key
    if item.attributes.get("mode") is None:
        mistakes.at(item.place, f"mode is missing ({item.label} does not exist yet)")
    if not where and name in snapshot.altnames:
        mistakes.at(f"{item.place}.name", planned.no_link(name))
    exists = where in snapshot.spaces.found.values()
    if not where and name in snapshot.links:
        kind = snapshot.links[name].kind or "network device"
        mistakes.at(f"{item.place}.name", f"{name} exists and is a {kind}, not an ipvlan link on a master of this host")
    elif where and exists and name in snapshot.names_in(where):
        mistakes.at(f"{item.place}.name", f"{item.label} exists and is not an ipvlan link on a master of this host")


def _master(item: Item[LinkKey], master: str, macvlan: str | None, planned: Planned, mistakes: Mistakes) -> None:
    place = f"{item.place}.master"
    if master not in planned.links:
        near = suggestion(master, planned.links)
        mistakes.at(place, f"{planned.no_link(master)}{near}")
        return
    kind = planned.links[master]
    attributes = planned.interface(master)
    if master == "lo":
        mistakes.at(place, "lo cannot be the master of ipvlan links")
    elif kind == "ipvlan":
        mistakes.at(place, f"{master} is an ipvlan link itself; the kernel would use its master instead")
    elif kind == "vrf":
        mistakes.at(place, f"{master} is a VRF; use an interface in it")
    elif kind in ("macvlan", "macvtap") or macvlan:
        reason = f"it is the master of {macvlan}, a macvlan link" if macvlan else "it is a macvlan link"
        mistakes.at(place, f"{master} cannot be the master of ipvlan links: {reason}")
    elif attributes.get("bridge"):
        mistakes.at(place, f"{master} is a port of bridge {attributes['bridge']} and cannot have ipvlan links")
    if item.attributes.get("mode") == "l3s" and attributes.get("vrf"):
        text = f"l3s loses all traffic when its master is in a VRF ({master} is in {attributes['vrf']}); use l3 or l2"
        mistakes.at(f"{item.place}.mode", text)


def _limits(item: Item[LinkKey], master: str, planned: Planned, mistakes: Mistakes) -> None:
    mtu, limit = item.attributes.get("mtu"), planned.mtu(master)
    if mtu and limit and mtu > limit:
        mistakes.at(f"{item.place}.mtu", f"{mtu} is above the MTU of {master}, {limit}: larger packets would be lost")
    taken = {host(address) for address in planned.interface(master).get("addresses", {})}
    for number, address in enumerate(item.attributes.get("addresses", {})):
        if host(address) in taken:
            mistakes.at(f"{item.place}.addresses[{number}]", f"{host(address)} is an address of its master {master}")


def _modes(
    want: list[Item[LinkKey]],
    have: Have[LinkKey],
    remaining: dict[str, list[Item[LinkKey]]],
    planned: Planned,
    mistakes: Mistakes,
) -> None:
    """A master has one mode and one flag: when one slave changes, the kernel changes all others, too."""
    exact = planned.state in ("replaced", "overridden")
    forced = {item.attributes.get("master", "") for item in want if item.hints["force"]}
    chosen: dict[tuple[str, str], tuple[str, Item[LinkKey]]] = {}
    for item in want:
        master = item.attributes.get("master", "")
        values = {key: item.attributes.get(key) for key in ("mode", "flag")}
        if values["flag"] is None and (item.key not in have or exact):
            values["flag"] = "bridge"
        for key, value in values.items():
            if value is None:
                continue
            other_value, other = chosen.setdefault((master, key), (value, item))
            if value != other_value:
                text = f"{value}, but {other_value} for {other.label} ({other.place})"
                mistakes.at(f"{item.place}.{key}", f"{text}: all links on {master} share one {key}")
            if other is item and master not in forced:
                _against_others(item, key, value, remaining.get(master, []), mistakes)


def _against_others(item: Item[LinkKey], key: str, value: str, others: list[Item[LinkKey]], mistakes: Mistakes) -> None:
    different = [other for other in others if other.attributes[key] not in (value, None)]
    if different:
        names = ", ".join(other.label for other in different[:3]) + (" and others" if len(different) > 3 else "")
        text = f"{value} would change {key} {different[0].attributes[key]} of {names} on the same master"
        mistakes.at(f"{item.place}.{key}", f"{text}; set force: true to allow this")


def _addresses(want: list[Item[LinkKey]], remaining: dict[str, list[Item[LinkKey]]], mistakes: Mistakes) -> None:
    """Two slaves of a master cannot have the same address; the kernel would refuse it, but only half way."""
    taken: dict[tuple[str, str], Item[LinkKey]] = {}
    for master, others in remaining.items():
        taken.update(((master, host(address)), other) for other in others for address in other.attributes["addresses"])
    for item in want:
        master = item.attributes.get("master", "")
        addresses = list(item.attributes.get("addresses", {}))
        for number, address in enumerate(addresses):
            other = taken.setdefault((master, host(address)), item)
            if other is not item:
                where = f" ({other.place})" if other.place else ""
                text = f"{host(address)} is also an address of {other.label}{where}, on the same master"
                mistakes.at(f"{item.place}.addresses[{number}]", text)


def _routes(want: list[Item[LinkKey]], mistakes: Mistakes) -> None:
    first: dict[tuple[str, str], Item[LinkKey]] = {}
    for item in want:
        for number, prefix in enumerate(item.attributes.get("routes", {})):
            other = first.setdefault((item.key[0], prefix), item)
            if other is not item:
                text = f"{prefix} is also a route through {other.label} ({other.place}), in the same namespace"
                mistakes.at(f"{item.place}.routes[{number}]", text)


def conflicts(changes: list[Change[LinkKey]], snapshot: Snapshot) -> list[str]:
    """Routes of others that conflict with routes to be created."""
    new: dict[str, dict[str, Item[LinkKey]]] = {}
    for change in changes:
        if change.want is not None:
            added = set(change.after.get("routes", {})) - set(change.before.get("routes", {}))
            new.setdefault(change.item.key[0], {}).update(dict.fromkeys(added, change.want))
    known = set(snapshot.spaces.found.values())
    mistakes = []
    for where, routes in new.items():
        if not routes or where not in known:  # a namespace that this run creates has none
            continue
        for version in FAMILIES:
            of_version = [prefix for prefix in routes if (":" in prefix) == (version == 6)]
            for route in snapshot.routes_to(of_version, version, MAIN, where) if of_version else ():
                prefix = prefix_of(route)
                same = route.metric in (0, IPV6_METRIC) and route.type == UNICAST and route.table == MAIN
                if same and route.protocol != PROTOCOL and prefix in routes:
                    name = PROTOCOL_NAMES.get(route.protocol, route.protocol)
                    text = f"route {prefix} exists in {where} but is not ours (protocol {name})"
                    text += "; delete it there first, or leave this one out"
                    mistakes.append(f"{routes[prefix].place}.routes: {text}")
    return mistakes
