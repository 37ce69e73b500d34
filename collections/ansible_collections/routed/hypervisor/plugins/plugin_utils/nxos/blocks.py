# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps for one block of a configuration. Only some kinds of lines in a block are ours; others stay."""

from __future__ import annotations

import re

from . import interfaces, neighbors, passwords
from .tree import Line, Step, below, find, removal

# What there can be only one of in its block: a new line takes the place of the old one.
SINGLE = re.compile(
    r"(?:no )?(description|switchport access vlan|switchport mode|switchport$|mtu|vrf member|ip redirects"
    r"|ipv6 redirects|ipv6 nd suppress-ra|shutdown|spanning-tree port type|name|router-id|log-neighbor-changes"
    r"|reconnect-interval|bestpath as-path multipath-relax|bestpath always-compare-med|maximum-paths ibgp"
    r"|maximum-paths|maximum-prefix|update-source|timers|redistribute \S+"
    r"|(?:ip ospf|ospfv3) (?:network|hello-interval|dead-interval)"
    r"|(?:ip ospf|ospfv3) passive-interface|graceful-restart-helper|graceful-restart|ebgp-multihop"
    r"|ttl-security hops|hostname|bfd interval|ip address (?!.* secondary))"
)
# The last word says which one it is.
DIRECTED = re.compile(r"(?:no )?(route-map|ip access-group|ipv6 traffic-filter) \S+ (in|out)$")
INTERFACE = re.compile(
    r"(?:no )?(description |switchport$|switchport (mode|access vlan) |mtu |vrf member |ip redirects|ipv6 redirects"
    r"|ipv6 nd suppress-ra|ip address |ipv6 address |ip router ospf |ipv6 router ospfv3 "
    r"|(ip ospf|ospfv3) (passive-interface|network|hello-interval|dead-interval)"
    r"|ip access-group |ipv6 traffic-filter |spanning-tree port type |shutdown)"
)
STATIC = re.compile(r"(?:ip|ipv6) route .* name routed\.hypervisor$")
# The kinds of lines that are ours, by the block that they are in.
OURS = [
    (re.compile(r"interface "), INTERFACE),
    (re.compile(r"vrf context "), STATIC),
    (re.compile(r"router ospf "), re.compile(r"area \S+ authentication")),
    (re.compile(r"router bgp .*/neighbor "), re.compile(r"(?!password |shutdown$)")),
    (re.compile(r"router bgp .*/address-family "), re.compile(r"redistribute ")),
]


def key(text: str) -> str:
    if found := DIRECTED.match(text):
        return " ".join(found.groups())
    found = SINGLE.match(text)
    return found[1].strip() if found else text


def opposite(text: str) -> str:
    """A line without which `default` or the block above it decides is not negated: that would be a third state."""
    if text.endswith(" passive-interface"):
        return f"default {text.removeprefix('no ')}"
    return f"default {text.removeprefix('no ')}" if text.startswith("no ") else f"no {text}"


def _ours(path: str, text: str) -> bool:
    kinds = next((kinds for block, kinds in OURS if block.match(path)), None)
    return kinds is not None and kinds.match(text) is not None


def compared(
    wanted: Line, has: Line | None, found: Line | None, above: tuple[str, ...], secrets: list[Line]
) -> list[Step]:
    """The steps for one wanted line and what is below it.

    has: the same line on the switch with what is there by default; found: without. above: the lines that it is below.
    """
    if has is None:
        return [_new(wanted, above, secrets)]
    here = (*above, wanted.text)
    path = "/".join(here)
    old = found.children if found else []
    is_neighbor = neighbors.is_neighbor(wanted)
    if is_neighbor and neighbors.changed_as(wanted, old):
        # The session goes down with its AS in any case; what else was configured for the other AS goes with it.
        return [removal(wanted), _new(wanted, above, secrets)]
    removed = removed_lines(wanted, old, path)
    hidden = below(secrets, *here)
    removed += passwords.removed(old, hidden)
    removed += neighbors.unwanted(wanted, old)
    added = [compared(line, find(has.children, line.text), find(old, line.text), here, secrets)
             for line in wanted.children]  # fmt: skip
    is_forgetful = interfaces.is_forgetful([*removed, *(step for one in added for step in one)])
    if is_forgetful:
        removed = interfaces.cleared(removed, old)
        added = [[_new(line, here, secrets)] for line in wanted.children]
    late = [] if is_forgetful else [step for step in removed if _is_late(step.shown, wanted)]
    steps = [step for step in removed if step not in late] + [step for one in added for step in one] + late
    if is_neighbor:
        steps = neighbors.changed(steps, old, bool(hidden) and not passwords.has_password(old))
    return [Step(wanted.text, " ", steps)] if steps else []


def _new(line: Line, above: tuple[str, ...], secrets: list[Line]) -> Step:
    here = (*above, line.text)
    steps = [_new(child, here, secrets) for child in line.children]
    if neighbors.is_neighbor(line):
        steps = neighbors.added(steps, bool(below(secrets, *here)))
    return Step(line.text, "+", steps)


def removed_lines(wanted: Line, old: list[Line], path: str) -> list[Step]:
    texts = {line.text for line in wanted.children}
    keys = {key(text) for text in texts}
    unwanted = [
        line.text for line in old if line.text not in texts and _ours(path, line.text) and key(line.text) not in keys
    ]
    return [Step(opposite(text), "-", shown=text) for text in sorted(unwanted, key=interfaces.order_of_removal)]


def _is_late(text: str, wanted: Line) -> bool:
    """What can be beside its successor, and is used until then; and what guards it."""
    if STATIC.match(text) or interfaces.GUARD.match(text):
        return True
    # An address of IPv6 cannot be there twice, with two lengths.
    address = text.split("/", maxsplit=1)[0]
    return text.startswith("ipv6 address ") and not any(line.text.split("/")[0] == address for line in wanted.children)
