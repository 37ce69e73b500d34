# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All kinds together: planned against the state that the earlier ones will leave, then carried out, then checked.

This module_util is private to this collection.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.routed.hypervisor.plugins.module_utils import _effects, _interface_steps
from ansible_collections.routed.hypervisor.plugins.module_utils import _options as options
from ansible_collections.routed.hypervisor.plugins.module_utils._apply import apply
from ansible_collections.routed.hypervisor.plugins.module_utils._interface import Interfaces
from ansible_collections.routed.hypervisor.plugins.module_utils._ipvlan import IpvlanLinks
from ansible_collections.routed.hypervisor.plugins.module_utils._kernel import Kernel
from ansible_collections.routed.hypervisor.plugins.module_utils._namespace import Namespaces
from ansible_collections.routed.hypervisor.plugins.module_utils._namespace_names import Spaces
from ansible_collections.routed.hypervisor.plugins.module_utils._plan import Change, Item, Refused, plan
from ansible_collections.routed.hypervisor.plugins.module_utils._proxy_arp import ProxyArp
from ansible_collections.routed.hypervisor.plugins.module_utils._route import Routes
from ansible_collections.routed.hypervisor.plugins.module_utils._rule import Rules
from ansible_collections.routed.hypervisor.plugins.module_utils._snapshot import Snapshot
from ansible_collections.routed.hypervisor.plugins.module_utils._sysctl import Sysctls
from ansible_collections.routed.hypervisor.plugins.module_utils._vrf import Vrfs

# In this order they are planned: each stands on those before it.
_KINDS = (Sysctls(), Vrfs(), Namespaces(), Interfaces(), IpvlanLinks(), ProxyArp(), Routes(), Rules())
KINDS: dict[str, t.Any] = {kind.name: kind for kind in _KINDS}
DEFAULT_MTUS = {"dummy": 1500, "veth": 1500, "bridge": 1500}
Wanted = dict[str, list[Item]]


def parse(config: dict[str, t.Any], state: str, prefix: str = "") -> tuple[Wanted, options.Mistakes]:
    """The wanted objects of each given kind. Knows nothing of the kernel. `prefix` stands before each place."""
    mistakes = options.Mistakes()
    wanted: Wanted = {}
    for name, entries in config.items():
        if entries is None:
            continue
        if name not in KINDS:
            mistakes.at(f"{prefix}{name}", f"no such kind; there are {', '.join(KINDS)}")
            continue
        wanted[name] = []
        if not isinstance(entries, (list, tuple)):
            mistakes.at(f"{prefix}{name}", f"must be a list, not {entries!r}")
            continue
        kind = KINDS[name]
        for number, entry in enumerate(entries):
            place = f"{prefix}{name}[{number}]"
            clean = options.check_options(kind.spec, entry, place, mistakes)
            item = kind.parse(clean, place, mistakes, state) if clean is not None else None
            if item is not None:
                wanted[name].append(item)
        options.duplicates(wanted[name], mistakes)
    return wanted, mistakes


@dataclasses.dataclass
class Planned:
    """Names as they will be. `links` tells the kind of each, None where it is not known yet (the peer of a veth)."""

    tables: dict[str, int]
    links: dict[str, str | None]
    states: dict[str, str]
    old_tables: set[int]  # of the VRFs there are now
    state: str
    spaces: Spaces | None = None  # network namespaces, where they matter
    new_namespaces: set[str] = dataclasses.field(default_factory=set)
    old_namespaces: set[str] = dataclasses.field(default_factory=set)  # that go
    interfaces: dict[t.Hashable, dict[str, t.Any]] = dataclasses.field(default_factory=dict)  # as they will be
    lost_routes: set[t.Hashable] = dataclasses.field(default_factory=set)

    @property
    def everything(self) -> bool:
        """Whether the user wants to see all objects."""
        return self.state == "gathered"

    def mtu(self, name: str) -> int | None:
        """The MTU that an interface will have; None if that is not known."""
        attributes = self.interfaces.get(name, {})
        if not attributes.get("mtu") and attributes.get("type") == "vlan":
            attributes = self.interfaces.get(attributes.get("parent"), {})
        return attributes.get("mtu") or DEFAULT_MTUS.get(attributes.get("type"))

    def down(self, name: str) -> bool:
        return self.states.get(name) == "down"


@dataclasses.dataclass
class Outcome:
    have: dict[str, dict[t.Hashable, Item]]
    changes: dict[str, list[Change]]
    planned: Planned
    wanted_keys: dict[str, set]
    stays: dict[str, dict[t.Hashable, Item]]  # of `have`, without what goes with something else, and as that leaves it

    def all_changes(self) -> list[Change]:
        return [change for changes in self.changes.values() for change in changes]


