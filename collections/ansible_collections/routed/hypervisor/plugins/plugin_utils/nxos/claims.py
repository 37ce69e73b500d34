# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only one block of a switch can have: an address of a VRF, the name of a VLAN, the instance of BGP.

Where it moves, it is taken from the one before the other gets it. Where others keep it, nothing is sent.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from .neighbors import is_neighbor, marked
from .tree import Conflict, Line, Step, below, drop, find

ADDRESS = re.compile(r"(?:ip|ipv6) address (?P<address>[0-9a-fA-F.:]+/\d+)(?P<second> secondary)?$")


@dataclass(frozen=True)
class Address:
    interface: str
    vrf: str
    text: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    def overlaps(self, other: Address) -> bool:
        return (
            (self.vrf, self.network.version) == (other.vrf, other.network.version)
            and self.interface != other.interface
            and self.network.overlaps(other.network)
        )


def free(wanted: list[Line], found: list[Line], has: list[Line], replace_bgp: bool) -> list[Step]:
    """The steps that come first. What they take is removed from `found` and `has`. Raises Conflict."""
    mistakes: list[str] = []
    steps = [
        *_instance(wanted, found, has, replace_bgp, mistakes),
        *_addresses(wanted, found, has, mistakes),
        *_names(wanted, found, has, mistakes),
    ]
    if mistakes:
        raise Conflict("; ".join(mistakes))
    return steps


def _instance(wanted: list[Line], found: list[Line], has: list[Line], replace: bool, mistakes: list[str]) -> list[Step]:
    ours = next((line.text for line in wanted if line.text.startswith("router bgp ")), None)
    old = next((line for line in found if line.text.startswith("router bgp ") and line.text != ours), None)
    if ours is None or old is None:
        return []
    others = [line.text for line in _neighbors(old) if not marked(line)]
    if not replace:
        mistakes.append(
            f"the switch runs {old.text}, and takes no {ours} beside it. nxos_replace_bgp: true removes it first, "
            f"with all its sessions{', also those of others: ' + ', '.join(others) if others else ''}"
        )
    for lines in (found, has):
        drop(lines, old.text)
    return [Step(f"no {old.text}", "-", shown=old.text, removed=old.children)]


def _neighbors(line: Line) -> list[Line]:
    return [deep for child in line.children for deep in ([child] if is_neighbor(child) else _neighbors(child))]


def _addresses(wanted: list[Line], found: list[Line], has: list[Line], mistakes: list[str]) -> list[Step]:
    new, old = _all_addresses(wanted), _all_addresses(found)
    added = [address for address in new if address not in old]
    removed = [address for address in old if address not in new]
    ours = {line.text for line in wanted}
    steps = []
    for interface in dict.fromkeys(address.interface for address in removed):
        moving = [one for one in removed if one.interface == interface and any(one.overlaps(other) for other in added)]
        if interface not in ours:
            mistakes += [
                f"{interface.split()[1]} of the switch, which is not ours, has {_plain(one)}: it overlaps "
                f"{_plain(other)} of {other.interface.split()[1]}"
                for one in moving
                for other in added
                if one.overlaps(other)
            ]
        elif moving:
            line = find(found, interface)
            if line is None:
                raise AssertionError(f"{interface} moves, and is not in the running configuration")
            texts = _with_secondaries([one.text for one in moving], line)
            steps.append(Step(interface, " ", [Step(f"no {text}", "-", shown=text) for text in texts]))
            for text in texts:
                for lines in (found, has):
                    drop(below(lines, interface), text)
    return steps


def _with_secondaries(moving: list[str], line: Line) -> list[str]:
    """A first address of IPv4 cannot be removed while there are others."""
    seconds = [child.text for child in line.children if child.text.endswith(" secondary")]
    with_first = any(text.startswith("ip address ") and text not in seconds for text in moving)
    return [*(seconds if with_first else []), *(text for text in moving if not with_first or text not in seconds)]


def _plain(address: Address) -> str:
    return address.text.split()[2]


def _all_addresses(lines: list[Line]) -> list[Address]:
    found = []
    for line in lines:
        if line.text.startswith("interface "):
            vrf = next((child.text for child in line.children if child.text.startswith("vrf member ")), "default")
            vrf = "management" if line.text == "interface mgmt0" else vrf.removeprefix("vrf member ")
            for child in line.children:
                if match := ADDRESS.match(child.text):
                    network = ipaddress.ip_interface(match["address"]).network
                    found.append(Address(line.text, vrf, child.text, network))
    return found


def _names(wanted: list[Line], found: list[Line], has: list[Line], mistakes: list[str]) -> list[Step]:
    names = {name: line.text for line in wanted if (name := _name(line))}
    steps = []
    for line in found:
        name = _name(line)
        if name not in names or names[name] == line.text:
            continue
        if find(wanted, line.text) is None:
            mistakes.append(f"{line.text} of the switch is called {name}, as {names[name]} is to be")
            continue
        steps.append(Step(line.text, " ", [Step("no name", "-", shown=f"name {name}")]))
        for lines in (found, has):
            drop(below(lines, line.text), f"name {name}")
    return steps


def _name(line: Line) -> str | None:
    names = [child.text.removeprefix("name ") for child in line.children if child.text.startswith("name ")]
    return names[0] if names and re.match(r"vlan \d+$", line.text) else None
