# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads of a hypervisor, and who may: for the role metrics and for the firewall."""

from __future__ import annotations

from ..intent.addresses import family_of
from ..intent.model import FAMILIES, Hypervisor, Intent, present

NODE, BIRD = "prometheus-node-exporter", "prometheus-bird-exporter"
PACKAGES = (NODE, BIRD)
PORTS = {NODE: 9100, BIRD: 9324}  # the exporters' own defaults


def exporters(node: Hypervisor) -> list[str]:
    """GoBGP has no exporter in Debian 12: what the agent knows of it is in its textfile."""
    return [NODE, BIRD] if node.daemon == "bird" else [NODE]


def metrics(node: Hypervisor) -> dict:
    return {"exporters": exporters(node), "bird_port": PORTS[BIRD]}


def scraped(intent: Intent) -> dict:
    """Who may connect to which ports, for the firewall."""
    given = present(intent.metrics)
    servers: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for one in given.servers:
        servers[family_of(one.address)].append(str(one.address))
    vrf = intent.vrfs[given.vrf].device if given.vrf is not None else None
    return {"vrf": vrf, "ports": list(PORTS.values()), "servers": servers}
