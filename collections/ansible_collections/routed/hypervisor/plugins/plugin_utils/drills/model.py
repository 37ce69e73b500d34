# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a drill, the inventory that it is made from, and what every drill needs."""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, field

Nodes = t.Mapping[str, t.Mapping[str, t.Any]]  # variables by node
# Of the module lab_drill.
Step = dict[str, t.Any]
Pair = dict[str, t.Any]


class DrillMistake(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Wanted:
    """What the user asked for; None is the first that the drill can be done with."""

    drill: str
    node: str | None = None
    fabric: str | None = None


@dataclass
class Plan:
    title: str
    node: str  # where it is broken: pairs with an end there come first
    steps: list[Step]
    restore: list[Step] = field(default_factory=list)
    is_calm: bool = True  # whether packets must stop being lost before it is restored
    is_off: bool = False  # whether programs in the node end, so that none may send from there
    prepare: list[Step] = field(default_factory=list)  # before the traffic
    cleanup: list[Step] = field(default_factory=list)  # after it
    pairs: list[Pair] = field(default_factory=list)


@dataclass(frozen=True)
class Lab:
    """The parts of an inventory that drills need."""

    nodes: Nodes
    groups: t.Mapping[str, t.Sequence[str]]
    cables: t.Sequence[t.Mapping[str, t.Any]]
    systemd: t.Container[str] = ()  # the nodes with it

    @property
    def routers(self) -> list[str]:
        return [name for group in ("hypervisors", "reflectors", "leaves", "borders") for name in self.groups[group]]

    @property
    def first_hypervisor(self) -> str:
        return self.groups["hypervisors"][0]


def systemd_nodes(lab: t.Mapping[str, t.Any]) -> set[str]:
    return {node["name"] for node in lab["nodes"] if node.get("init") == "systemd"}


def command(node: str, *argv: str, wait_s: float = 0.0) -> Step:
    return {"node": node, "command": list(argv), "wait_s": wait_s}


def script(node: str, *lines: str, wait_s: float = 0.0) -> Step:
    return command(node, "sh", "-ec", "\n".join(lines), wait_s=wait_s)


def pair(sender: str, namespace: str | None, to: str, to_name: str, family: str) -> Pair:
    """From a guest, which is a node, or from a container: a namespace of a node."""
    return {
        "from": namespace or sender,
        "node": sender,
        "namespace": namespace,
        "to": to,
        "to_name": to_name,
        "family": family,
    }


def chosen(kind: str, given: str | None, known: t.Sequence[str], needs: str = "") -> str:
    """What was asked for, or else the first. NEEDS is what a lab needs for the drill."""
    because = f"; it needs {needs}" if needs else ""
    if not known:
        raise DrillMistake(f"this lab has no {kind} that the drill could be done with{because}")
    if given is None:
        return known[0]
    if given not in known:
        close = difflib.get_close_matches(given, known, 1)
        right = f"did you mean {close[0]}?" if close else f"there are {', '.join(known[:20])}"
        raise DrillMistake(f"the drill cannot be done with the {kind} {given}: {right}{because}")
    return given
