# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kind `ipvlan_links`: slaves of a master, on the host or in another namespace. Private to this collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._engine import options
from ..._engine.apply import Step
from ..._engine.change import Change, Item
from ..._engine.kind import Have, Kind
from ..._engine.planned import Planned
from ..._engine.snapshot import Snapshot
from ..._engine.spelling import suggestion
from ..._netlink.kernel import DIRECTORY
from ..interface.effects import without_ipv4
from ..interface.kind import planned_interfaces
from ..link_members import (
    MEMBERS,
    displaced,
    enable_ipv6,
    observe_sysctls,
    parse_addresses,
    parse_sysctls,
    show_members,
)
from . import checks, view
from . import steps as ipvlan_steps
from .view import FLAGS, MODES, LinkKey, label


class IpvlanLinks(Kind[LinkKey]):
    name = "ipvlan_links"
    noun = "ipvlan link"
    lists = ("addresses", "routes", "sysctls")
    immutable = ("master",)
    if_foreign = "give another name, or delete it first"
    spec: t.ClassVar[dict[str, t.Any]] = {
        "name": {"type": "str", "required": True},
        "master": {"type": "str"},
        "mode": {"type": "str", "choices": list(MODES)},
        "flag": {"type": "str", "choices": list(FLAGS)},
        "mtu": {"type": "int"},
        "namespace": {"type": "str"},
        "pid": {"type": "int"},
        "vrf": {"type": "str"},
        "state": {"type": "str", "choices": ["up", "down"], "default": "up"},
        "force": {"type": "bool", "default": False},
        **MEMBERS,
        "routes": {
            "type": "list",
            "elements": "dict",
            "options": {"prefix": {"type": "str", "required": True}, "gateway": {"type": "str"}},
        },
    }

    def parse(
        self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes, state: str
    ) -> Item[LinkKey] | None:
        name = entry.get("name")
        if name is None or not options.interface_name(name, f"{place}.name", mistakes):
            return None
        elsewhere = [key for key in ("namespace", "pid") if entry.get(key)]
        if len(elsewhere) > 1:
            mistakes.at(place, "namespace and pid are mutually exclusive")
        if "namespace" in elsewhere and not entry["namespace"].startswith("/"):
            options.namespace_name(entry["namespace"], f"{place}.namespace", mistakes)
        if "pid" in elsewhere and entry["pid"] < 1:
            mistakes.at(f"{place}.pid", f"{entry['pid']} is not a process ID")
        given: dict[str, t.Any] = {key: entry[key] for key in ("master", "mode", "flag", "mtu") if key in entry}
        options.in_range(given, "mtu", (68, 65535), place, mistakes)
        if state != "deleted":
            given["state"] = entry.get("state", "up")
            if not given.get("master"):
                mistakes.at(place, "master is missing")
        if given.get("master"):
            options.interface_name(given["master"], f"{place}.master", mistakes)
        if given.get("master") == name and not elsewhere:
            mistakes.at(f"{place}.master", f"{name} cannot be its own master")
        if "vrf" in entry:
            given["vrf"] = entry["vrf"] or None
            if elsewhere and entry["vrf"]:
                mistakes.at(f"{place}.vrf", "is only for links in the host's own namespace")
        if "namespace" in elsewhere:
            entry = {**entry, "namespace": _short(entry["namespace"])}
        spot = entry.get("namespace") or (f"pid {entry['pid']}" if entry.get("pid") else "")
        # the namespace is known only after the kernel was read: see `settle`
        item = Item((spot, name), label(spot, name), given, place=place)
        item.hints.update({key: entry[key] for key in elsewhere})
        item.hints["force"] = bool(entry.get("force"))
        parse_addresses(item, entry.get("addresses"), mistakes)
        parse_sysctls(item, entry.get("sysctls"), mistakes)
        _parse_routes(item, entry.get("routes"), bool(elsewhere), mistakes)
        return item

    def announce(self, want: list[Item[LinkKey]], snapshot: Snapshot, planned: Planned) -> None:
        planned.forget_links({name for _where, name in (item.key for item in want)}, lambda link: link.kind == "ipvlan")

    def settle(self, want: list[Item[LinkKey]], planned: Planned, mistakes: options.Mistakes) -> None:
        """Gives each namespace one designation, however it was given."""
        planned_interfaces(planned)
        for item in want:
            where, name = _find_namespace(item, planned, mistakes), item.key[1]
            item.key, item.label = (where, name), label(where, name)
            if not where:
                planned.links[name] = "ipvlan"
                planned.states[name] = item.attributes.get("state", "up")
        options.duplicates(want, mistakes)

    def displaced(self, attribute: str, wanted: dict[str, t.Any], members: dict[str, t.Any]) -> set[str]:
        return displaced(wanted, members) if attribute == "addresses" else set()

    def complete(self, item: Item[LinkKey]) -> dict[str, t.Any]:
        return {"flag": "bridge", **{name: value for name, value in item.attributes.items() if value is not None}}

    def defaults(self, want: Item[LinkKey], have: Item[LinkKey]) -> dict[str, t.Any]:
        defaults = {"flag": "bridge", "vrf": None}
        if have.hints.get("default_mtu"):
            defaults["mtu"] = have.hints["default_mtu"]
        return defaults

    def gather(self, snapshot: Snapshot, want: list[Item[LinkKey]], planned: Planned) -> Have[LinkKey]:
        found = view.gather(snapshot, want)
        for item in found.values():
            item.hints["default_mtu"] = planned.mtu(item.hints["master"])
        for item in want:
            if item.key in found:
                enable_ipv6(item, found[item.key].hints["families"])
            if item.key in found and item.attributes.get("sysctls"):
                kernel = snapshot.kernel.at(item.key[0])
                found[item.key].attributes["sysctls"] = observe_sysctls(item.key[1], item, kernel.read_sysctl)
        return found

    def check(
        self,
        want: list[Item[LinkKey]],
        have: Have[LinkKey],
        snapshot: Snapshot,
        planned: Planned,
        mistakes: options.Mistakes,
    ) -> None:
        checks.check(want, have, snapshot, planned, mistakes)

    def foresee(self, have: Have[LinkKey], want: list[Item[LinkKey]], planned: Planned) -> Have[LinkKey]:
        return {
            key: _foreseen(item, planned) for key, item in have.items() if item.hints["master"] not in planned.remade
        }

    def remaining(self, have: Have[LinkKey], planned: Planned) -> Have[LinkKey]:
        return {key: item for key, item in have.items() if key[0] not in planned.old_namespaces}

    def after(
        self,
        changes: list[Change[LinkKey]],
        have: Have[LinkKey],
        want: list[Item[LinkKey]],
        snapshot: Snapshot,
        planned: Planned,
    ) -> None:
        for change in changes:  # side effects on the host's proxy entries and routes
            where, name = change.item.key
            if where:
                continue
            if change.want is not None:
                planned.slaves[name] = change.want.attributes
            if change.op != "change":
                planned.remade.add(name)
            elif "vrf" in change.after or change.after.get("state") == "down":
                planned.disturbed.add(name)
            if without_ipv4(change):
                planned.without_ipv4.add(name)
            planned.lose_addresses(change)

    def conflicts(self, changes: list[Change[LinkKey]], snapshot: Snapshot) -> list[str]:
        return checks.conflicts(changes, snapshot)

    def steps(self, change: Change[LinkKey], planned: Planned) -> list[Step]:
        return ipvlan_steps.steps(change)

    def show(self, item: Item[LinkKey]) -> dict[str, t.Any]:
        where, name = item.key
        shown: dict[str, t.Any] = {"name": name, **({"namespace": where} if where else {})}
        shown.update({key: value for key, value in item.attributes.items() if value is not None})
        routes = shown.pop("routes", {})
        if routes:
            shown["routes"] = [
                {"prefix": prefix, **{key: hop for key, hop in value.items() if hop}}
                for prefix, value in routes.items()
            ]
        return show_members(shown)


