# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbors: none is up without its route maps and its password, at no line that is sent."""

from __future__ import annotations

from .tree import MARK, Line, Step, find, removal

DOWN, UP = "shutdown", "no shutdown"


def is_neighbor(line: Line) -> bool:
    return line.text.startswith("neighbor ")


def marked(line: Line) -> bool:
    return any(child.text.startswith("description ") and child.text.endswith(MARK) for child in line.children)


def changed_as(wanted: Line, old: list[Line]) -> bool:
    def numbers(lines: list[Line]) -> set[str]:
        return {line.text for line in lines if line.text.startswith("remote-as ")}

    return bool(numbers(old)) and numbers(old) != numbers(wanted.children)


def added(steps: list[Step], is_secret: bool) -> list[Step]:
    """The steps below a new neighbor. With a password, that comes last and brings it up."""
    return [Step(DOWN, ""), *steps, *([] if is_secret else [Step(UP, "")])]


def changed(steps: list[Step], old: list[Line], awaits_password: bool) -> list[Step]:
    """The steps below a neighbor that the switch has. It may be down, as a run that was cut off left it."""
    is_down = find(old, DOWN) is not None
    # The session starts anew in any case.
    gains_family = any(step.sign == "+" and step.text.startswith("address-family ") for step in steps)
    first = [Step(DOWN, "")] if gains_family and not is_down else []
    last = [Step(UP, "-", shown=DOWN) if is_down else Step(UP, "")] if is_down or gains_family else []
    return [*first, *steps, *([] if awaits_password else last)]


def unwanted(wanted: Line, old: list[Line]) -> list[Step]:
    """Our neighbors that are not intended any more, also in VRFs in which nothing is intended any more."""
    steps = []
    for line in old:
        if find(wanted.children, line.text):
            continue
        if is_neighbor(line) and marked(line):
            steps.append(removal(line))
        elif line.text.startswith("vrf ") and wanted.text.startswith("router bgp "):
            inside = unwanted(Line(line.text), line.children)
            steps += [Step(line.text, " ", inside)] if inside else []
    return steps
