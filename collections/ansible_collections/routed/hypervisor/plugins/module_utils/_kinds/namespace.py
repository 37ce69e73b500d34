# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kind `namespaces`: named network namespaces. Private to this collection."""

from __future__ import annotations

import typing as t

from .._engine import options
from .._engine.apply import Phase, Step
from .._engine.change import Change, Item
from .._engine.kind import Have, Kind
from .._engine.planned import Planned
from .._engine.snapshot import Snapshot
from .._netlink import named_namespaces as names
from .._netlink.kernel import Kernel
from .._netlink.marks import MARK


class Namespaces(Kind[str]):
    name = "namespaces"
    noun = "namespace"
    if_foreign = "give another name, or delete it first"
    spec: t.ClassVar[dict[str, t.Any]] = {"name": {"type": "str", "required": True}}

    def parse(self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes, state: str) -> Item[str] | None:
        name = entry.get("name")
        if name is None or not options.namespace_name(name, f"{place}.name", mistakes):
            return None
        return Item(name, name, {} if state == "deleted" else {"loopback": "up"}, place=place)

    def gather(self, snapshot: Snapshot, want: list[Item[str]], planned: Planned) -> Have[str]:
        found: Have[str] = {}
        for name, number in snapshot.spaces.named.items():
            kernel = snapshot.kernel_in(snapshot.spaces.found[number])
            if kernel is not None:
                loopback = kernel.network.link("lo")
                up = "up" if loopback.up else "down"
                # the mark is on its lo: the name is only a mount point
                found[name] = Item(name, name, {"loopback": up}, owned=loopback.alias == MARK)
        return found

    def announce(self, want: list[Item[str]], snapshot: Snapshot, planned: Planned) -> None:
        if planned.state != "deleted":
            planned.new_namespaces = {item.key for item in want}

    def after(
        self, changes: list[Change[str]], have: Have[str], want: list[Item[str]], snapshot: Snapshot, planned: Planned
    ) -> None:
        planned.old_namespaces = {change.item.key for change in changes if change.op == "delete"}

    def steps(self, change: Change[str], planned: Planned) -> list[Step]:
        name = change.item.key
        if change.op == "create":
            return [Step(Phase.NAMESPACES, f"create namespace {name}", lambda _kernel: names.create(name))]
        if change.op == "change":
            return [Step(Phase.NAMESPACES, f"set lo up in namespace {name}", names.set_loopback, name)]

        def remove(kernel: Kernel) -> None:
            kernel.forget(name)
            names.remove(name)

        return [Step(Phase.REMOVE_NAMESPACES, f"delete namespace {name}", remove)]

    def show(self, item: Item[str]) -> dict[str, t.Any]:
        return {"name": item.key, **item.attributes}
