# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration as a tree, and the steps that change one. This plugin_util is private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field

MARK = "@routed.hypervisor"  # ends the description of neighbors and interfaces that are ours


class Conflict(Exception):
    """What is intended and what the switch keeps exclude each other."""


@dataclass
class Line:
    """A line of a configuration without its indentation, and the lines below it."""

    text: str
    children: list[Line] = field(default_factory=list)
    number: int = 0


@dataclass
class Step:
    """A line to send.

    sign: "+" new, "-" removed (shown: the removed line; removed: the lines below it), " " leads to its children,
    "" needed on the way and undone by a later step, so not part of the difference.
    """

    text: str
    sign: str = "+"
    children: list[Step] = field(default_factory=list)
    shown: str = ""
    removed: list[Line] = field(default_factory=list)


def parse(text: str) -> list[Line]:
    """The tree that indentation makes, without comments and empty lines. ValueError for an indented first line."""
    top: list[Line] = []
    above: list[tuple[int, Line]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        content = raw.strip()
        if not content or content.startswith("!"):
            continue
        depth = len(raw) - len(raw.lstrip(" "))
        while above and above[-1][0] >= depth:
            above.pop()
        if depth and not above:
            raise ValueError(f"line {number} is indented, and there is no line above it that it could belong to: {raw}")
        line = Line(content, number=number)
        (above[-1][1].children if above else top).append(line)
        above.append((depth, line))
    return top


def find(lines: list[Line], text: str) -> Line | None:
    return next((line for line in lines if line.text == text), None)


def below(lines: list[Line], *path: str) -> list[Line]:
    """The lines below the block that PATH leads to; empty if there is none."""
    for text in path:
        line = find(lines, text)
        lines = line.children if line else []
    return lines


def drop(lines: list[Line], text: str) -> None:
    lines[:] = [line for line in lines if line.text != text]


def removal(line: Line) -> Step:
    return Step(f"no {line.text}", "-", shown=line.text)


def commands(steps: list[Step], indent: str = "") -> list[str]:
    """What is sent, with its indentation."""
    lines = []
    for step in steps:
        lines.append(indent + step.text)
        lines += commands(step.children, indent + "  ")
    return lines
