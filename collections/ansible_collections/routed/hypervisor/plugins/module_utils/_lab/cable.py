# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""Wanted and observed cables between lab nodes, and the plan of changes. Does not access any node.

A cable is a veth pair with its ends in the network namespaces of two nodes. Both ends carry marks. The kernel sets the
group when it creates the link, so that a killed run leaves nothing unmarked. The alias names the lab and the other end:
for users, and so that finding the other ends takes one request to the kernel instead of one for each pair of nodes.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .._engine.change import Change
from .._netlink.codec import Link

GROUP = 0x5248  # "RH"
DOOMED = GROUP + 1  # ends about to be deleted
MOST_DELAY_MS = 10_000
DEFAULT_MTU = 1500  # the kernel's default for veth
# The kernel treats '%' as a pattern (`eth%d`), and limits the bytes, hence ASCII.
INTERFACE_NAME = re.compile(r"[!-~]{1,15}")
RESERVED_NAMES = (".", "..", "lo", "all", "default")  # the last two are directories in /proc/sys/net/*/conf
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")

HANDLE = 82 << 16  # of our netem at an end; one with another handle is somebody else's
Place = tuple[str, str]  # node, interface
Links = dict[str, dict[str, Link]]  # by node and name
Drift = tuple[dict[str, t.Any], dict[str, t.Any]]  # what differs, before and after


@dataclass(frozen=True)
class End:
    node: str
    interface: str
    mac: str | None = field(default=None, compare=False)

    @property
    def place(self) -> Place:
        return self.node, self.interface

    def __str__(self) -> str:
        return f"{self.node}:{self.interface}"

    def as_dict(self) -> dict:
        return {"node": self.node, "interface": self.interface, **({"mac": self.mac} if self.mac else {})}


@dataclass(frozen=True)
class Impairment:
    """What each end does to packets that it sends. netem has fractions of 2^32 instead of percent."""

    delay_ms: int = 0
    loss_percent: int = 0

    def __bool__(self) -> bool:
        return bool(self.delay_ms or self.loss_percent)

    @property
    def netem(self) -> tuple[int, int]:
        return self.delay_ms * 1_000_000, self.loss_percent * 0xFFFFFFFF // 100

    @classmethod
    def of_netem(cls, delay: int, loss: int) -> Impairment:
        return cls(round(delay / 1_000_000), round(loss * 100 / 0xFFFFFFFF))

    def as_dict(self) -> dict[str, int]:
        return {name: value for name, value in vars(self).items() if value}


@dataclass(frozen=True)
class Cable:
    """A wanted or observed cable. The mac of an end is None if any will do."""

    a: End
    b: End
    mtu: int = DEFAULT_MTU
    impair: Impairment = Impairment()

    def __str__(self) -> str:
        return f"{self.a} - {self.b}"

    @property
    def ends(self) -> tuple[End, End]:
        return self.a, self.b

    @property
    def places(self) -> frozenset[Place]:
        return frozenset(end.place for end in self.ends)

    def as_dict(self) -> dict:
        a, b = sorted(self.ends, key=str)
        impair = {"impair": self.impair.as_dict()} if self.impair else {}
        return {"a": a.as_dict(), "b": b.as_dict(), "mtu": self.mtu, **impair}


def alias(lab: str, peer: End) -> str:
    return f"routed.hypervisor:{lab} to {peer}"


def is_ours(link: Link, lab: str) -> bool:
    return link.group in (GROUP, DOOMED) or link.alias.startswith(f"routed.hypervisor:{lab} to ")


def cable_from(item: dict) -> Cable:
    def end(part: dict) -> End:
        return End(part["node"], part["interface"], part["mac"].lower() if part.get("mac") else None)

    impair = Impairment(**(item.get("impair") or {}))
    return Cable(end(item["a"]), end(item["b"]), item.get("mtu") or DEFAULT_MTU, impair)


def cable_mistakes(cables: t.Sequence[Cable]) -> list[str]:
    """The mistakes in wanted cables."""
    mistakes = []
    used: dict[Place, str] = {}
    for index, cable in enumerate(cables):
        for side, end in (("a", cable.a), ("b", cable.b)):
            where = f"config[{index}].{side}"
            name = end.interface
            if not INTERFACE_NAME.fullmatch(name) or set("/:%") & set(name) or name in RESERVED_NAMES:
                mistakes.append(
                    f"{where}.interface: {name!r} is not an interface name: use 1 to 15 ASCII characters, no "
                    "white space, '/', ':' or '%', and not lo, all or default"
                )
            if end.place in used:
                mistakes.append(f"{where}: {end} is also {used[end.place]}")
            used.setdefault(end.place, where)
            if end.mac and (not MAC.fullmatch(end.mac) or int(end.mac[:2], 16) & 1 or end.mac == "00:00:00:00:00:00"):
                mistakes.append(
                    f"{where}.mac: {end.mac!r} is not the MAC address of an interface, such as 02:00:00:00:00:01"
                )
        if not 68 <= cable.mtu <= 65535:
            mistakes.append(f"config[{index}].mtu: {cable.mtu} is not between 68 and 65535")
        for key, value, most in (
            ("delay_ms", cable.impair.delay_ms, MOST_DELAY_MS),
            ("loss_percent", cable.impair.loss_percent, 100),
        ):
            if not 0 <= value <= most:
                mistakes.append(f"config[{index}].impair.{key}: {value} is not between 0 and {most}")
    return mistakes


