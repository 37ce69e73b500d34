# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All kinds together: each planned against the state that the earlier ones will leave, then applied, then verified.

Private to this collection.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._engine import options
from .._engine.apply import apply
from .._engine.change import Change, Item
from .._engine.former import Former
from .._engine.kind import Have, Kind
from .._engine.plan import Refused, plan
from .._engine.planned import Planned
from .._engine.snapshot import Snapshot
from .._kinds.interface import steps as interface_steps
from .._kinds.interface.kind import Interfaces
from .._kinds.ipvlan.kind import IpvlanLinks
from .._kinds.namespace import Namespaces
from .._kinds.proxy_arp import ProxyArp
from .._kinds.route.kind import Routes
from .._kinds.rule import Rules
from .._kinds.sysctl import Sysctls
from .._kinds.vrf import Vrfs
from .._netlink.kernel import Kernel
from . import absent, advertisements, bystanders, deletions, lockout, restoring
from .bystanders import Bystanders

# The order of planning: each kind depends on those before it.
_KINDS: tuple[Kind[t.Any], ...] = (
    Sysctls(),
    Vrfs(),
    Namespaces(),
    Interfaces(),
    IpvlanLinks(),
    ProxyArp(),
    Routes(),
    Rules(),
)
KINDS: dict[str, Kind[t.Any]] = {kind.name: kind for kind in _KINDS}
Wanted = dict[str, list[Item[t.Any]]]


def parse(config: dict[str, t.Any], state: str, prefix: str = "") -> tuple[Wanted, options.Mistakes]:
    """The wanted objects of each given kind that have no mistake, parsed without a kernel.

    `prefix` precedes each place.
    """
    mistakes = options.Mistakes()
    wanted: Wanted = {}
    parsed: list[_Parsed] = []
    for name, entries in config.items():
        if entries is None:
            continue
        if name not in KINDS:
            mistakes.at(f"{prefix}{name}", f"no such kind; the kinds are {', '.join(KINDS)}")
            mistakes.whole_kind = True
            continue
        wanted[name] = []
        if not isinstance(entries, (list, tuple)):
            mistakes.at(f"{prefix}{name}", f"must be a list, not {entries!r}")
            mistakes.whole_kind = True
            continue
        kind = KINDS[name]
        items = []
        for number, entry in enumerate(entries):
            place, count = f"{prefix}{name}[{number}]", len(mistakes)
            clean = options.check_options(kind.spec, entry, place, mistakes)
            item = kind.parse(clean, place, mistakes, state) if clean is not None else None
            parsed.append(_Parsed(name, entry, item, faulty=len(mistakes) > count))
            if item is not None:
                items.append(item)
        repeated = {id(item) for item in options.duplicates(items, mistakes)}
        for one in parsed[len(parsed) - len(entries) :] if repeated else ():
            one.faulty |= id(one.item) in repeated
    _leave_out(parsed, mistakes)
    for one in parsed:
        if one.item is not None and not one.faulty:
            wanted[one.kind].append(one.item)
    return wanted, mistakes


@dataclasses.dataclass
class _Parsed:
    kind: str
    entry: t.Any
    item: Item[t.Any] | None
    faulty: bool

    def names(self) -> set[str]:
        """The links, VRFs and namespaces that this entry makes or configures."""
        elsewhere = self._values("namespace", "pid") or self.kind == "sysctls"
        return set() if elsewhere else self._values("name", "peer")

    def refers_to(self) -> set[str]:
        hops = self.entry.get("nexthops") if isinstance(self.entry, dict) else None
        found = {str(hop.get("interface")) for hop in hops or () if isinstance(hop, dict)}
        return found | self._values("vrf", "bridge", "parent", "master", "interface", "namespace")

    def may_reach_gateways(self) -> bool:
        """By an address, or as a route without a gateway."""
        if self.kind == "routes":
            return not self._values("gateway", "nexthops")
        return self.kind in ("interfaces", "ipvlan_links")

    def _values(self, *keys: str) -> set[str]:
        entry = self.entry if isinstance(self.entry, dict) else {}
        return {str(entry[key]) for key in keys if entry.get(key)}


def _leave_out(parsed: list[_Parsed], mistakes: options.Mistakes) -> None:
    """Also marks entries that refer to a faulty one: what could be reported about them would follow from that."""
    left = [one for one in parsed if one.faulty]
    while left:
        mistakes.networks_unknown |= any(one.may_reach_gateways() for one in left)
        names = set().union(*(one.names() for one in left))
        mistakes.left_out |= names
        left = [one for one in parsed if not one.faulty and (one.refers_to() | one.names()) & names]
        for one in left:
            one.faulty = True


