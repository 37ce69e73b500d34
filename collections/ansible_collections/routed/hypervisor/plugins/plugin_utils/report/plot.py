# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything is in the plot of a drill: a row for each pair, in it a lane for each run, time to the right."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from .model import FAILED, PARTLY, Drill, Gap

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1000, 230, 20, 34, 40
ROW, LANE, SPACE = 16, 5, 6
LEAST = 2  # the width of a gap that would hardly be seen
TICKS = 10
LANES = 10  # in a row; of more runs, those with the longest gaps are drawn


@dataclass
class Bar:
    x: float
    y: float
    width: float
    state: str  # "failed" if it is longer than the budget
    title: str


@dataclass
class Lane:
    x: float
    y: float
    width: float
    broken: float  # the part of the width before the commands that restore


@dataclass
class Mark:
    x: float
    title: str
    kind: str


@dataclass
class Row:
    title: str
    y: float
    lanes: list[Lane]
    bars: list[Bar]


@dataclass
class Plot:
    width: int
    height: int
    lane: int
    rows: list[Row]
    ticks: list[tuple[float, str]]
    marks: list[Mark]
    drawn: int  # runs

    @property
    def bottom(self) -> int:
        return self.height - BOTTOM


class Axis:
    """From milliseconds after the drill began to pixels."""

    def __init__(self, drill: Drill) -> None:
        gaps = [gap for pair in drill.pairs for run in pair.gaps for gap in run]
        self.first = min([0, *(gap.from_ms for gap in gaps)])
        marks = (drill.bfd_ms or 0, drill.budget_ms or 0)
        self.last = max([1, *marks, *drill.ended_ms, *(gap.to_ms for gap in gaps)])

    def x(self, ms: int) -> float:
        return LEFT + (ms - self.first) * (WIDTH - LEFT - RIGHT) / (self.last - self.first)

    def ticks(self) -> list[tuple[float, str]]:
        """At round numbers of seconds."""
        step, factors = 100, itertools.cycle((2, 2.5, 2))
        while self.last / step > TICKS:
            step = round(step * next(factors))
        return [(self.x(ms), f"{ms / 1000:g}") for ms in range(0, self.last + 1, step)]


def plot(drill: Drill) -> Plot:
    axis = Axis(drill)
    # Where there are many, the worst ones, in their order.
    drawn = sorted(sorted(range(drill.runs), key=lambda run: -drill.longest_ms[run])[:LANES])
    lane = ROW if len(drawn) == 1 else LANE
    height = lane * len(drawn) + SPACE
    rows = []
    for number, pair in enumerate(drill.pairs):
        y = TOP + number * height
        row = Row(pair.title, y + height / 2, [], [])
        for position, run in enumerate(drawn):
            at = y + SPACE / 2 + position * lane
            end, restored = axis.x(drill.ended_ms[run]), drill.restored_ms[run]
            begin = axis.x(0)
            broken = 0.0 if restored is None else axis.x(restored) - begin
            row.lanes.append(Lane(begin, at, end - begin, broken))
            row.bars += [_bar(drill, axis, gap, at, run) for gap in pair.gaps[run]]
        rows.append(row)
    marks = [
        Mark(axis.x(ms), f"{title} {ms:,} ms", kind)
        for ms, title, kind in ((drill.bfd_ms, "BFD", "bfd"), (drill.budget_ms, "budget", "budget"))
        if ms is not None
    ]
    total = TOP + height * len(rows) + BOTTOM
    return Plot(WIDTH, total, lane, rows, axis.ticks(), marks, len(drawn))


def _bar(drill: Drill, axis: Axis, gap: Gap, y: float, run: int) -> Bar:
    begin, end = axis.x(gap.from_ms), axis.x(gap.to_ms)
    is_over = drill.budget_ms is not None and gap.ms > drill.budget_ms
    of_run = f"run {run + 1}: " if drill.runs > 1 else ""
    title = f"{of_run}{gap.lost} lost in {gap.ms:,} ms, from {gap.from_ms:,} to {gap.to_ms:,} ms"
    return Bar(begin, y, max(end - begin, LEAST), FAILED if is_over else PARTLY, title)
