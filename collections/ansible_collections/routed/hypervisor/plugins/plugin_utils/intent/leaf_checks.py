# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of leaves: that their platform can do what is asked of it, and has interfaces of these names."""

from __future__ import annotations

from collections import Counter

from .formats import is_nxos
from .mistakes import Mistakes
from .model import Intent, Leaf
from .uniqueness import Once

NAMES = "Vlan10, Ethernet1/44, port-channel7"


def check(intent: Intent, mistakes: Mistakes, addresses: Once) -> None:
    for leaf in intent.leaves.values():
        for family, given in leaf.loopback.items():
            addresses.give(given.address, (*leaf.path, "loopback", family))
        if leaf.platform == "bird":
            _bird(intent, leaf, mistakes)
        if leaf.platform == "nxos":
            _nxos(intent, leaf, mistakes)
        if leaf.platform != "bird":
            _loopback(intent, leaf, mistakes)


def _bird(intent: Intent, leaf: Leaf, mistakes: Mistakes) -> None:
    path = (*leaf.path, "platform")
    # Otherwise hosts of one AS learn of each other from each other, or from reflectors.
    hosts = Counter(node.asn for node in intent.hypervisors.values() if leaf.name in node.neighbors)
    twins = next((asn for asn, count in hosts.items() if count > 1 and asn != leaf.asn), None)
    if intent.ospf:
        mistakes.add(path, "bird is not given OSPF here", "frr or nxos, or no ospf")
    elif twins is not None:
        wrong = f"hosts share AS {twins}, and bird does not replace it in what it tells the others"
        mistakes.add(path, wrong, "frr or nxos, or an AS for each host")


def _nxos(intent: Intent, leaf: Leaf, mistakes: Mistakes) -> None:
    if intent.lab:
        wrong = "no lab node runs NX-OS"
        mistakes.add((*leaf.path, "platform"), wrong, "frr is configured from the same data; or remove lab")
    for fabric, uplink in leaf.uplinks.items():
        path = (*leaf.path, "fabrics", fabric)
        if not is_nxos(uplink.interface):
            mistakes.add((*path, "interface"), f"NX-OS has no interface called {uplink.interface}", NAMES)
        for position, port in enumerate(leaf.ports.get(fabric, ())):
            if not is_nxos(port) or port.startswith("Vlan"):
                mistakes.add((*path, "ports", position), f"NX-OS has no port called {port}", "Ethernet1/1")
        if leaf.ports.get(fabric) and not uplink.interface.startswith("Vlan"):
            mistakes.add((*path, "ports"), f"{uplink.interface} is a port itself", "a Vlan interface, or no ports")


def _loopback(intent: Intent, leaf: Leaf, mistakes: Mistakes) -> None:
    """Where there are several ways to other leaves, a session by one network would end with that network."""
    others = [other for other in intent.leaves.values() if other is not leaf and other.asn == leaf.asn]
    ways = {fabric for other in others for fabric in leaf.uplinks if fabric in other.uplinks}
    if len(ways) > 1 and not leaf.loopback and leaf.path not in mistakes.touched:
        wrong = f"missing, and there are several ways to other leaves ({', '.join(sorted(ways))})"
        mistakes.add((*leaf.path, "loopback"), wrong, "an address of its own, by which sessions outlive one way")
