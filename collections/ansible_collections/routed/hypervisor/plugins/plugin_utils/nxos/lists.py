# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prefix lists, route maps and access lists, which are in use while they change.

A switch applies each line at once, and an empty list permits everything. So what is new is added before what is old is
removed, and entries of prefix lists and route maps are compared by what they contain: one that is intended keeps the
number that it has.
"""

from __future__ import annotations

import re

from .tree import Line, Step, find, removal

ENTRY = re.compile(r"(?P<name>(?:ip|ipv6) prefix-list \S+) seq (?P<number>\d+) (?P<rule>.+)$")
CLAUSE = re.compile(r"(?P<name>route-map \S+) (?P<action>permit|deny) (?P<number>\d+)$")
ACCESS_LIST = re.compile(r"(?P<name>(?:ip|ipv6) access-list \S+)$")
RULE = re.compile(r"\d+ ")
USE = re.compile(r"(?P<word>ip access-group|ipv6 traffic-filter) (?P<name>\S+) (?P<way>in|out)$")
COPY = "-NEXT"


def name_of(line: Line) -> str | None:
    """The prefix list, route map or access list that a line is of."""
    found = next((match for kind in (ENTRY, CLAUSE, ACCESS_LIST) if (match := kind.match(line.text))), None)
    return found["name"] if found else None


def compared(name: str, wanted: list[Line], found: list[Line]) -> list[Step]:
    """The steps for one of them: wanted and found are whole configurations."""
    new, old = ([line for line in lines if name_of(line) == name] for lines in (wanted, found))
    if ACCESS_LIST.match(name):
        return _access_list(name, new[0], found)
    return (_route_map if CLAUSE.match(new[0].text) else _prefix_list)(name, new, old)


def _prefix_list(name: str, wanted: list[Line], found: list[Line]) -> list[Step]:
    """Entries of ours all permit, so their order has no meaning."""
    new, old = ([(int(match["number"]), match["rule"], line) for line in lines if (match := ENTRY.match(line.text))]
                for lines in (wanted, found))  # fmt: skip
    used = {number for number, _rule, _line in old}
    rules = {rule for _number, rule, _line in new}
    kept: set[str] = set()
    spare = []
    for _number, rule, line in old:
        if rule in rules - kept:
            kept.add(rule)
        else:
            spare.append(removal(line))
    steps = []
    for number, rule, _line in new:
        if rule not in kept:
            free = number if number not in used else _after(max(used))
            used.add(free)
            kept.add(rule)
            steps.append(Step(f"{name} seq {free} {rule}"))
    return steps + spare


def _after(number: int) -> int:
    return number // 10 * 10 + 10


def _route_map(name: str, wanted: list[Line], found: list[Line]) -> list[Step]:
    """Clauses from the first that differs on are made anew behind the others.

    A permitting clause admits everything until the line with its match follows. In front of it is then a clause that
    denies all: one that the map has, or one for as long as it takes.
    """
    found = sorted(found, key=_clause_number)
    kept = 0
    while kept < min(len(wanted), len(found)) and _clause(wanted[kept]) == _clause(found[kept]):
        kept += 1
    last = _clause_number(found[-1]) if found else -1
    steps, shield = [], []
    if found and any(line.children for line in wanted[kept:]) and ("deny", ()) not in map(_clause, found):
        last = _after(last)
        steps.append(Step(f"{name} deny {last}", ""))
        shield.append(Step(f"no {name} deny {last}", ""))
    for line in wanted[kept:]:
        last = max(_clause_number(line), last + 1)
        action, matches = _clause(line)
        steps.append(Step(f"{name} {action} {last}", "+", [Step(match) for match in matches]))
    return [*steps, *shield, *(removal(line) for line in reversed(found[kept:]))]


def _clause(line: Line) -> tuple[str, tuple[str, ...]]:
    match = CLAUSE.match(line.text)
    if match is None:
        raise AssertionError(f"not a clause: {line.text}")
    return match["action"], tuple(sorted(child.text for child in line.children if child.text.startswith("match ")))


def _clause_number(line: Line) -> int:
    return int(line.text.rsplit(" ", 1)[1])


def _access_list(name: str, wanted: Line, found: list[Line]) -> list[Step]:
    """The order of rules counts, so a list that interfaces use is changed while they use a copy of the new one.

    A run that was cut off leaves the copy behind, in use or not.
    """
    old, copy = find(found, name), find(found, f"{name}{COPY}")
    if old is None:
        return [Step(name, "+", [Step(line.text) for line in wanted.children])]
    remove_copy = Step(f"no {name}{COPY}", "")
    texts = {line.text for line in wanted.children}
    steps = [Step(f"no {line.text.split()[0]}", "-", shown=line.text)
             for line in old.children if RULE.match(line.text) and line.text not in texts]  # fmt: skip
    steps += [Step(line.text) for line in wanted.children if find(old.children, line.text) is None]
    if not steps:
        return []
    block = Step(name, " ", steps)
    uses = [(line.text, use) for line in found for child in line.children if (use := _use(child, name))]
    if not uses:
        return [block]
    to_copy, back = (
        [Step(interface, "", [Step(f"{word} {of} {way}", "")]) for interface, (word, _name, way) in uses]
        for of in (f"{name.split()[2]}{COPY}", name.split()[2])
    )
    made = Step(f"{name}{COPY}", "", [Step(line.text, "") for line in wanted.children])
    return [*([remove_copy] if copy else []), made, *to_copy, block, *back, remove_copy]


def _use(line: Line, name: str) -> tuple[str, ...] | None:
    """The words of a line that applies an access list to an interface."""
    found = USE.match(line.text)
    is_same = found and (found["word"] == "ip access-group", found["name"]) == (name.startswith("ip "), name.split()[2])
    return found.groups() if found and is_same else None


def left_behind(wanted: list[Line], found: list[Line], steps: list[Step]) -> list[Step]:
    """Copies that a run which was cut off has not removed; nothing uses them any more."""
    copies = [line for name in wanted if ACCESS_LIST.match(name.text) and (line := find(found, f"{name.text}{COPY}"))]
    sent = {step.text for step in steps}
    return [step for step in map(removal, copies) if step.text not in sent]
