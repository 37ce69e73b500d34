# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Computes what has to change, without a kernel. Private to this collection."""

from __future__ import annotations

import dataclasses
import typing as t

from .change import Change, Item, K
from .kind import Have, Kind

STATES = ("merged", "replaced", "overridden", "deleted", "gathered")


class Refused(Exception):
    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def plan(kind: Kind[K], have: Have[K], want: list[Item[K]], state: str) -> list[Change[K]]:
    """The changes that lead from `have` to `want`, in the order of `want`, removals last.

    Raises Refused, with all errors, if an object that is not ours would have to be changed.
    """
    if state == "gathered":
        return []
    mistakes: list[str] = []
    changes: list[Change[K]] = []
    if state == "deleted":
        given = {item.key: item for item in want}
        for key, item in have.items():
            if (not want and item.has_mark()) or key in given:
                changes += _remove(kind, item, given.get(key), mistakes)
    else:
        for item in want:
            changes += _reconcile(kind, have.get(item.key), item, state, mistakes)
    if state == "overridden":
        wanted = {item.key for item in want}
        for key, item in have.items():
            if key not in wanted and item.has_mark():
                changes += _remove(kind, item, None, mistakes)
    if mistakes:
        raise Refused(mistakes)
    return changes


def _reconcile(kind: Kind[K], have: Item[K] | None, want: Item[K], state: str, mistakes: list[str]) -> list[Change[K]]:
    if have is None:
        if not want.creates:
            mistakes.append(f"{want.place}: {kind.noun} {want.label} does not exist")
            return []
        full = dataclasses.replace(want, attributes=kind.complete(want), owned=True)
        return [Change(kind.name, "create", full.label, "it does not exist", {}, full.attributes, None, full)]
    refused = _foreign_rivals(kind, have, want)
    if want.creates and not have.owned:
        text = f"{kind.noun} {want.label} exists but is not ours (it does not carry our mark); {kind.if_foreign}"
        refused = [f"{want.place}: {text}"]
    if refused:
        mistakes += refused
        return []
    target = merge(kind, have, want, state)
    before, after = difference(kind, have.attributes, target)
    if not before and not after:
        return []
    hints = {**have.hints, **want.hints}
    full = dataclasses.replace(have, label=want.label, attributes=target, place=want.place, hints=hints)
    fixed = [name for name in kind.immutable if name in after]
    if fixed and not have.owned:
        mistakes.append(
            f"{want.place}: {fixed[0]} of {kind.noun} {want.label} cannot be changed from "
            f"{before.get(fixed[0])} to {after[fixed[0]]}, and it is not ours, so it is not replaced; "
            f"delete it first, or give its present {fixed[0]}"
        )
        return []
    why = f"{', '.join(fixed)} cannot be changed on an existing {kind.noun}" if fixed else "differs"
    return [Change(kind.name, "replace" if fixed else "change", full.label, why, before, after, have, full)]


def _foreign_rivals(kind: Kind[K], have: Item[K], want: Item[K]) -> list[str]:
    """Members of others that conflict with wanted ones, because the kernel cannot hold both."""
    found = []
    for name in kind.lists:
        rivals = kind.displaced(name, want.attributes.get(name) or {}, have.attributes.get(name) or {})
        for member in sorted(rivals - have.marked.get(name, set())):
            text = f"{member} exists on {kind.noun} {want.label} and is not ours; the kernel can have it only once"
            found.append(f"{want.place}.{name}: {text}. Remove it, or configure it exactly as it is")
    return found


def _remove(kind: Kind[K], have: Item[K], given: Item[K] | None, mistakes: list[str]) -> list[Change[K]]:
    if have.owned:
        why = "is to be deleted" if given else "is not in the configuration"
        return [Change(kind.name, "delete", have.label, why, have.attributes, {}, have)]
    if given is not None and given.creates:
        text = f"{kind.noun} {have.label} is not ours (it does not carry our mark)"
        mistakes.append(f"{given.place}: {text}; leave it out, or delete it by hand")
        return []
    target = dict(have.attributes)
    for name, members in have.marked.items():
        target[name] = {member: value for member, value in target[name].items() if member not in members}
    for name, value in have.former.items():
        target[name] = {**target.get(name, {}), **value} if name in kind.lists else value
    kind.release(target, have, given)
    before, after = difference(kind, have.attributes, target)
    if not before and not after:
        return []
    full = dataclasses.replace(have, attributes=target, marked={}, former={}, configured=False)
    return [Change(kind.name, "change", full.label, _why_released(have, given, before), before, after, have, full)]


def _why_released(have: Item[t.Any], given: Item[t.Any] | None, before: dict[str, t.Any]) -> str:
    """Why members that carry our mark are removed from an object of others, and its settings are reset."""
    members = [name for name in before if name in have.marked]
    restored = [name for name in before if name in have.former]
    settings = [name for name in before if name not in have.marked and name not in have.former]
    reasons = []
    if members:
        verb = "to be deleted" if given else "not in the configuration"
        reasons.append(f"{' and '.join(members)} of ours are {verb}")
    for names, what in ((settings, "reset to the default"), (restored, "restored")):
        if names:
            reasons.append(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} to be {what}")
    return "; ".join(reasons)


def merge(kind: Kind[K], have: Item[K], want: Item[K], state: str) -> dict[str, t.Any]:
    """The attributes that an existing object should have."""
    exact = state in ("replaced", "overridden")
    target = dict(have.attributes)
    if exact and have.owned:
        target.update(kind.defaults(want, have))
    for name, value in want.attributes.items():
        # an observed value that satisfies the wanted one has more detail, such as the interface of a next hop
        if name not in kind.lists and (target.get(name) is None or not kind.same(name, target[name], value)):
            target[name] = value
    for name in kind.lists:
        wanted = want.attributes.get(name) or {}
        members = dict(have.attributes.get(name) or {})
        if exact:
            drop = have.marked.get(name, set())
            members = {member: value for member, value in members.items() if member not in drop or member in wanted}
        for member, value in wanted.items():
            old = members.get(member)
            members[member] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        for member in kind.displaced(name, wanted, members):
            del members[member]
        target[name] = members
    return target


def difference(
    kind: Kind[t.Any], have: dict[str, t.Any], target: dict[str, t.Any]
) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """The differing attributes, before and after; of list attributes only the differing members."""
    before: dict[str, t.Any] = {}
    after: dict[str, t.Any] = {}
    for name, new in target.items():
        old = have.get(name)
        if name in kind.lists:
            old = old or {}
            removed = {member: value for member, value in old.items() if member not in new or new[member] != value}
            added = {member: value for member, value in new.items() if member not in old or old[member] != value}
            if removed or added:
                before[name], after[name] = removed, added
        elif not kind.same(name, old, new):
            before[name], after[name] = old, new
    return before, after
