# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be sent to an NX-OS switch to make its running configuration what is intended.

Ours are the blocks that the intended text has, and in them the kinds of lines that it may have; what bears MARK in its
description and is not intended is removed. Everything else on the switch stays as it is. This plugin_util is private
to this collection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..module_utils._engine.change import Change

MARK = "@routed.hypervisor"


@dataclass
class Line:
    """A line of a configuration without its indentation, and the lines below it."""

    text: str
    children: list[Line] = field(default_factory=list)
    number: int = 0


@dataclass
class Step:
    """A line to send. sign: "+" new, "-" takes away (shown: what it takes away), " " only leads to its children."""

    text: str
    sign: str = "+"
    children: list[Step] = field(default_factory=list)
    shown: str = ""


def parse(text: str) -> list[Line]:
    """The tree that indentation makes. Comments and empty lines are left out; ValueError for a line that hangs."""
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


def changes(intended: str, running: str, complete: str, secrets: str = "", replace_passwords: bool = False):
    """Two lists of steps: what may be shown, and the passwords.

    running, complete: `show running-config`, without and with `all`, which also shows what is there by default.
    secrets: passwords of BGP and OSPF, in the form of a configuration. The switch shows them in another form, which
    cannot be compared: what has a password keeps it, unless replace_passwords.
    """
    wanted, found, hidden = parse(intended), _normal(parse(running)), parse(secrets)
    has = _merge(_normal(parse(complete)), found)
    shown = _removed_entries(wanted, found)
    for line in wanted:
        shown += _block(line, _find(has, line.text), _find(found, line.text), (), hidden)
    shown += _unwanted_interfaces(wanted, found)
    return shown, _passwords(hidden, found, shown, replace_passwords)


def commands(steps: list[Step], indent: str = "") -> list[str]:
    """What is sent, with its indentation."""
    lines = []
    for step in steps:
        lines.append(indent + step.text)
        lines += commands(step.children, indent + "  ")
    return lines


def difference(steps: list[Step], indent: str = "") -> list[str]:
    """The same for a person: what comes, what goes, and where."""
    lines = []
    for step in steps:
        lines.append(f"{step.sign} {indent}{step.shown or step.text}")
        lines += difference(step.children, indent + "  ")
    return lines


def blocks(steps: list[Step]) -> list[Change]:
    """The same, as a change of each block, with the lines of it that go and come."""
    return [_block_change(step) for step in steps]


def _block_change(step: Step) -> Change:
    op = {"+": "create", "-": "delete", " ": "change"}[step.sign]
    sides: dict[str, list[str]] = {"-": [], "+": [], " ": []}
    for line in difference(step.children):
        sides[line[0]].append(line[2:])
    before, after = ({"lines": sides[sign]} if sides[sign] else {} for sign in "-+")
    why = {"create": "it does not exist", "delete": "is ours and not wanted", "change": "differs"}[op]
    return Change("blocks", op, step.shown or step.text, why, before, after)


