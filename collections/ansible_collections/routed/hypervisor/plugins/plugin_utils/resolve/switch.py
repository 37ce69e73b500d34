# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fabric in the lab: a node with one bridge, whose ports are named after the nodes at the other ends."""

from __future__ import annotations

from ..intent.model import Fabric, Intent
from .index import Index
from .links import sysctls, without_nones

BRIDGE = "bridge"


def attached(found: Index, fabric: str) -> list:
    return [*found.reflectors.get(fabric, ()), *found.leaves.get(fabric, ()), *found.clients.get(fabric, ())]


def switch(intent: Intent, found: Index, fabric: Fabric) -> dict:
    ports = [
        without_nones({"name": node.name, "bridge": BRIDGE, "mtu": fabric.mtu}) for node in attached(found, fabric.name)
    ]
    return {
        "network": {
            # A switch has no addresses of its own, not even link-local ones.
            "sysctls": sysctls({"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}),
            "vrfs": [],
            "interfaces": [without_nones({"name": BRIDGE, "type": "bridge", "mtu": fabric.mtu}), *ports],
            "proxy_arp": [],
            "routes": [],
            "rules": [],
        }
    }