def _foresee_names(snapshot: Snapshot, wanted: Wanted, state: str) -> Planned:
    tables = {link.name: link.data["IFLA_VRF_TABLE"] for link in snapshot.links.values() if link.kind == "vrf"}
    old_tables = set(tables.values())
    links = {link.name: link.kind for link in snapshot.links.values()}
    states = {link.name: "up" if link.up else "down" for link in snapshot.links.values()}
    names = {kind: {item.key for item in items} for kind, items in wanted.items()}
    names["ipvlan_links"] = {name for where, name in names.get("ipvlan_links", ())}
    if state == "overridden":
        for link in snapshot.links.values():
            kind = {"vrf": "vrfs", "ipvlan": "ipvlan_links"}.get(link.kind, "interfaces")
            if link.owned and kind in wanted and link.name not in names[kind]:
                links.pop(link.name)
                tables.pop(link.name, None)
    for item in wanted.get("vrfs", []):
        tables[item.key] = item.attributes.get("table") or tables.get(item.key)
        links[item.key], states[item.key] = "vrf", "up"
    for item in wanted.get("interfaces", []):
        states[item.key] = item.attributes.get("state", "up")
        if item.creates:
            links[item.key] = item.attributes["type"]
            if item.attributes.get("peer"):
                links.setdefault(item.attributes["peer"], None)
    planned = Planned(tables, links, states, old_tables, state)
    if "ipvlan_links" in wanted:
        planned.spaces = snapshot.spaces
        if state != "deleted":
            planned.new_namespaces = {item.key for item in wanted.get("namespaces", [])}
    return planned


def plan_all(snapshot: Snapshot, wanted: Wanted, state: str) -> Outcome:
    """Raises Refused with all that is wrong, of all kinds."""
    mistakes = options.Mistakes()
    planned = _foresee_names(snapshot, wanted, state)
    if "interfaces" in wanted and state != "deleted":
        wanted["interfaces"] = _parents_first(wanted["interfaces"], mistakes)
    outcome = Outcome({}, {}, planned, {}, {})
    effects = _effects.Effects(snapshot, KINDS["interfaces"])
    for name, kind in KINDS.items():
        if name not in wanted:
            continue
        want = wanted[name]
        if name == "ipvlan_links":
            _look_at_masters(outcome, snapshot)
        kind.settle(want, planned, mistakes if state != "deleted" else options.Mistakes())
        have = kind.gather(snapshot, want, planned)
        outcome.have[name] = have
        outcome.wanted_keys[name] = {item.key for item in want}
        if state not in ("deleted", "gathered"):
            kind.check(want, have, snapshot, planned, mistakes)
        have = effects.foresee(name, have, want)
        outcome.stays[name] = have
        if name == "ipvlan_links":
            outcome.stays[name] = {key: item for key, item in have.items() if key[0] not in planned.old_namespaces}
        try:
            outcome.changes[name] = plan(kind, have, want, state)
        except Refused as refused:
            mistakes += refused.mistakes
            continue
        effects.after(name, outcome.changes[name], have, want)
        if name == "routes":
            planned.lost_routes = effects.lost_routes
        if name in ("routes", "ipvlan_links") and not mistakes:
            mistakes += kind.conflicts(outcome.changes[name], snapshot)
    if mistakes:
        raise Refused(mistakes)
    return outcome


def _look_at_masters(outcome: Outcome, snapshot: Snapshot) -> None:
    """Interfaces and namespaces as they will be when the turn of ipvlan links comes."""
    have = outcome.have["interfaces"] if "interfaces" in outcome.have else KINDS["interfaces"].gather(snapshot, [])
    interfaces = {key: item.attributes for key, item in have.items()}
    for change in outcome.changes.get("interfaces", []):
        if change.want is None:
            interfaces.pop(change.item.key, None)
        else:
            interfaces[change.item.key] = change.want.attributes
    outcome.planned.interfaces = interfaces
    for change in outcome.changes.get("namespaces", []):
        if change.op == "delete":
            outcome.planned.old_namespaces.add(change.item.key)


def _parents_first(items: list[Item], mistakes: options.Mistakes) -> list[Item]:
    by_name = {item.key: item for item in items}
    done: dict[str, Item] = {}
    for item in items:
        chain: list[Item] = []
        here: Item | None = item
        while here is not None and here.key not in done:
            if here in chain:
                mistakes.at(f"{item.place}.parent", f"{item.key} is in the end its own parent")
                break
            chain.append(here)
            here = by_name.get(here.attributes.get("parent") or "")
        for link in reversed(chain):
            done.setdefault(link.key, link)
    return list(done.values())


def carry_out(kernel: Kernel, outcome: Outcome) -> None:
    apply(
        kernel,
        [
            (change, KINDS[change.kind].steps(change, outcome.planned) + _interface_steps.restore(change))
            for change in outcome.all_changes()
        ],
    )


def differences(snapshot: Snapshot, wanted: Wanted, state: str) -> list[str]:
    """What the kernel accepted and did not do, found by planning once more."""
    found = []
    for change in plan_all(snapshot, wanted, state).all_changes():
        noun = KINDS[change.kind].noun
        if change.op in ("create", "delete"):
            found.append(f"{noun} {change.item.label} is {'missing' if change.op == 'create' else 'still there'}")
        for attribute, value in (change.after if change.op in ("change", "replace") else {}).items():
            found.append(f"{noun} {change.item.label}: {attribute} is {change.before.get(attribute)!r}, not {value!r}")
    return found
