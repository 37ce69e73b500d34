# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report shows: nodes, links, sessions, results and drills, each with its state."""

from __future__ import annotations

import statistics
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ...module_utils._engine.printable import counted

# States of results, nodes, links and sessions. "partly": some failed, others passed; "unverified": there is no result.
FAILED, PARTLY, ABSENT, NOT_RUN, PASSED, UNVERIFIED = "failed", "partly", "absent", "not run", "passed", "unverified"
WORST_FIRST = (FAILED, PARTLY, ABSENT, NOT_RUN, PASSED, UNVERIFIED)

# Kinds of results, the lowest layer first: what fails here often explains what fails further down.
LAYERS = {
    "node": "nodes without results",
    "rollback": "changes that were rolled back",
    "present": "guests' ports",
    "container": "containers",
    "runtimes": "container networks of runtimes",
    "probe": "containers that CNI plugins add",
    "bfd": "BFD sessions",
    "bgp": "BGP sessions",
    "listening": "listening sockets",
    "in_step": "routing managers",
    "rules": "routing rules",
    "route": "routes",
    "route_source": "source addresses",
    "lease": "DHCP leases",
    "slaac": "autoconfigured addresses",
    "neighbor": "ARP and NDP answers",
    "firewall": "firewalls",
    "ping": "pings",
    "trace": "traceroutes",
    "tcp": "closed ports",
    "spoof": "forged sources",
}


@dataclass(slots=True)
class Address:
    place: str  # a fabric, loopback, port or container network
    vrf: str
    family: str
    text: str

    @property
    def plain(self) -> str:
        return self.text.partition("/")[0]


@dataclass
class Node:
    name: str
    kind: str  # hypervisor, reflector, border, leaf, guest, container, or node if the intent lacks it
    parent: str = ""  # the hypervisor of a guest or container
    vrf: str = ""  # of a guest, container or border
    facts: dict[str, str] = field(default_factory=dict)
    addresses: list[Address] = field(default_factory=list)
    fabrics: dict[str, str] = field(default_factory=dict)  # its interface by fabric
    state: str = UNVERIFIED
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Fabric:
    name: str
    prefixes: dict[tuple[str, str], str] = field(default_factory=dict)  # by VRF and family
    state: str = UNVERIFIED


@dataclass
class Link:
    node: str
    fabric: str
    interface: str
    state: str = UNVERIFIED
    failed: int = 0
    total: int = 0


@dataclass(slots=True)
class Result:
    node: str  # where it was seen
    kind: str
    title: str
    state: str
    seen: str
    seconds: float
    wanted: str = ""  # what would be right
    to: str = ""  # the node or container that it is about, besides the one where it was seen
    source: str = ""  # the guest, container or node that sent the packets
    vrf: str = ""
    to_vrf: str = ""
    family: str = ""
    is_silence: bool = False
    guests: tuple[str, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)
    prefix: str = ""
    table: str = ""
    fabric: str = ""  # of a session
    session: str = ""
    recorded: str = ""  # the node that has it in the document


@dataclass
class Session:
    node: str
    name: str
    peer: str  # a node's name, or an address
    vrf: str
    families: list[str]
    neighbor: str
    local: str
    own_as: int
    peer_as: int
    fabric: str
    interface: str
    bgp: str = UNVERIFIED
    bfd: str = ""  # empty if it has none
    seen: str = ""

    @property
    def state(self) -> str:
        return worst([self.bgp, self.bfd] if self.bfd else [self.bgp])


@dataclass
class Changes:
    """What differs from an earlier report. `refused` is why there is nothing to compare with."""

    since: str = ""
    refused: str = ""
    failing: list[Result] = field(default_factory=list)  # passed then
    fixed: list[Result] = field(default_factory=list)  # failed then
    still: list[Result] = field(default_factory=list)  # failed both times
    added: int = 0
    gone: int = 0


@dataclass(slots=True)
class Gap:
    """From the last answered packet before it to the first one after it."""

    from_ms: int
    to_ms: int
    lost: int

    @property
    def ms(self) -> int:
        return self.to_ms - self.from_ms


@dataclass
class DrillPair:
    title: str
    sent: int = 0  # in all runs
    lost: int = 0
    longest_ms: int = 0  # of any run
    gaps: list[list[Gap]] = field(default_factory=list)  # of each run


@dataclass
class Drill:
    name: str
    title: str
    time: str
    budget_ms: int | None
    bfd_ms: int | None
    pairs: list[DrillPair]
    longest_ms: list[int]  # of any pair, in each run
    restored_ms: list[int | None]
    ended_ms: list[int]

    @property
    def sent(self) -> int:
        return sum(pair.sent for pair in self.pairs)

    @property
    def lost(self) -> int:
        return sum(pair.lost for pair in self.pairs)

    @property
    def runs(self) -> int:
        return len(self.ended_ms)

    @property
    def worst_ms(self) -> int:
        return max(self.longest_ms)

    @property
    def median_ms(self) -> int:
        return round(statistics.median(self.longest_ms))

    @property
    def state(self) -> str:
        if self.budget_ms is None:
            return UNVERIFIED
        return FAILED if self.worst_ms > self.budget_ms else PASSED

    @property
    def seen(self) -> str:
        packets = f"{self.lost:,} of {counted(self.sent, 'packet(s)')} lost"
        if not self.lost:
            return packets
        if self.runs == 1:
            return f"{packets}, longest gap {self.worst_ms:,} ms"
        return (
            f"{packets} in {self.runs} runs, longest gap {self.median_ms:,} ms (median), {self.worst_ms:,} ms (worst)"
        )

    @property
    def wanted(self) -> str:
        return "" if self.budget_ms is None else f"no gap longer than {self.budget_ms:,} ms"


@dataclass
class Report:
    fabric: str
    time: str
    nodes: dict[str, Node]
    fabrics: dict[str, Fabric]
    links: list[Link]
    sessions: list[Session]
    results: list[Result]
    changes: Changes
    reasons: dict[str, str]  # why kinds were not run
    drills: list[Drill] = field(default_factory=list)
    drills_refused: str = ""  # why drills are not shown

    @property
    def counts(self) -> Counter[str]:
        return Counter(result.state for result in self.results if result.kind != "present")

    @property
    def failures(self) -> list[Result]:
        """The lowest layer first."""
        order = {kind: number for number, kind in enumerate(LAYERS)}
        failed = [result for result in self.results if result.state == FAILED]
        return sorted(failed, key=lambda result: order.get(result.kind, len(order)))

    @property
    def verdict(self) -> str:
        """One of failed, passed and unverified, for the whole fabric."""
        counts = self.counts
        return FAILED if counts[FAILED] else PASSED if counts[PASSED] else UNVERIFIED


def worst(states: t.Iterable[str]) -> str:
    return min(states, key=WORST_FIRST.index, default=UNVERIFIED)


def overall(counts: Counter[str]) -> str:
    """The state of what has parts or results in these states: "partly" if not all that was verified passed."""
    if counts[PARTLY] or (counts[FAILED] and counts[PASSED]):
        return PARTLY
    return next((state for state in (FAILED, PASSED, ABSENT, NOT_RUN) if counts[state]), UNVERIFIED)
