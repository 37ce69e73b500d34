# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface that every kind of kernel object implements. Private to this collection."""

from __future__ import annotations

import typing as t

from .change import Change, Item, K

if t.TYPE_CHECKING:
    from .apply import Step
    from .options import Mistakes
    from .planned import Planned
    from .snapshot import Snapshot

Have = dict[K, Item[K]]


class Kind(t.Protocol[K]):
    """One kind of object, such as routes. A run calls the methods of each kind in the order given here.

    The kinds are planned in a fixed order, each against the state that the earlier ones will leave. Methods with a
    body have a default that suits most kinds.
    """

    name: str  # the key in the options of the module `network`
    noun: str  # in messages
    spec: t.ClassVar[dict[str, t.Any]]  # the options of one entry, as an argument spec
    lists: tuple[str, ...] = ()  # attributes that consist of members
    immutable: tuple[str, ...] = ()  # attributes that cannot change on an existing object
    deletable: bool = True
    if_foreign: str = "delete it first, or leave it out"  # what to do about a wanted object that is not ours

    # Parsing: from an entry to an item, without a kernel

    def parse(self, entry: dict[str, t.Any], place: str, mistakes: Mistakes, state: str) -> Item[K] | None: ...

    def arrange(self, want: list[Item[K]], mistakes: Mistakes) -> list[Item[K]]:
        """The wanted items in an order in which they can be created."""
        return want

    # The current and the future state

    def announce(self, want: list[Item[K]], snapshot: Snapshot, planned: Planned) -> None:
        """Registers the names that will exist. Called for every kind before the first one is planned."""
        return

    def settle(self, want: list[Item[K]], planned: Planned, mistakes: Mistakes) -> None:
        """Resolves names that are known only once every kind has announced its own."""
        return

    def gather(self, snapshot: Snapshot, want: list[Item[K]], planned: Planned) -> Have[K]: ...

    def check(
        self, want: list[Item[K]], have: Have[K], snapshot: Snapshot, planned: Planned, mistakes: Mistakes
    ) -> None:
        """Rejects what the kernel would refuse, or would accept without doing what is wanted."""
        return

    def foresee(self, have: Have[K], want: list[Item[K]], planned: Planned) -> Have[K]:
        """`have` as the changes of earlier kinds will leave it."""
        return have

    def remaining(self, have: Have[K], planned: Planned) -> Have[K]:
        """`have` without the objects that disappear together with objects of other kinds."""
        return have

    # Comparing: see plan.py

    def defaults(self, want: Item[K], have: Item[K]) -> dict[str, t.Any]:
        """Values that `replaced` restores for attributes that are not given, on objects that we created."""
        return {}

    def same(self, attribute: str, have: t.Any, want: t.Any) -> bool:
        return bool(have == want)

    def displaced(self, attribute: str, wanted: dict[str, t.Any], members: dict[str, t.Any]) -> set[str]:
        """Existing members of a list attribute that the kernel cannot hold alongside the wanted ones."""
        return set()

    def release(self, target: dict[str, t.Any], have: Item[K], given: Item[K] | None) -> None:
        """Adjusts what remains of an object of others once the members that carry our mark are removed."""
        return

    def complete(self, item: Item[K]) -> dict[str, t.Any]:
        """All attributes of a wanted object that does not exist yet."""
        return item.attributes

    # Side effects

    def after(
        self, changes: list[Change[K]], have: Have[K], want: list[Item[K]], snapshot: Snapshot, planned: Planned
    ) -> None:
        """Records the side effects of the changes in `planned`, and appends resulting changes to `changes`."""
        return

    def passed_over(self, want: list[Item[K]], have: Have[K], snapshot: Snapshot) -> list[str]:
        """Warnings for objects of others that `deleted` was given and leaves alone."""
        return []

    def conflicts(self, changes: list[Change[K]], snapshot: Snapshot) -> list[str]:
        """Errors for objects of others that would conflict with the changes."""
        return []

    # Writing and showing

    def steps(self, change: Change[K], planned: Planned) -> list[Step]: ...

    def show(self, item: Item[K]) -> dict[str, t.Any]: ...
