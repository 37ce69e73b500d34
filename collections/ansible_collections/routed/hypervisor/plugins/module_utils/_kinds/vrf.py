# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VRFs: the device, and the unreachable default routes in its table. Private to this collection."""

from __future__ import annotations

import typing as t
from functools import partial

from .._engine import options
from .._engine.apply import Phase, Step
from .._engine.change import Change, Item
from .._engine.kind import Have, Kind
from .._engine.planned import Planned
from .._engine.snapshot import Snapshot, l3mdev_families
from .._netlink.codec import IFF_UP, LINK, ROUTE, RULE, Route
from .._netlink.kernel import BEING_CREATED, FAMILIES, Kernel
from .._netlink.marks import PROTOCOL
from .._netlink.sockets import CREATE, REPLACE
from .interface.effects import disturb
from .interface.kind import Interfaces
from .link import creation_remedies, delete_link, mark_link, set_link

# Worse than any route that an operator or a daemon would install; the kernel's VRF documentation suggests it.
LAST_METRIC = 4278198272
UNREACHABLE = 7
L3MDEV_PRIORITY, KERNEL, TO_TABLE = 1000, 2, 1  # of the kernel's rules: FRA_PRIORITY, RTPROT_KERNEL, FR_ACT_TO_TBL
RESERVED_TABLES = {253: "default", 254: "main", 255: "local"}


def is_last_default(route: Route) -> bool:
    return route.metric == LAST_METRIC and route.protocol == PROTOCOL and route.type == UNREACHABLE and not route.length


class Vrfs(Kind[str]):
    name = "vrfs"
    noun = "VRF"
    immutable = ("table",)
    if_foreign = "give another name, or delete it first"
    spec: t.ClassVar[dict[str, t.Any]] = {
        "name": {"type": "str", "required": True},
        "table": {"type": "int"},
        "unreachable_default": {"type": "bool"},
    }

    def parse(self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes, state: str) -> Item[str] | None:
        name = entry.get("name")
        if name is None or not options.interface_name(name, f"{place}.name", mistakes):
            return None
        options.in_range(entry, "table", (1, 2**32 - 1), place, mistakes)
        if entry.get("table") in RESERVED_TABLES:
            mistakes.at(f"{place}.table", f"{entry['table']} is the kernel's table {RESERVED_TABLES[entry['table']]!r}")
        if "table" not in entry and state != "deleted":
            mistakes.at(place, "table is missing")
        attributes: dict[str, t.Any] = {key: entry[key] for key in ("table", "unreachable_default") if key in entry}
        if state != "deleted":
            attributes |= {"state": "up", "l3mdev_rules": True}
        return Item(name, name, attributes, place=place)

    def announce(self, want: list[Item[str]], snapshot: Snapshot, planned: Planned) -> None:
        planned.forget_links({item.key for item in want}, lambda link: link.kind == "vrf")
        for item in want:
            if "table" in item.attributes:
                planned.tables[item.key] = item.attributes["table"]
            planned.links[item.key], planned.states[item.key] = "vrf", "up"

    def complete(self, item: Item[str]) -> dict[str, t.Any]:
        return {"unreachable_default": True, **item.attributes}

    def defaults(self, want: Item[str], have: Item[str]) -> dict[str, t.Any]:
        return {"unreachable_default": True}

    def gather(self, snapshot: Snapshot, want: list[Item[str]], planned: Planned) -> Have[str]:
        reject = {(route.family, route.table) for route in snapshot.own_routes if is_last_default(route)}
        in_families: dict[int, t.Any] = {0: False, len(FAMILIES): True}
        found: Have[str] = {}
        for link in snapshot.links.values():
            if link.kind == "vrf":
                table = link.data["IFLA_VRF_TABLE"]
                count = sum((family, table) in reject for family in FAMILIES.values())
                found[link.name] = Item(
                    link.name,
                    link.name,
                    # present in one family only: equal to neither true nor false, so that both are applied
                    {
                        "table": None if link.half_made else table,
                        "state": "up" if link.up else "down",
                        "unreachable_default": in_families.get(count, "in one family"),
                        "l3mdev_rules": in_families.get(len(snapshot.l3mdev_families), "in one family"),
                    },
                    owned=link.owned,
                )
        return found

    def check(
        self, want: list[Item[str]], have: Have[str], snapshot: Snapshot, planned: Planned, mistakes: options.Mistakes
    ) -> None:
        users: dict[int, str] = {}
        replaced = {item.key for item in want}
        for item in have.values():
            if item.key not in replaced | planned.left_out and item.key in planned.tables:
                users.setdefault(item.attributes["table"], f"the existing VRF {item.label}")
        for item in want:
            table = item.attributes["table"]
            if table in users:
                mistakes.at(f"{item.place}.table", f"{table} is already the table of {users[table]}")
            users.setdefault(table, f"{item.label} ({item.place})")
            if item.key in snapshot.altnames:
                mistakes.at(f"{item.place}.name", planned.no_link(item.key))
            link = snapshot.links.get(item.key)
            if link and link.kind != "vrf":
                mistakes.at(
                    f"{item.place}.name", f"{item.label} exists and is a {link.kind or 'network device'}, not a VRF"
                )

    def after(
        self, changes: list[Change[str]], have: Have[str], want: list[Item[str]], snapshot: Snapshot, planned: Planned
    ) -> None:
        planned.vrf_changes = [change for change in changes if change.op in ("delete", "replace")]
        deleted = {change.item.key for change in planned.vrf_changes}
        planned.freed = {link.name for link in snapshot.links.values() if link.master in deleted}
        if planned.freed:
            disturb(planned, [], Interfaces().gather(snapshot, [], planned))

    def steps(self, change: Change[str], planned: Planned) -> list[Step]:
        name = change.item.key
        steps: list[Step] = []
        if change.have and change.op in ("delete", "replace"):
            old = change.have.attributes
            steps += [Step(Phase.REMOVE_VRFS, f"delete VRF {name}", lambda kernel: delete_link(kernel, name))]
            if old["unreachable_default"]:
                steps.append(_reject_step(name, old["table"], False, Phase.REMOVE_ROUTES))
        if change.want is None:
            return steps
        new = change.want.attributes
        if change.op in ("create", "replace"):
            create = partial(_create, name=name, table=new["table"])
            steps.append(Step(Phase.VRFS, f"create VRF {name}", create, remedies=creation_remedies("vrf")))
            steps.append(mark_link(f"VRF {name}", name))
        elif "state" in change.after:
            steps.append(Step(Phase.VRFS, f"set VRF {name} up", lambda kernel: _up(kernel, name)))
        if change.op == "create" or "l3mdev_rules" in change.after:
            steps.append(Step(Phase.RULES, "add the rules for VRFs", _add_rules))
        if "unreachable_default" in change.after if change.op == "change" else new["unreachable_default"]:
            steps.append(_reject_step(name, new["table"], new["unreachable_default"], Phase.VRFS))
        return steps

    def show(self, item: Item[str]) -> dict[str, t.Any]:
        # The kernel's own rules are shown only if they are missing.
        hidden = ("l3mdev_rules",) if item.attributes.get("l3mdev_rules") is True else ()
        return {"name": item.key, **{key: value for key, value in item.attributes.items() if key not in hidden}}


