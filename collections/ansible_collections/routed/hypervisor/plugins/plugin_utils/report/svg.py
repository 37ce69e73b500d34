# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawing as SVG, to be put into the page or to stand alone."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ...module_utils._engine.printable import counted
from .layout import Box, Frame, Layout, Line, layout
from .model import FAILED, PASSED, Link, Node, Report, Session, overall, worst
from .templates import environment, source

KINDS = {"hypervisor": "hypervisor", "reflector": "route reflector", "border": "border", "leaf": "leaf"}


@dataclass
class Pair:
    """All BGP and BFD sessions between two nodes."""

    a: str
    b: str
    sessions: list[Session]
    path: str

    @property
    def state(self) -> str:
        return worst(session.state for session in self.sessions)

    @property
    def title(self) -> str:
        states = Counter(session.state for session in self.sessions)
        listed = ", ".join(f"{count} {state}" for state, count in states.items())
        return f"{self.a} and {self.b}: {counted(len(self.sessions), 'session(s)')}, {listed}"


@dataclass
class Drawn(Line):
    @property
    def state(self) -> str:
        return overall(Counter(link.state for link in self.links))

    @property
    def title(self) -> str:
        if len(self.links) == 1:
            return linked(self.links[0])
        failed = sum(link.state == FAILED for link in self.links)
        return f"{counted(len(self.links), 'uplink(s)')} to {self.fabric}, {failed} failed"


def svg(report: Report, is_alone: bool = False) -> str:
    """With IS_ALONE a file of its own, otherwise a part of the page, which has the style."""
    made = layout(report)
    lines = [Drawn(**vars(line)) for line in made.lines]
    # What failed is drawn on top.
    lines.sort(key=lambda line: line.state == FAILED)
    made.lines = lines  # type: ignore[assignment]
    links = defaultdict(list)
    for link in report.links:
        links[link.node].append(link)
    found = environment()
    found.filters |= {"labelled": labelled, "subtitle": subtitle, "framed": _framed, "linked": linked, "fitted": fitted}
    given: dict[str, t.Any] = {"layout": made, "report": report, "links": links, "summary": summary(report)}
    given |= {"pairs": _pairs(report, made), "is_alone": is_alone}
    return found.get_template("topology.svg.j2").render(given, style=source("topology.css"))


def summary(report: Report) -> str:
    counts = report.counts
    words = {FAILED: "NOT verified", PASSED: "verified"}
    found = f"{words.get(report.verdict, 'without results')}, {counts[PASSED]:,} passed, {counts[FAILED]:,} failed"
    return found + "".join(f", {counts[state]:,} {state}" for state in ("not run", "absent") if counts[state])


def labelled(node: Node) -> str:
    """The text of a tooltip."""
    place = f" on {node.parent}" if node.parent else ""
    total = node.counts.total()
    found = f", {node.counts[FAILED]} of {counted(total, 'result(s)')} failed" if node.counts[FAILED] else ""
    return f"{KINDS.get(node.kind, node.kind)} {node.name}{place}: {node.state}{found}"


def subtitle(node: Node) -> str:
    """What most nodes are need not be said."""
    kind = [] if node.kind == "hypervisor" and node.facts else [node.kind]
    return " · ".join(kind + [f"AS {node.facts['AS']}", node.facts["daemon"]] * bool(node.facts))


def linked(link: Link) -> str:
    seen = f", {link.failed} of {counted(link.total, 'session result(s)')} failed" if link.failed else ""
    return f"{link.node} to fabric {link.fabric} ({link.interface}): {link.state}{seen}"


def fitted(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _framed(frame: Frame) -> str:
    return f"{counted(len(frame.cards), 'hypervisor(s)')} on {', '.join(frame.fabrics) or 'no fabric'}"


def _pairs(report: Report, made: Layout) -> list[Pair]:
    found: dict[tuple[str, str], list[Session]] = defaultdict(list)
    for session in report.sessions:
        if session.peer in made.places:
            a, b = sorted((session.node, session.peer))
            found[a, b].append(session)
    return [Pair(a, b, listed, _curve(made.places[a], made.places[b])) for (a, b), listed in found.items()]


def _curve(a: Box, b: Box) -> str:
    """Beside the lines of links: from the side of one box to the other, bent."""
    (x, y), (to_x, to_y) = ((box.middle, box.y + box.height / 2) for box in (a, b))
    bend_x, bend_y = (x + to_x) / 2 + (to_y - y) / 6, (y + to_y) / 2 - (to_x - x) / 6
    return f"M{x:.0f} {y:.0f}Q{bend_x:.0f} {bend_y:.0f} {to_x:.0f} {to_y:.0f}"
