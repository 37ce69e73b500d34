# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running configuration of a switch, in one spelling where releases and settings have several."""

from __future__ import annotations

import re

from .tree import Line, parse

VLANS = re.compile(r"vlan (\d[\d,-]*)$")
AS = re.compile(r"(router bgp|remote-as|neighbor \S+ remote-as) (\d+)\.(\d+)$")
NEIGHBOR = re.compile(r"(neighbor \S+) (remote-as \d+)$")


def read(text: str) -> list[Line]:
    """Each block once, whether the switch shows it in one piece or in several."""
    return merged(_spelled(parse(text)))


def merged(lines: list[Line]) -> list[Line]:
    """Lines of the same text become one, which has the lines below all of them."""
    made: dict[str, Line] = {}
    for line in lines:
        same = made.setdefault(line.text, Line(line.text))
        same.children += line.children
    for line in made.values():
        line.children = merged(line.children)
    return list(made.values())


def _spelled(lines: list[Line]) -> list[Line]:
    made = []
    for line in lines:
        below = _spelled(line.children)
        text = AS.sub(lambda found: f"{found[1]} {int(found[2]) * 65536 + int(found[3])}", line.text)  # as-format asdot
        if found := NEIGHBOR.match(text):
            made.append(Line(found[1], [Line(found[2]), *below]))
        elif found := VLANS.match(text):
            made += [Line(f"vlan {number}", list(below)) for number in _numbers(found[1])]
        else:
            made.append(Line(text, below))
    return made


def _numbers(text: str) -> list[int]:
    """1,10-12 is 1, 10, 11 and 12."""
    numbers = []
    for part in text.split(","):
        first, _hyphen, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
