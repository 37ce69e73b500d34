# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host-wide sysctls below net, at run time. Private to this collection."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._engine import options
from .._engine.apply import Phase, Step
from .._engine.change import Change, Item
from .._engine.kind import Have, Kind
from .._engine.planned import Planned
from .._engine.snapshot import Snapshot
from .._engine.spelling import suggestion
from .._netlink.kernel import read_sysctl, write_sysctl
from .interface.steps import OF_SYSCTLS
from .sysctl_values import as_wanted

# Host-wide sysctls that the kernel copies to every interface, and the name they have there
SPREADS = {
    "ipv4/ip_forward": "ipv4.forwarding",
    "ipv4/conf/all/forwarding": "ipv4.forwarding",
    "ipv6/conf/all/forwarding": "ipv6.forwarding",
    "ipv6/conf/all/disable_ipv6": "ipv6.disable_ipv6",
}


class Sysctls(Kind[str]):
    name = "sysctls"
    noun = "sysctl"
    deletable = False
    spec: t.ClassVar[dict[str, t.Any]] = {
        "name": {"type": "str", "required": True},
        "value": {"type": "str"},
    }

    def parse(self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes, state: str) -> Item[str] | None:
        name = entry.get("name")
        if name is None:
            return None
        # as in sysctl(8): the first of . and / is the separator, the other is part of a name (VLAN interfaces)
        path = name if "/" in name.split(".")[0] else name.replace("/", "\0").replace(".", "/").replace("\0", ".")
        parts = path.split("/")
        if parts[0] != "net" or len(parts) < 3 or any(part in ("", ".", "..") for part in parts):
            mistakes.at(f"{place}.name", f"{name!r} is not a sysctl below net, such as net.ipv4.ip_forward")
            return None
        if state == "deleted":
            mistakes.at(place, "a sysctl cannot be deleted; give the value it should have")
        elif "value" not in entry and state != "gathered":
            mistakes.at(place, "value is missing")
        given = entry.get("value", "")
        value = options.sysctl_value({"True": "1", "False": "0"}.get(given, given))
        return Item("/".join(parts[1:]), name, {"value": value}, creates=False, place=place)

    def gather(self, snapshot: Snapshot, want: list[Item[str]], planned: Planned) -> Have[str]:
        # only the requested ones out of hundreds
        return {
            item.key: Item(
                item.key, item.label, {"value": as_wanted(read_sysctl(item.key), item.attributes.get("value"))}
            )
            for item in want
        }

    def foresee(self, have: Have[str], want: list[Item[str]], planned: Planned) -> Have[str]:
        """A value for all interfaces replaces those of each, which may have to be set again afterwards."""
        foreseen = dict(have)
        for item in want:
            parts = item.key.split("/")
            if item.key in SPREADS and parts[2:3] == ["all"] and have[item.key].attributes != item.attributes:
                for key, other in have.items():
                    if key != item.key and key.split("/")[:2] == parts[:2] and key.split("/")[3:] == parts[3:]:
                        foreseen[key] = dataclasses.replace(other, attributes=dict(item.attributes))
        return foreseen

    def check(
        self, want: list[Item[str]], have: Have[str], snapshot: Snapshot, planned: Planned, mistakes: options.Mistakes
    ) -> None:
        for item in want:
            if not os.path.exists(f"/proc/sys/net/{item.key}"):
                mistakes.at(f"{item.place}.name", _why_missing(item))

    def after(
        self, changes: list[Change[str]], have: Have[str], want: list[Item[str]], snapshot: Snapshot, planned: Planned
    ) -> None:
        planned.spread = {
            SPREADS[change.item.key]: change.after["value"] for change in changes if change.item.key in SPREADS
        }

    def steps(self, change: Change[str], planned: Planned) -> list[Step]:
        key, value = change.item.key, change.after["value"]
        text = f"set {change.item.label} to {value}"
        phase = Phase.KEEP_LEARNED_ROUTES if key.endswith("/accept_ra") else Phase.HOST_SYSCTLS
        first = 0 if key in SPREADS else 1
        return [Step(phase, text, lambda kernel: write_sysctl(key, value), order=first, remedies=OF_SYSCTLS)]

    def show(self, item: Item[str]) -> dict[str, t.Any]:
        return {"name": item.label, **item.attributes}


def _why_missing(item: Item[str]) -> str:
    directory, *parts = item.key.split("/")
    while parts and os.path.isdir(f"/proc/sys/net/{directory}/{parts[0]}"):
        directory, parts = f"{directory}/{parts[0]}", parts[1:]
    if directory.endswith(("/conf", "/neigh")):
        return (
            f"there is no interface {parts[0]} ({item.label}); "
            "sysctls of an interface that this call creates are set with it, in its sysctls"
        )
    there = f"/proc/sys/net/{directory}"
    near = suggestion(parts[0], os.listdir(there)) if parts and os.path.isdir(there) else ""
    return f"this kernel has no sysctl {item.label}{near}"
