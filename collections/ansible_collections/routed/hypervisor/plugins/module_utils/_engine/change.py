# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records that all modules share: a kernel object, and a change. Private to this collection."""

from __future__ import annotations

import dataclasses
import typing as t

K = t.TypeVar("K", bound=t.Hashable)  # identifies an object within its kind


@dataclasses.dataclass
class Item(t.Generic[K]):
    """One object, wanted or observed.

    Attributes that users write as lists (addresses, proxy entries, sysctls) are dictionaries here, from a member's
    identity to its properties. A wanted item has only the attributes that were given; an observed one has all.
    """

    key: K
    label: str
    attributes: dict[str, t.Any]
    owned: bool = False  # observed: carries our mark
    marked: dict[str, set[str]] = dataclasses.field(default_factory=dict)  # observed: members that carry our mark
    former: dict[str, t.Any] = dataclasses.field(default_factory=dict)  # observed: attributes before we changed them
    configured: bool = False  # observed: not ours, but carries the mark of what we configure
    creates: bool = True  # wanted: we may create it; otherwise it is only configured
    place: str = ""  # wanted: where the user wrote it
    hints: dict[str, t.Any] = dataclasses.field(default_factory=dict)  # needed for writing, never compared

    def has_mark(self) -> bool:
        return self.owned or self.configured or bool(self.former) or any(self.marked.values())


@dataclasses.dataclass
class Change(t.Generic[K]):
    """What a module changes, or would change in check mode. Every module returns it as `shown`, in `changes`."""

    kind: str  # vrfs, routes, …; files, services; nodes, cables, images; tables; blocks
    op: str  # create, change, replace (delete and create), delete; for services also start, stop, …
    name: str
    why: str
    before: dict[str, t.Any] = dataclasses.field(default_factory=dict)  # only what differs
    after: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    # Only for kernel objects:
    have: Item[K] | None = None
    want: Item[K] | None = None  # the object as it will be, all attributes
    addresses_to_restore: list[Item[str]] = dataclasses.field(default_factory=list)  # links; see _kinds/interface

    @property
    def item(self) -> Item[K]:
        return t.cast("Item[K]", self.want or self.have)

    def shown(self) -> dict[str, t.Any]:
        return {
            "kind": self.kind,
            "op": self.op,
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "why": self.why,
        }