@dataclasses.dataclass
class Outcome:
    have: dict[str, Have[t.Any]]
    changes: dict[str, list[Change[t.Any]]]
    planned: Planned
    wanted_keys: dict[str, set[t.Hashable]]
    bystanders: Bystanders
    passed_over: list[str]  # warnings
    implied: list[Change[t.Any]]  # of links of ours and others, as side effects of deletions
    remaining: dict[str, Have[t.Any]]  # excluding objects removed implicitly; others in their resulting state

    def keep_learned(self, changes: list[Change[t.Any]]) -> None:
        """Adds changes of sysctls that the configuration does not mention."""
        for change in changes:
            self.have.setdefault("sysctls", {})[change.item.key] = t.cast("Item[t.Any]", change.have)
            self.remaining.setdefault("sysctls", {})[change.item.key] = t.cast("Item[t.Any]", change.have)
            self.wanted_keys.setdefault("sysctls", set()).add(change.item.key)
            self.changes.setdefault("sysctls", []).append(change)

    def all_changes(self) -> list[Change[t.Any]]:
        return [change for changes in self.changes.values() for change in changes]


def plan_all(
    snapshot: Snapshot,
    wanted: Wanted,
    state: str,
    expected: t.Collection[str] = (),
    found: options.Mistakes | None = None,
    former: Former | None = None,
    uplinks_may_be_absent: bool = False,
    keeps_path: bool = True,
) -> Outcome:
    """Raises Refused with all mistakes of all kinds, including those that were found when parsing.

    `expected`: links to be plugged in before the run. `former`: what the host had before, to be restored where it is
    not wanted otherwise. `uplinks_may_be_absent`: what needs one is left out then, and not refused.
    `keeps_path`: refuse what may cut the path to this host.
    """
    mistakes = found or options.Mistakes()
    planned = Planned.of(snapshot, state, expected, former)
    planned.left_out, planned.networks_unknown = mistakes.left_out, mistakes.networks_unknown
    if former is not None:
        wanted = restoring.with_former_sysctls(wanted, former)
    turns = [(kind, kind.name) for kind in _KINDS if kind.name in wanted]
    for kind, name in turns:
        if state != "deleted":
            wanted[name] = kind.arrange(wanted[name], mistakes)
        kind.announce(wanted[name], snapshot, planned)
    if state != "deleted":
        absent.leave_out(wanted, planned, uplinks_may_be_absent)
    outcome = Outcome({}, {}, planned, {}, Bystanders(), [], [], {})
    for kind, name in turns:
        want = wanted[name]
        kind.settle(want, planned, mistakes if state != "deleted" else options.Mistakes())
        have = kind.gather(snapshot, want, planned)
        outcome.have[name] = have
        outcome.wanted_keys[name] = {item.key for item in want}
        if state == "deleted":
            outcome.passed_over += kind.passed_over(want, have, snapshot)
        elif state != "gathered":
            kind.check(want, have, snapshot, planned, mistakes)
        have = kind.foresee(have, want, planned)
        outcome.remaining[name] = kind.remaining(have, planned)
        try:
            # A kind that cannot be deleted has only the values that are given.
            lasting = state == "deleted" and not kind.deletable
            changes = plan(kind, have, want, "merged" if lasting else state)
        except Refused as refused:
            mistakes += refused.mistakes
            planned.refused = True
            continue
        kind.after(changes, have, want, snapshot, planned)
        outcome.changes[name] = changes
        mistakes += kind.conflicts(changes, snapshot)
    places = {(name, item.key): item.place for name, items in wanted.items() for item in items}
    deleted = deletions.find(snapshot, planned, outcome.changes, outcome.have, places)
    mistakes += deleted.refused
    if mistakes:
        raise Refused(mistakes)
    outcome.implied = deleted.changes
    if state != "gathered":
        outcome.bystanders = bystanders.find(snapshot, planned, outcome.changes)
        outcome.keep_learned(advertisements.changes_to_keep(outcome.all_changes(), wanted, snapshot))
        if keeps_path:
            lost = [*outcome.bystanders.lost, *outcome.bystanders.lost_by_daemons]
            lockout.refuse(outcome.all_changes(), lost, snapshot, planned, mistakes)
        if mistakes:
            raise Refused(mistakes)
    return outcome


def carry_out(kernel: Kernel, outcome: Outcome) -> None:
    own = outcome.planned.snapshot.protocol
    work = [
        (change, KINDS[change.kind].steps(change, outcome.planned) + interface_steps.restore(change, own))
        for change in outcome.all_changes()
    ]
    if outcome.bystanders.restored:  # they belong to no change, but without a change nothing would be dropped
        work[0][1].extend(outcome.bystanders.restored)
    apply(kernel, work)


def differences(snapshot: Snapshot, wanted: Wanted, state: str, former: Former | None = None) -> list[str]:
    """What the kernel accepted but did not do, found by planning again."""
    return described(plan_all(snapshot, wanted, state, former=former))


def described(outcome: Outcome) -> list[str]:
    """How the kernel differs from what is wanted."""
    found = []
    for change in outcome.all_changes():
        noun = KINDS[change.kind].noun
        noun = f"{change.item.place}: {noun}" if change.item.place else noun
        if change.op in ("create", "delete"):
            found.append(f"{noun} {change.item.label} is {'missing' if change.op == 'create' else 'still there'}")
        for attribute, value in (change.after if change.op in ("change", "replace") else {}).items():
            found.append(f"{noun} {change.item.label}: {attribute} is {change.before.get(attribute)!r}, not {value!r}")
    return found
