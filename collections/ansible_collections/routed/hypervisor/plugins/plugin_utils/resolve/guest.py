# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's variables: from its view, it is an ordinary host on a subnet."""

from __future__ import annotations

from ..intent.addresses import family_of
from ..intent.model import LENGTH, MAIN_TABLE, Guest, Intent
from .links import DEFAULT, without_nones

INTERFACE = "eth0"


def guest(intent: Intent, node: Guest) -> dict:
    segment = intent.segments[node.segment]
    is_static = {"ipv4": not segment.has_dhcp, "ipv6": not node.is_slaac}
    addresses = [
        {"address": f"{address}/{segment.prefix[family].prefixlen}"}
        for family, address in node.address.items()
        if is_static[family]
    ]
    # A host chooses no shared address as its source: replies may go to another guest.
    addresses += [
        without_nones(
            {"address": f"{address}/{LENGTH[family_of(address)]}", "deprecated": segment.is_shared(address) or None}
        )
        for address in (given.address for given in node.additional)
    ]
    has_ipv6 = int("ipv6" in node.address)
    ipv6 = {"accept_ra": has_ipv6, "autoconf": int(has_ipv6 and node.is_slaac), "use_tempaddr": 0}
    routes = []
    if "ipv4" in node.address and is_static["ipv4"]:
        routes.append(
            {
                "prefix": DEFAULT["ipv4"],
                "table": MAIN_TABLE,
                "gateway": str(segment.gateway["ipv4"]),
                "interface": INTERFACE,
            }
        )
    return {
        "network": {
            "sysctls": [],
            "vrfs": [],
            "interfaces": [
                without_nones(
                    {"name": INTERFACE, "mtu": segment.mtu, "addresses": addresses, "sysctls": {"ipv6": ipv6}}
                )
            ],
            "proxy_arp": [],
            "routes": routes,
            "rules": [],
        },
        "guest": {
            "interface": INTERFACE,
            "hypervisor": node.hypervisor,
            "segment": segment.name,
            "mac": node.mac,
            "ipv4": str(node.address["ipv4"]) if "ipv4" in node.address else None,
            "ipv6": str(node.address["ipv6"]) if "ipv6" in node.address else None,
            "gateway4": str(segment.gateway["ipv4"]) if "ipv4" in node.address else None,
            "gateway6": str(segment.gateway["ipv6"]) if "ipv6" in node.address else None,
            "dhcp": "ipv4" in node.address and not is_static["ipv4"],
        },
    }
