# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as Markdown, for a merge request."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from .escapes import for_markdown
from .mermaid import mermaid
from .model import FAILED, LAYERS, PASSED, WORST_FIRST, Report, Session
from .svg import summary
from .templates import environment

SHOWN = 100  # rows of a table


@dataclass
class Pair:
    """The sessions between two nodes in a VRF, as both ends see them."""

    a: str
    b: str
    vrf: str
    sessions: int
    bgp: str
    bfd: str
    state: str


def markdown(report: Report) -> str:
    failures = report.failures
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for result in report.results:
        kinds[result.kind][result.state] += 1
    pairs = _pairs(report.sessions)
    found = environment()
    found.filters["md"] = for_markdown
    return found.get_template("report.md.j2").render(
        report=report,
        summary=summary(report),
        layers=LAYERS,
        failures=failures[:SHOWN],
        more=len(failures) - SHOWN,
        listed=SHOWN,
        kinds={kind: kinds[kind] for kind in (*LAYERS, *kinds) if kind in kinds},
        graph=mermaid(report),
        pairs=pairs[:SHOWN],
        more_pairs=len(pairs) - SHOWN,
    )


def _pairs(sessions: list[Session]) -> list[Pair]:
    found: dict[tuple[str, str, str], list[Session]] = defaultdict(list)
    for session in sessions:
        a, b = sorted((session.node, session.peer))
        found[a, b, session.vrf].append(session)
    pairs = [
        Pair(
            a, b, vrf, len(listed), _up([one.bgp for one in listed]), _up([one.bfd for one in listed if one.bfd]), state
        )
        for (a, b, vrf), listed in found.items()
        for state in [min((one.state for one in listed), key=WORST_FIRST.index)]
    ]
    return sorted(pairs, key=lambda pair: pair.state != FAILED)


def _up(states: list[str]) -> str:
    if not states:
        return "none"
    up = sum(state == PASSED for state in states)
    return str(up) if up == len(states) else f"**{up} of {len(states)}**"
