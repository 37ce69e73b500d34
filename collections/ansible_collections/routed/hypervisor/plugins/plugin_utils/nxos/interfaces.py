# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces that are not intended any more, and whether OSPF is passive on those that are."""

from __future__ import annotations

import re

from .neighbors import marked
from .tree import Line, Step, below, drop, find, removal

# The word that joins OSPF, and what the interface's lines of it begin with.
OSPF = (("ip router ospf", "ip ospf", "router ospf"), ("ipv6 router ospfv3", "ospfv3", "router ospfv3"))
# Lines that make an interface forget others.
FORGETFUL = re.compile(r"(?:no )?(switchport$|vrf member )")
# What an interface does, and what keeps it from doing more.
WORKS = re.compile(r"(ip|ipv6) (address|router) ")
GUARD = re.compile(r"(no )?((ip ospf|ospfv3) passive-interface|(ip|ipv6) redirects)$"
                   r"|ipv6 nd suppress-ra$|ip access-group |ipv6 traffic-filter ")  # fmt: skip


def order_of_removal(text: str) -> int:
    """Second addresses ahead of the first, and guards behind what they guard."""
    return 0 if text.endswith(" secondary") else 1 if WORKS.match(text) else 3 if GUARD.match(text) else 2


def cleared(removed: list[Step], old: list[Line]) -> list[Step]:
    """Where an interface forgets its addresses in any case, they go ahead of guards that are removed."""
    if not any(GUARD.match(step.shown) for step in removed):
        return removed
    known = {step.shown for step in removed}
    more = [removal(line) for line in old if WORKS.match(line.text) and line.text not in known]
    return sorted([*removed, *more], key=lambda step: order_of_removal(step.shown))


def is_forgetful(steps: list[Step]) -> bool:
    return any(FORGETFUL.match(step.text) for step in steps)


def unwanted(wanted: list[Line], *running: list[Line]) -> list[Step]:
    """Removes them from `running` too: what they had is free then."""
    steps = []
    for line in [line for line in running[0] if line.text.startswith("interface ")]:
        if marked(line) and not find(wanted, line.text):
            # A port cannot be removed, only be what it was by default.
            verb = "default" if re.match(r"interface [Ee]thernet", line.text) else "no"
            steps.append(Step(f"{verb} {line.text}", "-", shown=line.text))
            for lines in running:
                drop(lines, line.text)
    return steps


def spell_passive(wanted: list[Line], *running: list[Line]) -> None:
    """Passive has three states: a line, its `no`, and neither, where what counts is `passive-interface default`.

    An interface that is to be active has no line in the text; here, it gets `no …` if it would be passive without.
    Where it would be active in any case, `no …` is as good as no line.
    """
    for line in wanted:
        if not line.text.startswith("interface "):
            continue
        for join, start, router in OSPF:
            plain, negated = f"{start} passive-interface", f"no {start} passive-interface"
            joined = next((child for child in line.children if child.text.startswith(f"{join} ")), None)
            if joined and not find(line.children, plain) and _passive_by_default(running[0], router, joined, line):
                line.children.insert(line.children.index(joined), Line(negated))
            elif not find(line.children, plain):
                for lines in running:
                    drop(below(lines, line.text), negated)


def _passive_by_default(running: list[Line], router: str, joined: Line, interface: Line) -> bool:
    vrf = next((child.text.split()[2] for child in interface.children if child.text.startswith("vrf member ")), None)
    path = [f"{router} {joined.text.split()[3]}", *([f"vrf {vrf}"] if vrf else [])]
    return find(below(running, *path), "passive-interface default") is not None
