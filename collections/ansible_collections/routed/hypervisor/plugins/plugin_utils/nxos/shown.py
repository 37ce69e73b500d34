# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps for people: what is added, what is removed, and where."""

from __future__ import annotations

import re

from ...module_utils._engine.change import Change
from .tree import Line, Step


def difference(steps: list[Step], indent: str = "") -> list[str]:
    """What is added, what is removed, and where, for people."""
    lines = []
    for step in steps:
        if step.sign:
            lines.append(f"{step.sign} {indent}{step.shown or step.text}")
            lines += _removed(step.removed, indent + "  ")
            lines += difference(step.children, indent + "  ")
    return lines


def _removed(lines: list[Line], indent: str) -> list[str]:
    shown = []
    for line in lines:
        # A password is shown by the switch in a form that can be decrypted.
        text = re.sub(r"(password|message-digest-key \d+ md5) .*", r"\1", line.text)
        shown.append(f"- {indent}{text}")
        shown += _removed(line.children, indent + "  ")
    return shown


def block_changes(steps: list[Step]) -> list[Change]:
    """The same as a change of each block, with the lines of it that go and come."""
    together: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        if step.sign:
            together.setdefault((step.sign, step.shown or step.text), []).append(step)
    return [_block_change(sign, name, same) for (sign, name), same in together.items()]


def _block_change(sign: str, name: str, steps: list[Step]) -> Change:
    op = {"+": "create", "-": "delete", " ": "change"}[sign]
    sides: dict[str, list[str]] = {"-": [], "+": [], " ": []}
    for line in (line for step in steps for line in [*_removed(step.removed, ""), *difference(step.children)]):
        sides[line[0]].append(line[2:])
    before, after = ({"lines": sides[sign]} if sides[sign] else {} for sign in "-+")
    why = {"create": "it does not exist", "delete": "is not in the configuration", "change": "differs"}[op]
    return Change("blocks", op, name, why, before, after)
