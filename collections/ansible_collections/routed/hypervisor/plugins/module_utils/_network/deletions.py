# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else goes when links and namespaces are deleted, or deleted and created again. Private to this collection.

Links of others cannot be restored, so the run is refused. Links of ours, and veth peers of these, are reported as
deletions, in check mode, too; so is the VRF or bridge that a remaining link loses.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._engine.change import Change, Item
from .._engine.kind import Have
from .._engine.planned import Planned
from .._engine.snapshot import Link, Snapshot, describe
from .._kinds.dependents import FALLBACKS, TUNNELS, Elsewhere, Place, deleted_with, named_processes
from .._kinds.interface.kind import Interfaces
from .._kinds.ipvlan import view

LINKS = ("interfaces", "vrfs", "ipvlan_links")
GONE = ("delete", "replace")
FEW = 5  # names in one message


@dataclasses.dataclass
class Deletions:
    changes: list[Change[t.Any]] = dataclasses.field(default_factory=list)  # of links, as side effects
    refused: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Victim:
    """A link that is deleted with `below`, as a consequence of `root`."""

    where: str
    link: Link
    below: str
    root: Change[t.Any]
    ours: bool

    @property
    def label(self) -> str:
        return view.label(self.where, self.link.name)


def find(
    snapshot: Snapshot,
    planned: Planned,
    changes: dict[str, list[Change[t.Any]]],
    have: dict[str, Have[t.Any]],
    places: dict[tuple[str, t.Hashable], str],
) -> Deletions:
    """`places`: where the user wrote each object, by kind and key."""
    everything = [change for kind in (*LINKS, "namespaces") for change in changes.get(kind, [])]
    everything = [change for change in everything if _place(change)[1] not in planned.left_out]
    roots = {_place(change): change for change in everything if change.kind in LINKS and change.op in GONE}
    namespaces = [change for change in everything if change.kind == "namespaces" and change.op == "delete"]
    found = Deletions()
    if not roots and not namespaces:
        return found
    search = _Search(snapshot, roots)
    for change in namespaces:
        processes = search.namespace(change)
        if processes:
            text = f"{_these(processes)} {'runs' if len(processes) == 1 else 'run'} in it"
            found.refused.append(_refusal(change, places, f"{text} and would keep it alive; end that first"))
    search.above()
    handled = {_place(change) for change in everything if change.kind in LINKS and change.op != "change"}
    victims = [victim for victim in search.victims.values() if (victim.where, victim.link.name) not in handled]
    for root in {id(victim.root): victim.root for victim in victims}.values():
        names = [f"{v.label} ({v.link.kind or 'device'})" for v in victims if v.root is root and not v.ours]
        if names:
            text = f"{_these(names)} {'is' if len(names) == 1 else 'are'} not ours and would be deleted with it"
            found.refused.append(_refusal(root, places, f"{text}; delete or move that first"))
    items = _Items(snapshot, planned, have)
    for victim in victims:
        if victim.ours:
            kind, item = items.of(victim.where, victim.link)
            text = f"is deleted with {victim.below}"
            found.changes.append(Change(kind, "delete", victim.label, text, item.attributes, {}, item))
    found.changes += _freed(snapshot, roots, set(search.victims), everything, items)
    return found


def _place(change: Change[t.Any]) -> Place:
    key = change.item.key
    return key if isinstance(key, tuple) else ("", key)


