# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change takes away that it was not asked to. Private to this collection.

Links take down what stands on them: a link that joins or leaves a VRF, is replaced or set down loses its routes, its
proxy entries and its IPv6 addresses. The plan knows it beforehand, so that one run repairs all and check mode shows it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ansible_collections.routed.hypervisor.plugins.module_utils import _interface_steps
from ansible_collections.routed.hypervisor.plugins.module_utils._plan import Change, Item
from ansible_collections.routed.hypervisor.plugins.module_utils._snapshot import Snapshot
from ansible_collections.routed.hypervisor.plugins.module_utils._sysctl import SPREADS

Have = dict[t.Hashable, Item]


class Effects:
    def __init__(self, snapshot: Snapshot, interfaces: t.Any) -> None:
        self.snapshot = snapshot
        self.interfaces = interfaces
        self.spread: dict[str, str] = {}  # sysctls that a host-wide one sets on every interface
        self.freed: set[str] = set()  # members of VRFs that go
        self.vrf_changes: list[Change] = []
        self.disturbed: set[str] = set()
        self.remade: set[str] = set()  # created or replaced: with nothing on them
        self.without_ipv4: set[str] = set()
        self.lost_sources: set[str] = set()
        self.lost_routes: set[t.Hashable] = set()
        self.mtus: dict[str, int] = {}  # of interfaces that get a new one: so do their ipvlan links

    def foresee(self, kind: str, have: Have, want: list[Item]) -> Have:
        """`have` as it will be when the turn of this kind comes."""
        if kind == "interfaces":
            seen = {key: self._interface(item) for key, item in have.items()}
            for item in want:
                if not item.creates:  # made in this run: the peer of a veth, a VRF
                    seen.setdefault(item.key, self._new_interface(item))
            return seen
        if kind == "ipvlan_links":
            seen = {key: self._slave(item) for key, item in have.items()}
            return {key: item for key, item in seen.items() if item.hints["master"] not in self.remade}
        if kind == "proxy_arp":
            return self._ports(have, want)
        if kind == "routes":
            wanted = {item.key for item in want}  # others that go are to be gone in any case: their removal comes first
            self.lost_routes = {key for key, item in have.items() if key in wanted and self._loses(item)}
            return {key: item for key, item in have.items() if key not in self.lost_routes}
        return have

    def after(self, kind: str, changes: list[Change], have: Have, want: list[Item]) -> None:
        """Takes note of what the changes of this kind take away."""
        if kind == "sysctls":
            self.spread = {SPREADS[c.item.key]: c.after["value"] for c in changes if c.item.key in SPREADS}
        elif kind == "vrfs":
            self.vrf_changes = [change for change in changes if change.op in ("delete", "replace")]
            going = {change.item.key for change in self.vrf_changes}
            self.freed = {link.name for link in self.snapshot.links.values() if link.master in going}
            if self.freed:
                self._disturb(self.vrf_changes, [], self.interfaces.gather(self.snapshot, []))
        elif kind == "interfaces":
            self._replace_children(changes, have, want)
            self._disturb(self.vrf_changes + changes, changes, have)
            self.mtus = {change.item.key: change.after["mtu"] for change in changes if change.after.get("mtu")}
        elif kind == "ipvlan_links":
            self._disturb_host_side(changes, have)

    def _interface(self, item: Item) -> Item:
        attributes = dict(item.attributes)
        if item.key in self.freed:
            attributes["vrf"] = None
        sysctls = attributes.get("sysctls")
        if sysctls:
            attributes["sysctls"] = {key: self.spread.get(key, value) for key, value in sysctls.items()}
        return dataclasses.replace(item, attributes=attributes)

    def _slave(self, item: Item) -> Item:
        where, name = item.key
        attributes = dict(item.attributes)
        attributes["mtu"] = self.mtus.get(item.hints["master"], attributes["mtu"])
        if not where and name in self.freed:
            attributes["vrf"] = None
            attributes["addresses"] = {a: value for a, value in attributes["addresses"].items() if ":" not in a}
        if not where:
            attributes["sysctls"] = {key: self.spread.get(key, value) for key, value in attributes["sysctls"].items()}
        return dataclasses.replace(item, attributes=attributes)

    def _disturb_host_side(self, changes: list[Change], have: Have) -> None:
        """What proxy entries and routes on the host lose with links that are on the host, too."""
        for change in changes:
            where, name = change.item.key
            if where:
                continue
            if change.op != "change":
                self.remade.add(name)
            elif "vrf" in change.after or change.after.get("state") == "down":
                self.disturbed.add(name)
            if _interface_steps.without_ipv4(change):
                self.without_ipv4.add(name)
            gone = set(change.before.get("addresses", {})) - set(change.after.get("addresses", {}))
            self.lost_sources |= {str(ipaddress.ip_interface(address).ip) for address in gone}

    @staticmethod
    def _new_interface(item: Item) -> Item:
        attributes = {"state": "down", "vrf": None, "bridge": None, "addresses": {}, "sysctls": {}}
        return Item(item.key, item.label, attributes, marked={"addresses": set()})

    def _replace_children(self, changes: list[Change], have: Have, want: list[Item]) -> None:
        """A VLAN goes with its parent: if the parent is replaced, so is it."""
        going = {change.item.key for change in changes if change.op in ("delete", "replace")}
        planned = {change.item.key: change for change in changes}
        for item in want:  # parents come first
            old = have.get(item.key)
            if old is None or not old.owned or old.attributes.get("parent") not in going or item.key in going:
                continue
            change = planned.get(item.key)
            if change is None:
                changes.append(Change("interfaces", "replace", old, old, {}, {}, "goes with its parent"))
            else:
                change.op, change.why = "replace", "goes with its parent"
            going.add(item.key)

    def _disturb(self, causes: list[Change], changes: list[Change], have: Have) -> None:
        self.disturbed = _interface_steps.disturbed(changes, have, self.freed)
        planned = {change.item.key: change for change in changes}
        self.remade = {name for name, change in planned.items() if change.op in ("create", "replace", "delete")}
        self.without_ipv4 = {name for name, change in planned.items() if _interface_steps.without_ipv4(change)}
        for change in changes:
            gone = set(change.before.get("addresses", {})) - set(change.after.get("addresses", {}))
            self.lost_sources |= {str(ipaddress.ip_interface(address).ip) for address in gone}
        for cause in causes:
            cause.restores = []
        for name in sorted(self.disturbed | self.without_ipv4):
            change = planned.get(name)
            if name in have and name not in self.remade and causes:
                (change or causes[0]).restores.append(change.want if change and change.want else have[name])
        for change in changes:
            removed = set(change.before.get("addresses", {})) - set(change.after.get("addresses", {}))
            if change.op == "change" and removed and not change.restores:
                change.restores = [change.want]  # with a subnet's first address the others of it go

    def _ports(self, have: Have, want: list[Item]) -> Have:
        ports = {}
        for key, item in have.items():
            if key in self.remade:
                continue
            bare = {**item.attributes, "entries": {}}
            ports[key] = dataclasses.replace(item, attributes=bare, marked={}) if key in self.disturbed else item
        for item in want:
            if item.key not in ports:
                ports[item.key] = self.absent_port(item)
        return ports

    @staticmethod
    def absent_port(item: Item) -> Item:
        """A port that does not exist yet: nothing is known of it, so all that is wanted is set."""
        return Item(item.key, item.label, {"entries": {}}, marked={"entries": set()})

    def _loses(self, route: Item) -> bool:
        links = {hop.get("interface") for hop in route.attributes["nexthops"]}
        if links & (self.disturbed | self.remade) or route.attributes.get("source") in self.lost_sources:
            return True
        return route.key[0] == 4 and bool(links & self.without_ipv4)
