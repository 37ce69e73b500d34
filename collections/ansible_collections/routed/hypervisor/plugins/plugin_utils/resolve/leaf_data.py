# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host variable `leaf`: interfaces, VLANs and ports of leaves with FRR and NX-OS. roles/frr documents its keys."""

from __future__ import annotations

from ..intent.addresses import family_of
from ..intent.model import FAMILIES, LENGTH, LOOPBACK, MAIN, Intent, Leaf
from .index import Index
from .links import vlan_interface, vrfs_of

DESCRIPTION_LENGTH = 200  # NX-OS has 254 characters, of which our mark takes some


def leaf_data(intent: Intent, found: Index, node: Leaf) -> dict:
    return {
        "hostname": node.name,
        "vrfs": [{"name": vrf} for vrf in vrfs_of(intent, node) if vrf != MAIN],
        "vlans": _vlans(intent, node),
        "interfaces": _interfaces(intent, found, node),
        "ports": [
            {
                "name": port,
                "vlan": _vlan(node.uplinks[fabric].interface),
                "description": f"hosts on {fabric}",
                "mtu": intent.fabrics[fabric].mtu,
            }
            for fabric, ports in node.ports.items()
            for port in ports
        ],
        "static": [
            {
                "prefix": str(route.prefix),
                "family": family_of(route.prefix),
                "next_hop": str(route.next_hop),
                "vrf": intent.vrfs[route.vrf].device,
            }
            for route in node.static
        ],
        "acls": [],
    }


def _vlan(interface: str) -> int | None:
    """The VLAN of a switched virtual interface."""
    return int(interface.removeprefix("Vlan")) if interface.startswith("Vlan") else None


def _vlans(intent: Intent, node: Leaf) -> list[dict]:
    """VLAN 1 has no name here: every switch has it, and rejects another name for it."""
    names = {number: fabric for fabric, uplink in node.uplinks.items() if (number := _vlan(uplink.interface))}
    return [{"id": number, "name": None if number == 1 else names[number]} for number in sorted(names)]


def _interfaces(intent: Intent, found: Index, node: Leaf) -> list[dict]:
    made = []
    if node.loopback:
        addresses = [f"{given.address}/{LENGTH[family]}" for family, given in node.loopback.items()]
        made.append(_interface(LOOPBACK, "loopback", "router id", addresses))
    for fabric, uplink in node.uplinks.items():
        others = [leaf for leaf in found.leaves.get(fabric, ()) if leaf is not node]
        about = ", ".join(leaf.name for leaf in others) if others else f"hosts on {fabric}"
        for vrf, given in uplink.given.items():
            prefix = intent.fabrics[fabric].networks[vrf].prefix
            addresses = [
                f"{given[family].address}/{prefix[family].prefixlen}" for family in FAMILIES if family in given
            ]
            kind = "svi" if uplink.interface.startswith("Vlan") else "routed"
            name = vlan_interface(intent, uplink, vrf)
            made.append(
                {
                    **_interface(name, kind, about, addresses),
                    "vlan": _vlan(uplink.interface),
                    "vrf": intent.vrfs[vrf].device,
                    "mtu": intent.fabrics[fabric].mtu,
                }
            )
    return made


def _interface(name: str, kind: str, about: str, addresses: list[str]) -> dict:
    about = about if len(about) <= DESCRIPTION_LENGTH else f"{about[: DESCRIPTION_LENGTH - 3]}..."
    place = {"name": name, "kind": kind, "vlan": None, "vrf": None, "description": about, "mtu": None}
    return {**place, "addresses": addresses}
