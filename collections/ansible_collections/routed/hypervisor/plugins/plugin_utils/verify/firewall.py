# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of the firewall of a hypervisor."""

from __future__ import annotations

from ..intent.model import FAMILIES, LENGTH


def expectations(name: str, nftables: dict | None) -> list[dict]:
    if nftables is None:
        return []
    sets = {"guest_ports": nftables["ports"]}
    for family in FAMILIES:
        for kind in ("sources", "tenants", *(("l3s",) if "l3s" in nftables else ())):
            sets[f"{kind}_{family}"] = [
                f"{item['interface']} {_listed(item['prefix'], family)}" for item in nftables[kind][family]
            ]
        sets[f"gateways_{family}"] = nftables["gateways"][family]
    hooks = ["prerouting", "input", "output"]
    if nftables["vrfs"]:
        sets["vrf_ports"] = [interface for vrf in nftables["vrfs"] for interface in vrf["interfaces"]]
        sets["vrfs"] = [vrf["name"] for vrf in nftables["vrfs"]]
        for family in FAMILIES:
            neighbors, clients = nftables["neighbors"][family], nftables["clients"][family]
            sets[f"neighbors_{family}"] = [f"{item['interface']} {item['address']}" for item in neighbors]
            sets[f"clients_{family}"] = [f"{item['interface']} {_listed(item['prefix'], family)}" for item in clients]
    if nftables["vrfs"] or nftables["policies"]:
        hooks.append("forward")
    return [
        {
            "kind": "firewall",
            "title": f"the firewall of {name} is complete",
            "table": nftables["table"],
            "required": nftables["required"],
            "hooks": hooks,
            "sets": sets,
            "counters": nftables["drops"],
        }
    ]


def _listed(prefix: str, family: str) -> str:
    """As nft prints it: a host address without prefix length."""
    return prefix.removesuffix(f"/{LENGTH[family]}")
