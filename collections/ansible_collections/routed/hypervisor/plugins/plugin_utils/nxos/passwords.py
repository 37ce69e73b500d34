# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords of BGP and OSPF. The switch shows them in another form than it was given, so they cannot be compared."""

from __future__ import annotations

import re

from .interfaces import is_forgetful
from .neighbors import DOWN, UP, is_neighbor
from .tree import Line, Step, find

# Lines with a password, up to where it is given.
SECRET = re.compile(r"(password|ip ospf message-digest-key \d+)( md5)? ")


def has_password(lines: list[Line]) -> bool:
    return any(SECRET.match(line.text) for line in lines)


def removed(old: list[Line], secrets: list[Line]) -> list[Step]:
    """Passwords on the switch, of which `secrets` has none."""
    kept = {match[1] for line in secrets if (match := SECRET.match(line.text))}
    found = [match[1] for line in old if (match := SECRET.match(line.text))]
    return [Step(f"no {kind}", "-", shown=kind) for kind in found if kind not in kept]


def added(secrets: list[Line], found: list[Line], steps: list[Step], replace: bool) -> list[Step]:
    """The passwords of neighbors and interfaces that have none on the switch, or that these steps make anew."""
    result = []
    for line in secrets:
        if match := SECRET.match(line.text):
            if replace or not any(old.text.startswith(match[0]) for old in found):
                result.append(Step(line.text))
            continue
        same, new = find(found, line.text), any(step.text == line.text and step.sign == "+" for step in steps)
        inside = [child for step in steps if step.text == line.text for child in step.children]
        new = new or is_forgetful(inside)
        old = [] if new or same is None else same.children
        sent = added(line.children, old, inside, replace)
        if sent and is_neighbor(line) and (find(old, DOWN) or any(step.text == DOWN for step in inside)):
            sent.append(Step(UP, ""))
        if sent:
            result.append(Step(line.text, " ", sent))
    return result
