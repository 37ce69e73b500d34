# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network as a run will leave it: names, and side effects of the changes. Private to this collection.

A link that joins or leaves a VRF, is replaced or is set down loses its routes, its proxy entries and its IPv6
addresses. All of this is planned in advance, so that the same run repairs it and check mode shows it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from .change import Change

if t.TYPE_CHECKING:
    from .former import Former
    from .snapshot import Link, Snapshot

DEFAULT_MTUS = {"dummy": 1500, "veth": 1500, "bridge": 1500}


@dataclasses.dataclass
class Planned:
    """Filled by the kinds in their order; read by those that are planned later."""

    snapshot: Snapshot
    state: str
    tables: dict[str, int]  # VRFs' tables, by VRF name
    old_tables: set[int]  # tables of the VRFs that exist now
    links: dict[str, str | None]  # kinds of links by name; None if not known yet (the peer of a veth)
    states: dict[str, str]  # up or down, by link name
    interfaces: dict[str, dict[str, t.Any]] | None = None  # attributes by name; None until interfaces are planned
    left_out: set[str] = dataclasses.field(default_factory=set)  # see Mistakes
    networks_unknown: bool = False
    refused: bool = False  # whether a kind could not be planned: what it would have left is unknown
    former: Former | None = None  # what the host had before; None if that is not to be restored
    expected: frozenset[str] = frozenset()  # links that will have been plugged in, and set up, before this run
    new_namespaces: set[str] = dataclasses.field(default_factory=set)
    old_namespaces: set[str] = dataclasses.field(default_factory=set)  # to be deleted

    absent: dict[str, str] = dataclasses.field(default_factory=dict)  # guests by the names of their missing ports
    absent_uplinks: list[str] = dataclasses.field(default_factory=list)

    # side effects
    spread: dict[str, str] = dataclasses.field(default_factory=dict)  # sysctls that a host-wide one sets on every link
    vrf_changes: list[Change[str]] = dataclasses.field(default_factory=list)  # deletions and replacements
    freed: set[str] = dataclasses.field(default_factory=set)  # members of VRFs that are deleted or replaced
    disturbed: set[str] = dataclasses.field(default_factory=set)  # lose routes, proxy entries, IPv6 addresses
    gone: dict[str, str] = dataclasses.field(default_factory=dict)  # links deleted with others, and what they are on
    slaves: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)  # changed ipvlan links of the host
    remade: set[str] = dataclasses.field(default_factory=set)  # links created or replaced: nothing is on them
    without_ipv4: set[str] = dataclasses.field(default_factory=set)  # links briefly without any IPv4 address
    changed_addresses: set[str] = dataclasses.field(default_factory=set)  # links that lose an address
    mtus: dict[str, int] = dataclasses.field(default_factory=dict)  # new MTUs, which the ipvlan links on them get, too
    lost_sources: set[str] = dataclasses.field(default_factory=set)  # removed; routes with these sources go, too
    usable_sources: set[str] = dataclasses.field(default_factory=set)  # filled while routes are written
    lost_routes: set[t.Hashable] = dataclasses.field(default_factory=set)

    @classmethod
    def of(
        cls, snapshot: Snapshot, state: str, expected: t.Collection[str] = (), former: Former | None = None
    ) -> Planned:
        """The current state, before any kind has announced names. `expected`: links to be plugged in before the run."""
        tables = {link.name: link.data["IFLA_VRF_TABLE"] for link in snapshot.links.values() if link.kind == "vrf"}
        return cls(
            snapshot=snapshot,
            state=state,
            tables=tables,
            old_tables=set(tables.values()),
            links={**dict.fromkeys(expected, "veth"), **{link.name: link.kind for link in snapshot.links.values()}},
            states={link.name: "up" if link.up else "down" for link in snapshot.links.values()},
            expected=frozenset(expected),
            former=former,
        )

    @property
    def everything(self) -> bool:
        """Whether the user asked for all objects, not only ours and the wanted ones."""
        return self.state == "gathered"

    def no_link(self, name: str) -> str:
        """Why there is no link of this name. The kernel accepts alternative names of links, our options do not."""
        known = self.snapshot.altnames.get(name)
        return (
            f"{name} is an alternative name of {known}; use that"
            if known
            else f"there is no interface {name}, and none is configured"
        )

    def forget_links(self, names: set[str], of_this_kind: t.Callable[[Link], bool]) -> None:
        """Drops our links that `overridden` deletes because they are not among `names`."""
        if self.state != "overridden":
            return
        for link in self.snapshot.links.values():
            announced = self.links.get(link.name) != link.kind  # as a link of another kind
            kept = link.name in names or link.name in self.left_out
            if link.owned and of_this_kind(link) and not kept and not announced:
                self.links.pop(link.name)
                self.tables.pop(link.name, None)

    def interface(self, name: str) -> dict[str, t.Any]:
        """The attributes that an interface will have, as far as known."""
        return (self.interfaces or {}).get(name, {})

    def mtu(self, name: str) -> int | None:
        """The MTU that an interface will have; None if unknown."""
        attributes = self.interface(name)
        if not attributes.get("mtu") and attributes.get("type") == "vlan":
            attributes = self.interface(attributes["parent"])
        return attributes.get("mtu") or DEFAULT_MTUS.get(attributes.get("type", ""))

    def former_of(self, kind: str, link: Link) -> dict[str, t.Any]:
        """The attributes that a link of others had before we changed them.

        The port of a guest that has left is closed, not restored: its guest may still be running.
        """
        if link.port and self.state != "deleted":
            return {}
        return self.former.attributes(kind, link.name, link.index) if self.former and not link.owned else {}

    def down(self, name: str) -> bool:
        return self.states.get(name) == "down"

    def lose_addresses(self, change: Change[t.Any]) -> None:
        """Records the addresses that a change of a link removes."""
        removed = set(change.before.get("addresses", {})) - set(change.after.get("addresses", {}))
        if removed:
            self.changed_addresses.add(change.name)
        self.lost_sources |= {str(ipaddress.ip_interface(address).ip) for address in removed}
