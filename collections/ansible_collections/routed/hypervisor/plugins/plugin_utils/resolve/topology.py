# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A router's place in the fabric, for the report: its networks, guests and containers, with their addresses."""

from __future__ import annotations

from ..intent.model import MAIN, Border, Hypervisor, Intent, Leaf, Reflector, Router

KINDS = {Hypervisor: "hypervisor", Reflector: "reflector", Border: "border", Leaf: "leaf"}


def topology(intent: Intent, node: Router) -> dict:
    made = {
        "kind": KINDS[type(node)],
        "fabrics": {
            fabric: {"interface": uplink.interface, "addresses": _on_fabric(intent, fabric, uplink.given)}
            for fabric, uplink in node.uplinks.items()
        },
    }
    if isinstance(node, Leaf) and node.loopback:
        made["loopbacks"] = _addresses({MAIN: node.loopback})
    if isinstance(node, Border):
        made["world"] = [str(address) for address in node.world]
        made["vrf"] = node.vrf
    if isinstance(node, Hypervisor):
        made["loopbacks"] = _addresses(node.loopbacks)
        made["guests"] = {
            guest.name: {
                "vrf": intent.segments[guest.segment].vrf,
                "interface": guest.port,
                "addresses": {family: str(address) for family, address in guest.address.items()},
                **({"additional": [str(given.address) for given in guest.additional]} if guest.additional else {}),
            }
            for guest in node.guests
        }
        made["containers"] = {
            container.name: {
                "vrf": intent.container_networks[part.network].vrf,
                "interface": part.network,
                "addresses": {family: str(address) for family, address in container.address.items()},
            }
            for part in node.parts.values()
            for container in part.containers
        }
    return made


def _on_fabric(intent: Intent, fabric: str, given: dict) -> dict[str, dict[str, str]]:
    """Addresses by VRF and family, with the prefix length of the fabric's network."""
    networks = intent.fabrics[fabric].networks
    return {
        vrf: {family: f"{one.address}/{networks[vrf].prefix[family].prefixlen}" for family, one in families.items()}
        for vrf, families in given.items()
    }


def _addresses(given: dict) -> dict[str, dict[str, str]]:
    return {vrf: {family: str(one.address) for family, one in families.items()} for vrf, families in given.items()}