# What there can be only one of in its block: a new line takes the place of the old one.
SINGLE = re.compile(
    r"(?:no )?(description|switchport access vlan|switchport mode|switchport$|mtu|vrf member|ip redirects"
    r"|ipv6 redirects|shutdown|spanning-tree port type|name|router-id|log-neighbor-changes|reconnect-interval"
    r"|bestpath as-path multipath-relax|maximum-paths ibgp|maximum-paths|maximum-prefix|update-source|timers"
    r"|(?:ip ospf|ospfv3) (?:network|hello-interval|dead-interval)|graceful-restart-helper|graceful-restart"
    r"|ebgp-multihop|ttl-security hops|hostname|bfd interval|ip address (?!.* secondary)|\d+ )"
)
# The last word says which one it is.
DIRECTED = re.compile(r"(?:no )?(route-map|ip access-group|ipv6 traffic-filter) \S+ (in|out)$")
INTERFACE = re.compile(
    r"(?:no )?(description |switchport$|switchport (mode|access vlan) |mtu |vrf member |ip redirects|ipv6 redirects"
    r"|ip address |ipv6 address |ip router ospf |ip ospf (passive-interface|network|hello-interval|dead-interval)"
    r"|ipv6 router ospfv3 |ospfv3 (passive-interface|network|hello-interval|dead-interval)"
    r"|ip access-group |ipv6 traffic-filter |spanning-tree port type |shutdown)"
)
STATIC = re.compile(r"(?:ip|ipv6) route .* name routed\.hypervisor$")
# The kinds of lines that are ours, by the block that they are in.
OURS = [
    (re.compile(r"interface "), INTERFACE),
    (re.compile(r"(ip|ipv6) access-list "), re.compile(r"\d+ ")),
    (re.compile(r"route-map "), re.compile(r"match ")),
    (re.compile(r"vrf context "), STATIC),
    (re.compile(r"router ospf "), re.compile(r"area \S+ authentication")),
    (re.compile(r"router bgp .*/neighbor "), re.compile(r"(?!password )")),
    (re.compile(r"router bgp .*/address-family "), re.compile(r"redistribute ")),
]
# Lines with a password, up to where it is given: the switch shows it in another form.
SECRET = re.compile(r"(password|ip ospf message-digest-key \d+)( md5)? ")
# Lines that make an interface forget others.
FORGETFUL = re.compile(r"(?:no )?(switchport$|vrf member )")
PREFIX = re.compile(r"(?P<key>(?:ip|ipv6) prefix-list (?P<name>\S+) seq \d+) ")
ROUTE_MAP = re.compile(r"route-map (?P<name>\S+) (?:permit|deny) \d+$")


def key(text: str) -> str:
    if found := DIRECTED.match(text):
        return " ".join(found.groups())
    found = SINGLE.match(text)
    return found[1].strip() if found else text


def opposite(text: str) -> str:
    if re.match(r"\d+ ", text):  # an access list's entry goes by its number
        return f"no {text.split(maxsplit=1)[0]}"
    return text.removeprefix("no ") if text.startswith("no ") else f"no {text}"


def _find(lines: list[Line], text: str) -> Line | None:
    return next((line for line in lines if line.text == text), None)


def _normal(lines: list[Line]) -> list[Line]:
    """Some releases show a neighbour's AS behind its address."""
    for line in lines:
        if found := re.match(r"(neighbor \S+) (remote-as \S+)$", line.text):
            line.text = found[1]
            line.children.insert(0, Line(found[2]))
        _normal(line.children)
    return lines


def _merge(complete: list[Line], found: list[Line]) -> list[Line]:
    """Everything that one of the two shows: what is set is not left out if `all` shows it in another form."""
    merged = {}
    for line in [*complete, *found]:
        same = merged.setdefault(line.text, Line(line.text))
        same.children = _merge(same.children, line.children)
    return list(merged.values())


def _ours(path: str, text: str) -> bool:
    kinds = next((kinds for block, kinds in OURS if block.match(path)), None)
    return kinds is not None and kinds.match(text) is not None


def _block(
    wanted: Line, has: Line | None, found: Line | None, above: tuple[str, ...], secrets: list[Line]
) -> list[Step]:
    """The steps for one wanted line and what is below it.

    has: the same line on the switch with what is there by default; found: without. above: the lines that it is below.
    """
    if has is None:
        return [_all(wanted)]
    path = "/".join((*above, wanted.text))
    old = found.children if found else []
    if _neighbor(wanted) and _changed_as(wanted, old):
        # The session goes down with its AS in any case; what else was configured for the other AS goes with it.
        return [Step(f"no {wanted.text}", "-", shown=wanted.text), _all(wanted)]
    steps = _removed_lines(wanted, old, path)
    steps += _removed_secrets(old, _below(secrets, (*above, wanted.text)))
    steps += _unwanted_neighbors(wanted, old)
    added = [_block(line, _find(has.children, line.text), _find(old, line.text), (*above, wanted.text), secrets)
             for line in wanted.children]  # fmt: skip
    if path.startswith("interface ") and any(
        FORGETFUL.match(step.text) for step in [*steps, *(step for one in added for step in one)]
    ):
        added = [[_all(line)] for line in wanted.children]
    steps += [step for one in added for step in one]
    return [Step(wanted.text, " ", steps)] if steps else []


def _all(line: Line) -> Step:
    return Step(line.text, "+", [_all(child) for child in line.children])


