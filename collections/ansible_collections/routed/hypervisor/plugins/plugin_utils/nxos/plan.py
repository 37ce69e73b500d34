# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be sent to an NX-OS switch to make its running configuration what is intended.

Ours are the blocks that the intended text has, and in them the kinds of lines that it may have; what carries MARK in
its description and is not intended is removed. Everything else on the switch stays as it is. A switch applies each
line at once, so the steps are in an order in which none of them, and no run that is cut off, leaves it open.
"""

from __future__ import annotations

from . import blocks, claims, interfaces, lists, passwords
from .running import merged, read
from .tree import Line, Step, find, parse, removal


def changes(
    intended: str,
    running: str,
    complete: str,
    secrets: str = "",
    replace_passwords: bool = False,
    replace_bgp: bool = False,
) -> tuple[list[Step], list[Step]]:
    """Two lists of steps: what may be shown, and the passwords. Raises Conflict.

    running, complete: `show running-config`, without and with `all`, which also shows what is there by default.
    secrets: passwords of BGP and OSPF, in the form of a configuration: what has a password keeps it, unless
    replace_passwords.
    """
    wanted, found, hidden = parse(intended), read(running), parse(secrets)
    # What is set is not left out if `all` shows it in another form.
    has = merged([*read(complete), *read(running)])
    interfaces.spell_passive(wanted, found, has)
    steps = interfaces.unwanted(wanted, found, has)
    steps += claims.free(wanted, found, has, replace_bgp)
    done = set()
    for line in wanted:
        name = lists.name_of(line)
        if name is None:
            steps += blocks.compared(line, find(has, line.text), find(found, line.text), (), hidden)
        elif name not in done:
            done.add(name)
            steps += lists.compared(name, wanted, found)
    steps += _static(wanted, found)
    steps += lists.left_behind(wanted, found, steps)
    return steps, passwords.added(hidden, found, steps, replace_passwords)


def _static(wanted: list[Line], found: list[Line]) -> list[Step]:
    """Static routes of ours that are not intended any more, in no VRF and in VRFs that the intent does not have."""
    steps = [removal(line) for line in found if blocks.STATIC.match(line.text) and not find(wanted, line.text)]
    for line in found:
        if line.text.startswith("vrf context ") and not find(wanted, line.text):
            routes = [removal(child) for child in line.children if blocks.STATIC.match(child.text)]
            steps += [Step(line.text, " ", routes)] if routes else []
    return steps