@dataclass
class Observed:
    """All links in the running nodes of a lab, and the cables and loose ends of ours among them.

    A cable is complete: both ends are in their nodes, name each other, and are each other's peers.
    """

    links: Links
    cables: list[Cable]
    loose: list[End]
    impaired: dict[Place, Impairment] = field(default_factory=dict)  # by us


@dataclass
class Plan:
    """What to do, in this order."""

    remove: list[Cable] = field(default_factory=list)
    cut: list[End] = field(default_factory=list)  # loose ends; their peers are removed with them
    create: list[Cable] = field(default_factory=list)
    repair: list[tuple[Cable, Drift]] = field(default_factory=list)

    def changes(self) -> list[Change]:
        unwanted = "is not in the configuration"
        return [
            *(Change("cables", "delete", str(cable), unwanted, cable.as_dict()) for cable in self.remove),
            *(Change("cables", "delete", str(end), "its other end is missing", end.as_dict()) for end in self.cut),
            *(Change("cables", "create", str(c), "it does not exist", after=c.as_dict()) for c in self.create),
            *(Change("cables", "change", str(cable), "differs", *differs) for cable, differs in self.repair),
        ]


def drift(cable: Cable, observed: Observed) -> Drift | None:
    before, after = {}, {}
    for end in cable.ends:
        link = observed.links[end.node][end.interface]
        if end.mac and link.mac != end.mac:
            before[f"{end} mac"], after[f"{end} mac"] = link.mac, end.mac
        if link.mtu != cable.mtu:
            before[f"{end} mtu"], after[f"{end} mtu"] = link.mtu, cable.mtu
        impaired = observed.impaired.get(end.place, Impairment())
        if impaired != cable.impair:
            before[f"{end} impair"], after[f"{end} impair"] = impaired.as_dict(), cable.impair.as_dict()
    return (before, after) if after else None


def plan_cables(state: str, observed: Observed, want: t.Sequence[Cable]) -> tuple[Plan, list[str]]:
    """The plan that leads to the wanted cables of a lab, and mistakes that prevent it. Pure: changes nothing."""
    wanted = {cable.places for cable in want}
    if state == "deleted":
        places = frozenset().union(*wanted) if want else None
        remove = [cable for cable in observed.cables if places is None or cable.places in wanted]
        return Plan(remove, [end for end in observed.loose if places is None or end.place in places]), []
    plan, mistakes = Plan(), []
    plugged = {cable.places for cable in observed.cables}
    taken: set[Place] = set()
    for cable in want:
        if cable.places not in plugged:
            plan.create.append(cable)
            taken |= cable.places
        elif differs := drift(cable, observed):
            plan.repair.append((cable, differs))
    for cable in observed.cables:
        if cable.places not in wanted and (state == "overridden" or cable.places & taken):
            plan.remove.append(cable)
    plan.cut = [end for end in observed.loose if state == "overridden" or end.place in taken]
    ours = {end.place for end in observed.loose}.union(*(plugged or [frozenset()]))
    for place in sorted(taken - ours):
        if place[1] in observed.links.get(place[0], {}):
            mistakes.append(f"{place[0]}:{place[1]} already exists and is not a cable of this lab: remove or rename it")
    return plan, mistakes


def as_seen(observed: Observed, want: t.Sequence[Cable]) -> list[dict]:
    """Observed cables in the form of `before` and `after`: with MAC addresses only if they were given, because others
    are random. A loose end has no b."""
    with_mac = {end.place for cable in want for end in cable.ends if end.mac}
    shown = []
    for cable in observed.cables:
        ends = [End(*end.place, end.mac if end.place in with_mac else None) for end in cable.ends]
        shown.append(Cable(*ends, cable.mtu, cable.impair).as_dict())
    shown += [{"a": End(*end.place).as_dict(), "b": None} for end in observed.loose]
    return sorted(shown, key=str)


def after(observed: Observed, plan: Plan, want: t.Sequence[Cable]) -> list[dict]:
    """What as_seen will return after the plan was carried out."""
    fresh = {cable.places: cable for cable, _differs in plan.repair}
    cables = []
    for cable in observed.cables:
        if cable not in plan.remove:
            wanted = fresh.get(cable.places)
            cables.append(wanted or cable)
    cut = {end.place for end in plan.cut}
    loose = [end for end in observed.loose if end.place not in cut]
    return as_seen(Observed({}, cables + plan.create, loose), want)