def _foreseen(item: Item[LinkKey], planned: Planned) -> Item[LinkKey]:
    where, name = item.key
    attributes = dict(item.attributes)
    attributes["mtu"] = planned.mtus.get(item.hints["master"], attributes["mtu"])
    if not where and name in planned.freed:
        attributes["vrf"] = None
        attributes["addresses"] = {a: value for a, value in attributes["addresses"].items() if ":" not in a}
    if not where:
        attributes["sysctls"] = {key: planned.spread.get(key, value) for key, value in attributes["sysctls"].items()}
    return dataclasses.replace(item, attributes=attributes)


def _short(namespace: str) -> str:
    """A name instead of its file: the file may be made in this run."""
    directory, _slash, name = namespace.rpartition("/")
    return name if directory in (DIRECTORY, f"/var{DIRECTORY}") else namespace


def _find_namespace(item: Item[LinkKey], planned: Planned, mistakes: options.Mistakes) -> str:
    """Its designation; if it does not exist, the given name, with a mistake unless this run creates it."""
    given, pid = item.hints.get("namespace"), item.hints.get("pid")
    spaces = planned.snapshot.spaces
    if pid:
        path = f"/proc/{pid}/ns/net"
        where = spaces.designate(path)
        if where is None:
            mistakes.at(f"{item.place}.pid", f"there is no process {pid}")
        return path if where is None else where
    if not given:
        return ""
    if given.startswith("/"):
        where = spaces.designate(given)
        if where is None:
            mistakes.at(f"{item.place}.namespace", f"{given} is not a network namespace")
    else:
        where = spaces.found[spaces.named[given]] if given in spaces.named else None
        if where is None and given not in planned.new_namespaces:
            near = suggestion(given, {*spaces.named, *planned.new_namespaces})
            mistakes.at(f"{item.place}.namespace", f"there is no namespace {given}, and none is configured{near}")
    if given in planned.old_namespaces:
        mistakes.at(f"{item.place}.namespace", f"namespace {given} will be deleted")
    return given if where is None else where


def _parse_routes(
    item: Item[LinkKey], entries: list[dict[str, t.Any]] | None, elsewhere: bool, mistakes: options.Mistakes
) -> None:
    if entries is None:
        return
    if entries and not elsewhere:
        mistakes.at(f"{item.place}.routes", "are only for links in another namespace; on the host, use the kind routes")
    if entries and item.attributes.get("state") == "down":
        mistakes.at(f"{item.place}.routes", "the kernel accepts no route through a link that is down")
    members: dict[str, dict[str, t.Any]] = {}
    for number, entry in enumerate(entries):
        place = f"{item.place}.routes[{number}]"
        prefix = options.network(entry["prefix"], f"{place}.prefix", mistakes) if "prefix" in entry else None
        if prefix is None:
            continue
        gateway = None
        if entry.get("gateway"):
            gateway = options.address(entry["gateway"], f"{place}.gateway", mistakes)
            if gateway is not None and gateway.version != prefix.version:
                mistakes.at(f"{place}.gateway", f"{gateway} is not an IPv{prefix.version} address")
        if str(prefix) in members:
            mistakes.at(f"{place}.prefix", f"{prefix} is given twice")
        members[str(prefix)] = {"gateway": str(gateway) if gateway else None}
    item.attributes["routes"] = members
