# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table of nftables on a hypervisor is made of: who its guests are, from where they send, and what is whose.

Guests of other hypervisors come in by an uplink, where only their addresses tell them from the fabric's routers.
"""

from __future__ import annotations

from ...module_utils._daemon.nftables import TABLE
from ..intent.model import FAMILIES, LENGTH, Hypervisor, Intent
from .index import Index
from .links import vlan_interface

# What routers speak with each other. BFD: one hop, echo, several hops (RFC 5881, RFC 5883).
ROUTING_PORTS = {"tcp": [179], "udp": [3784, 3785, 4784]}
# What is dropped, by the names of its counters.
DROPS = ["forged_source", "to_hypervisor", "to_routing", "icmp_redirect"]
DROPS_WITH_VRFS = [*DROPS, "between_vrfs"]
# Of each kind of drop: enough to notice, too little to fill a disk.
LOG = {"rate": "10/minute", "burst": 5}


def firewall(intent: Intent, found: Index, node: Hypervisor, network: dict) -> dict | None:
    """None where the intent wants none. NETWORK is the node's resolved network, whose interfaces are protected."""
    if not intent.firewall:
        return None
    ports = [guest.port for guest in node.guests]
    ports += [interface for part in node.parts.values() for interface in _entries(part)]
    return {
        "table": TABLE,
        # A lab may run on a kernel without nftables; a real host must not be open because of one.
        "required": intent.lab is None,
        "ports": ports,
        "sources": _sources(node),
        "tenants": _tenants(intent, found, node, network),
        "gateways": _gateways(intent, node),
        "vrfs": _vrfs(network),
        "routing_ports": ROUTING_PORTS,
        "drops": DROPS_WITH_VRFS if network["vrfs"] else DROPS,
        "log": LOG,
    }


def _entries(part) -> list[str]:
    """Where the host hears containers: on its link among theirs, and on the dummy that carries all of them."""
    return [part.network] * part.is_on_dummy + [part.host_link] * part.has_host_link


def _sources(node: Hypervisor) -> dict[str, list[dict]]:
    """From where each port may send. Containers come and go, so theirs is all of the prefix."""
    made: dict[str, list[dict]] = {family: [] for family in FAMILIES}
    for guest in node.guests:
        for family, address in guest.address.items():
            made[family].append({"interface": guest.port, "prefix": f"{address}/{LENGTH[family]}"})
    for part in node.parts.values():
        for interface in _entries(part):
            for family, prefix in part.prefix.items():
                made[family].append({"interface": interface, "prefix": str(prefix)})
    return made


def _tenants(intent: Intent, found: Index, node: Hypervisor, network: dict) -> dict[str, list[dict]]:
    """Prefixes of guests and containers anywhere, by where the host hears them: addresses mean nothing without a VRF.

    In a VRF that is the VRF's interface, outside of them each uplink.
    """
    made: dict[str, list[dict]] = {family: [] for family in FAMILIES}
    for (vrf, family), prefixes in found.tenants.items():
        device = intent.vrfs[vrf].device
        heard = [interface["name"] for interface in network["vrfs"] if interface["name"] == device]
        if device is None:
            heard = [vlan_interface(intent, uplink, vrf) for uplink in node.uplinks.values() if vrf in uplink.given]
        made[family] += [{"interface": name, "prefix": str(prefix)} for name in heard for prefix in prefixes]
    return made


def _gateways(intent: Intent, node: Hypervisor) -> dict[str, list[str]]:
    """The addresses that the host has as its guests' gateway: the only ones of its own that answer them."""
    made: dict[str, dict[str, None]] = {family: {} for family in FAMILIES}
    for guest in node.guests:
        for family in guest.address:
            made[family][str(intent.segments[guest.segment].gateway[family])] = None
    for part in node.parts.values():
        for family, address in part.host.items() if part.has_host_link else ():
            made[family][str(address)] = None
    return {family: list(addresses) for family, addresses in made.items()}


def _vrfs(network: dict) -> list[dict]:
    """The interfaces in each VRF: what comes in by one of them must not leave by any other."""
    links = [*network["interfaces"], *(link for link in network["ipvlan_links"] if "namespace" not in link)]
    return [
        {"name": vrf["name"], "interfaces": [link["name"] for link in links if link.get("vrf") == vrf["name"]]}
        for vrf in network["vrfs"]
    ]