def _add_rules(kernel: Kernel) -> None:
    """The kernel adds its rules with the first VRF of a namespace, and never again: no VRF works without them."""
    for family in set(FAMILIES.values()) - l3mdev_families(kernel):
        rule = [("FRA_PRIORITY", L3MDEV_PRIORITY), ("FRA_PROTOCOL", KERNEL), ("FRA_L3MDEV", 1)]
        kernel.new(RULE, {"family": family, "action": TO_TABLE}, rule, exists_ok=True)


def _create(kernel: Kernel, name: str, table: int) -> None:
    info = [("IFLA_INFO_KIND", "vrf"), ("IFLA_INFO_DATA", [("IFLA_VRF_TABLE", table)])]
    attributes = [("IFLA_IFNAME", name), ("IFLA_GROUP", BEING_CREATED), ("IFLA_LINKINFO", info)]
    kernel.new(LINK, {"flags": IFF_UP, "change": IFF_UP}, attributes)


def _up(kernel: Kernel, name: str) -> None:
    set_link(kernel, name, [], flags=IFF_UP, change=IFF_UP)


def _reject_step(name: str, table: int, present: bool, phase: Phase) -> Step:
    def run(kernel: Kernel) -> None:
        for family in FAMILIES.values():
            fields = {"family": family, "proto": PROTOCOL, "type": UNREACHABLE}
            attributes = [("RTA_TABLE", table), ("RTA_PRIORITY", LAST_METRIC)]
            if present:
                kernel.new(ROUTE, fields, attributes, flags=CREATE | REPLACE)
            else:
                kernel.delete(ROUTE, fields, attributes, missing_ok=True)

    verb = "add" if present else "remove"
    return Step(phase, f"{verb} the unreachable default routes of VRF {name} (table {table})", run)