def _removed_lines(wanted: Line, old: list[Line], path: str) -> list[Step]:
    texts = {line.text for line in wanted.children}
    keys = {key(text) for text in texts}
    steps = []
    for line in old:
        if line.text in texts or not _ours(path, line.text):
            continue
        # An access list's entry is not replaced by another of its number, but refused.
        if key(line.text) not in keys or re.match(r"\d+ ", line.text):
            steps.append(Step(opposite(line.text), "-", shown=line.text))
    return steps


def _removed_entries(wanted: list[Line], found: list[Line]) -> list[Step]:
    """Entries of our prefix lists and route maps, and static routes, that are not intended any more, or that are others
    by now."""
    texts = {line.text for line in wanted}
    names = {
        (pattern, match["name"]) for pattern in (PREFIX, ROUTE_MAP) for text in texts if (match := pattern.match(text))
    }
    steps = []
    for line in found:
        if STATIC.match(line.text) and line.text not in texts:
            steps.append(Step(f"no {line.text}", "-", shown=line.text))
        for pattern in (PREFIX, ROUTE_MAP):
            match = pattern.match(line.text)
            if match and (pattern, match["name"]) in names and line.text not in texts:
                steps.append(Step(f"no {line.text}", "-", shown=line.text))
    return steps


def _neighbor(line: Line) -> bool:
    return line.text.startswith("neighbor ")


def _changed_as(wanted: Line, old: list[Line]) -> bool:
    def numbers(lines: list[Line]) -> set[str]:
        return {line.text for line in lines if line.text.startswith("remote-as ")}

    return bool(numbers(old)) and numbers(old) != numbers(wanted.children)


def _marked(line: Line) -> bool:
    return any(child.text.startswith("description ") and child.text.endswith(MARK) for child in line.children)


def _unwanted_neighbors(wanted: Line, old: list[Line]) -> list[Step]:
    """Our neighbours that are not intended any more, also in VRFs in which nothing is intended any more."""
    steps = []
    for line in old:
        if _find(wanted.children, line.text):
            continue
        if _neighbor(line) and _marked(line):
            steps.append(Step(f"no {line.text}", "-", shown=line.text))
        elif line.text.startswith("vrf ") and wanted.text.startswith("router bgp "):
            inside = _unwanted_neighbors(Line(line.text), line.children)
            steps += [Step(line.text, " ", inside)] if inside else []
    return steps


def _unwanted_interfaces(wanted: list[Line], found: list[Line]) -> list[Step]:
    steps = []
    for line in found:
        if line.text.startswith("interface ") and _marked(line) and not _find(wanted, line.text):
            # A port cannot be removed, only be what it was.
            verb = "default" if re.match(r"interface [Ee]thernet", line.text) else "no"
            steps.append(Step(f"{verb} {line.text}", "-", shown=line.text))
    return steps


def _below(lines: list[Line], path: tuple[str, ...]) -> list[Line]:
    for text in path:
        line = _find(lines, text)
        lines = line.children if line else []
    return lines


def _removed_secrets(old: list[Line], secrets: list[Line]) -> list[Step]:
    """Passwords on the switch, of which SECRETS has none."""
    kept = {match[1] for line in secrets if (match := SECRET.match(line.text))}
    found = [match[1] for line in old if (match := SECRET.match(line.text))]
    return [Step(f"no {kind}", "-", shown=kind) for kind in found if kind not in kept]


def _passwords(secrets: list[Line], found: list[Line], steps: list[Step], replace: bool) -> list[Step]:
    """The passwords of neighbours and interfaces that have none on the switch, or that are made anew by these steps."""
    result = []
    for line in secrets:
        if match := SECRET.match(line.text):
            if replace or not any(old.text.startswith(match[0]) for old in found):
                result.append(Step(line.text))
            continue
        same, new = _find(found, line.text), any(step.text == line.text and step.sign == "+" for step in steps)
        inside = next((step.children for step in steps if step.text == line.text), [])
        new = new or any(FORGETFUL.match(step.text) for step in inside)
        below = _passwords(line.children, [] if new or same is None else same.children, inside, replace)
        if below:
            result.append(Step(line.text, " ", below))
    return result
