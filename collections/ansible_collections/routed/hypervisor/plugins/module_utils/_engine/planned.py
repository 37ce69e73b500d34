# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network as a run will leave it: names, and side effects of the changes. Private to this collection.

Links take down what depends on them: a link that joins or leaves a VRF, is replaced or set down loses its routes, its
proxy entries and its IPv6 addresses. All of it is planned beforehand, so that one run repairs it and
check mode shows it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from .change import Change

if t.TYPE_CHECKING:
    from .snapshot import Link, Snapshot

DEFAULT_MTUS = {"dummy": 1500, "veth": 1500, "bridge": 1500}


@dataclasses.dataclass
class Planned:
    """Filled by the kinds, each in its turn; read by those that come later."""

    snapshot: Snapshot
    state: str
    tables: dict[str, int]  # of VRFs, by name
    old_tables: set[int]  # of the VRFs that exist now
    links: dict[str, str | None]  # kinds of links by name; None where it is not known yet (the peer of a veth)
    states: dict[str, str]  # of links: up, down
    interfaces: dict[str, dict[str, t.Any]] | None = None  # their attributes; None until their turn
    expected: frozenset[str] = frozenset()  # links that will have been plugged, and set up, before this run
    new_namespaces: set[str] = dataclasses.field(default_factory=set)
    old_namespaces: set[str] = dataclasses.field(default_factory=set)  # that will be deleted

    # side effects
    spread: dict[str, str] = dataclasses.field(default_factory=dict)  # sysctls that a host-wide one sets on every link
    vrf_changes: list[Change[str]] = dataclasses.field(default_factory=list)  # deletions and replacements
    freed: set[str] = dataclasses.field(default_factory=set)  # members of VRFs that are deleted or replaced
    disturbed: set[str] = dataclasses.field(default_factory=set)  # lose routes, proxy entries and IPv6 addresses
    remade: set[str] = dataclasses.field(default_factory=set)  # created or replaced: nothing is on them
    without_ipv4: set[str] = dataclasses.field(default_factory=set)  # for a moment without any IPv4 address
    changed_addresses: set[str] = dataclasses.field(default_factory=set)  # links that lose one
    mtus: dict[str, int] = dataclasses.field(default_factory=dict)  # new ones, which their ipvlan links get, too
    lost_sources: set[str] = dataclasses.field(default_factory=set)  # addresses whose routes go with them
    usable_sources: set[str] = dataclasses.field(default_factory=set)  # filled while routes are written
    lost_routes: set[t.Hashable] = dataclasses.field(default_factory=set)

    @classmethod
    def of(cls, snapshot: Snapshot, state: str, expected: t.Collection[str] = ()) -> Planned:
        """As things are, before any kind has announced a name. `expected` are links that will have been plugged."""
        tables = {link.name: link.data["IFLA_VRF_TABLE"] for link in snapshot.links.values() if link.kind == "vrf"}
        return cls(
            snapshot=snapshot,
            state=state,
            tables=tables,
            old_tables=set(tables.values()),
            links={**dict.fromkeys(expected, "veth"), **{link.name: link.kind for link in snapshot.links.values()}},
            states={link.name: "up" if link.up else "down" for link in snapshot.links.values()},
            expected=frozenset(expected),
        )

    @property
    def everything(self) -> bool:
        """Whether the user asked for all objects, not only ours and the wanted ones."""
        return self.state == "gathered"

    def no_link(self, name: str) -> str:
        """Why there is no link of this name; the kernel takes alternative names for links, our options do not."""
        known = self.snapshot.altnames.get(name)
        return (
            f"{name} is another name of {known}; give that"
            if known
            else f"there is no interface {name}, and none is wanted"
        )

    def forget_links(self, names: set[str], of_this_kind: t.Callable[[Link], bool]) -> None:
        """Links of ours that `overridden` deletes because they are not among `names`."""
        if self.state != "overridden":
            return
        for link in self.snapshot.links.values():
            announced = self.links.get(link.name) != link.kind  # as a link of another kind
            if link.owned and of_this_kind(link) and link.name not in names and not announced:
                self.links.pop(link.name)
                self.tables.pop(link.name, None)

    def interface(self, name: str) -> dict[str, t.Any]:
        """The attributes that an interface will have, as far as they are known."""
        return (self.interfaces or {}).get(name, {})

    def mtu(self, name: str) -> int | None:
        """The MTU that an interface will have; None if that is not known."""
        attributes = self.interface(name)
        if not attributes.get("mtu") and attributes.get("type") == "vlan":
            attributes = self.interface(attributes["parent"])
        return attributes.get("mtu") or DEFAULT_MTUS.get(attributes.get("type", ""))

    def down(self, name: str) -> bool:
        return self.states.get(name) == "down"

    def lose_addresses(self, change: Change[t.Any]) -> None:
        """Records the addresses that a change of a link removes."""
        gone = set(change.before.get("addresses", {})) - set(change.after.get("addresses", {}))
        if gone:
            self.changed_addresses.add(change.name)
        self.lost_sources |= {str(ipaddress.ip_interface(address).ip) for address in gone}