class _Search:
    def __init__(self, snapshot: Snapshot, roots: dict[Place, Change[t.Any]]) -> None:
        self.snapshot = snapshot
        self.roots = dict(roots)
        self.elsewhere = Elsewhere(snapshot)
        self.victims: dict[Place, _Victim] = {}

    def namespace(self, change: Change[str]) -> list[str]:
        """Adds the links that are deleted with a namespace. Returns the processes that would keep it alive instead."""
        spaces, name = self.snapshot.spaces, change.item.key
        number = spaces.named.get(name)
        if number is None or spaces.found[number] != name:  # it has another name, or is this one
            return []
        processes = named_processes(spaces.processes.get(number, ()))
        if processes:
            return processes
        on_host = self.elsewhere.on_host(name)
        for link in self.elsewhere.described(name):
            if link.name not in FALLBACKS:
                pair = link.kind == "veth" and self._is_ours(on_host.get(link.name))
                self._add(_Victim(name, link, f"namespace {name}", change, link.owned or pair))
        for above, below in self.elsewhere.under_host(name).items():
            link = self.snapshot.links[above]
            self._add(_Victim("", link, view.label(name, below), change, self._is_ours(above)))
        return []

    def above(self) -> None:
        """Adds what is on the links that are deleted, in any namespace."""
        on_host = {name: root for (where, name), root in self.roots.items() if not where}
        for name, victim in self._of("").items():
            on_host[name] = victim.root
        self._closure("", on_host, {link.name: link for link in self.snapshot.links.values()})
        on_host.update({name: victim.root for name, victim in self._of("").items()})
        inside: dict[str, dict[str, Change[t.Any]]] = {}
        for (where, name), root in self.roots.items():
            if where:
                inside.setdefault(where, {})[name] = root
        for where in self.snapshot.spaces.all():
            if not where:
                continue
            start = {name: victim.root for name, victim in self._of(where).items()}
            start.update(inside.get(where, {}))
            if on_host:
                links = self.elsewhere.links(where)
                for name, below in self.elsewhere.on_host(where).items():
                    if below in on_host and links[name].kind not in TUNNELS:
                        link = describe(links[name], {})
                        pair = link.kind == "veth" and self._is_ours(below)
                        self._add(_Victim(where, link, below, on_host[below], link.owned or pair))
                        start.setdefault(name, on_host[below])
            if start:
                self._closure(where, start, {link.name: link for link in self.elsewhere.described(where)})

    def _closure(self, where: str, start: dict[str, Change[t.Any]], links: dict[str, Link]) -> None:
        roots = dict(start)
        for name, below in deleted_with(links.values(), start).items():
            roots[name] = roots[below]
            link = links[name]
            pair = link.kind == "veth" and link.parent in links and links[link.parent].owned
            self._add(_Victim(where, link, view.label(where, below), roots[name], link.owned or pair))

    def _of(self, where: str) -> dict[str, _Victim]:
        return {name: victim for (its_where, name), victim in self.victims.items() if its_where == where}

    def _add(self, victim: _Victim) -> None:
        place = (victim.where, victim.link.name)
        if place not in self.roots:
            self.victims.setdefault(place, victim)

    def _is_ours(self, name: str | None) -> bool:
        return name is not None and self.snapshot.links[name].owned


class _Items:
    """Observed links as items, for `changes` and diffs."""

    def __init__(self, snapshot: Snapshot, planned: Planned, have: dict[str, Have[t.Any]]) -> None:
        self.snapshot = snapshot
        self.planned = planned
        self.have = dict(have)

    def of(self, where: str, link: Link) -> tuple[str, Item[t.Any]]:
        if link.kind == "ipvlan" and link.owned:
            if "ipvlan_links" not in self.have:
                self.have["ipvlan_links"] = view.gather(self.snapshot, [])
            item = self.have["ipvlan_links"].get((where, link.name))
            if item is not None:
                return "ipvlan_links", item
        if "interfaces" not in self.have:
            self.have["interfaces"] = Interfaces().gather(self.snapshot, [], self.planned)
        item = None if where else self.have["interfaces"].get(link.name)
        label = view.label(where, link.name)
        return "interfaces", item or Item(label, label, {"type": link.kind}, owned=link.owned)


def _freed(
    snapshot: Snapshot,
    roots: dict[Place, Change[t.Any]],
    victims: set[Place],
    changes: list[Change[t.Any]],
    items: _Items,
) -> list[Change[t.Any]]:
    """Links that remain, but lose their VRF or bridge, unless they have a change of their own."""
    changed = {_place(change) for change in changes if change.kind in LINKS}
    found = []
    for link in snapshot.links.values():
        place, root = ("", link.name), roots.get(("", link.master or ""))
        if root is None or place in changed or place in victims:
            continue
        kind, item = items.of("", link)
        key = "vrf" if root.kind == "vrfs" else "bridge"
        after = dataclasses.replace(item, attributes={**item.attributes, key: None})
        verb = "deleted" if root.op == "delete" else "replaced"
        why = f"{'' if item.owned else 'is not ours; '}{link.master}, its {'VRF' if key == 'vrf' else key}, is {verb}"
        found.append(Change(kind, "change", item.label, why, {key: link.master}, {key: None}, item, after))
    return found


def _refusal(change: Change[t.Any], places: dict[tuple[str, t.Hashable], str], text: str) -> str:
    noun = {"interfaces": "interface", "vrfs": "VRF", "ipvlan_links": "ipvlan link", "namespaces": "namespace"}
    place = places.get((change.kind, change.item.key), change.kind)
    verb = "deleted" if change.op == "delete" else f"replaced ({change.why})"
    return f"{place}: {noun[change.kind]} {change.item.label} cannot be {verb}: {text}"


def _these(names: list[str]) -> str:
    if len(names) > FEW:
        names = [*names[:FEW], f"{len(names) - FEW} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
