# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks leaves that run NX-OS: names and numbers that it lacks or reserves."""

from __future__ import annotations

import re

from .draft import Intent, Leaf
from .formats import is_nxos
from .mistakes import Mistakes, Path

NAMES = "Vlan10, Ethernet1/44"
LONGEST_MTU = 9216
LONGEST_HOSTNAME = 63
BFD = {"interval_ms": (50, 999), "multiplier": (2, 50)}
# Numbers and names that are in use on every switch.
RESERVED_VLANS = range(3968, 4095)
RESERVED_VRF = "management"  # in which mgmt0 is
RESERVED_VLAN_NAME = re.compile(r"default|VLAN\d{4}")


def check(intent: Intent, leaf: Leaf, mistakes: Mistakes) -> None:
    if intent.lab:
        wrong = "no lab node runs NX-OS"
        mistakes.add((*leaf.path, "platform"), wrong, "frr, which is configured from the same data; or remove lab")
    if len(leaf.name) > LONGEST_HOSTNAME:
        wrong = f"the host name of a switch with NX-OS has up to {LONGEST_HOSTNAME} characters, not {len(leaf.name)}"
        mistakes.add(leaf.path, wrong, "a shorter name")
    bfd = intent.bfd or {}
    for key, (least, most) in BFD.items():
        if key in bfd and not least <= bfd[key] <= most:
            wrong = f"{bfd[key]} is out of range on {leaf.name}, which runs NX-OS"
            mistakes.add(("bgp", "bfd", key), wrong, f"{least} to {most}")
    for fabric, uplink in leaf.uplinks.items():
        path = (*leaf.path, "fabrics", fabric)
        _interface((*path, "interface"), uplink.interface, mistakes)
        _vlan_name(leaf, fabric, uplink.interface, mistakes)
        for position, port in enumerate(leaf.ports.get(fabric, ())):
            _port((*path, "ports", position), port, mistakes)
        if leaf.ports.get(fabric) and not uplink.interface.startswith("Vlan"):
            mistakes.add((*path, "ports"), f"{uplink.interface} is a port itself", "a Vlan interface, or no ports")
        for vrf in uplink.given:
            if vrf == RESERVED_VRF:
                wrong = f"{leaf.name}, which runs NX-OS, has its management interface in a VRF of this name"
                mistakes.add(("vrfs", vrf), wrong, "another name")
            if vrf in intent.vrfs and intent.vrfs[vrf].vlan is not None:
                wrong = f"{leaf.name} runs NX-OS, and VLANs on interfaces ({uplink.interface}) are not supported there"
                mistakes.add(("vrfs", vrf, "vlan"), wrong, "no VLAN here, and a separate interface on switches")
        if fabric in intent.fabrics and (intent.fabrics[fabric].mtu or 0) > LONGEST_MTU:
            wrong = f"{intent.fabrics[fabric].mtu} is out of range on {leaf.name}, which runs NX-OS"
            mistakes.add(("fabrics", fabric, "mtu"), wrong, f"up to {LONGEST_MTU}")


def _interface(path: Path, name: str, mistakes: Mistakes) -> None:
    if _is_channel(name):
        mistakes.add(path, *_channel(name))
    elif not is_nxos(name):
        mistakes.add(path, f"NX-OS has no interface called {name}", NAMES)
    elif name.startswith("Vlan") and int(name.removeprefix("Vlan")) in RESERVED_VLANS:
        wrong = f"NX-OS reserves VLANs {RESERVED_VLANS[0]} to {RESERVED_VLANS[-1]}"
        mistakes.add(path, wrong, f"Vlan1 to Vlan{RESERVED_VLANS[0] - 1}")


def _port(path: Path, name: str, mistakes: Mistakes) -> None:
    if _is_channel(name):
        mistakes.add(path, *_channel(name))
    elif not is_nxos(name) or name.startswith("Vlan"):
        mistakes.add(path, f"NX-OS has no port called {name}", "Ethernet1/1")


def _is_channel(name: str) -> bool:
    return name.lower().startswith("port-channel")


def _channel(name: str) -> tuple[str, str]:
    return f"{name} is a bundle, whose members and LACP are not configured here", "one of its ports: Ethernet1/44"


def _vlan_name(leaf: Leaf, fabric: str, interface: str, mistakes: Mistakes) -> None:
    """A VLAN is named after its fabric."""
    if interface.startswith("Vlan") and interface != "Vlan1" and RESERVED_VLAN_NAME.fullmatch(fabric):
        wrong = f"{interface} of {leaf.name}, which runs NX-OS, would be called {fabric}, as another VLAN is by default"
        mistakes.add(("fabrics", fabric), wrong, "another name")
