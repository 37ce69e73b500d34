# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data for the nftables table of a hypervisor: which source addresses guests may use, who owns which prefix, and who
may reach the host itself in its VRFs.

Packets from guests of other hypervisors arrive on an uplink; only their addresses distinguish them from the fabric's
routers.
"""

from __future__ import annotations

from ...module_utils._daemon.nftables import TABLE
from ...module_utils._netlink.marks import CLOSED_PORT
from ..intent.addresses import family_of
from ..intent.model import FAMILIES, LENGTH, Hypervisor, Intent, Rule
from ..intent.policy import senders
from ..libraries import netaddr
from .containers import master
from .followed import families_of, segments_on
from .index import Index
from .links import vlan_interface
from .metrics import scraped

# Protocols between routers. BFD: single-hop, echo, multihop (RFC 5881, RFC 5883).
ROUTING_PORTS = {"tcp": [179], "udp": [3784, 3785, 4784]}
# Kinds of dropped packets, by counter name.
DROPS = ["forged_source", "to_hypervisor", "to_routing", "icmp_redirect", "closed_port"]
DROPS_WITH_VRFS = [*DROPS, "between_vrfs"]
PING = {"ipv4": "icmp", "ipv6": "icmpv6"}  # as nft calls the protocols of echo requests
# Log rate per kind of drop: enough to notice, too little to fill a disk.
LOG = {"rate": "10/minute", "burst": 5}


def firewall(intent: Intent, found: Index, node: Hypervisor, network: dict, sessions: list[dict]) -> dict | None:
    """None if the intent disables it. NETWORK is the node's resolved network, whose interfaces are protected, and
    SESSIONS are its BGP sessions."""
    if not intent.firewall:
        return None
    ports = [guest.port for guest in node.guests]
    ports += [interface for part in node.parts.values() for interface in _entries(part)]
    policies = _policies(intent, node)
    drops = DROPS_WITH_VRFS if network["vrfs"] else DROPS
    made = {
        "table": TABLE,
        # A lab may run on a kernel without nftables; a real host must not be left open because of that.
        "required": intent.lab is None,
        "ports": ports,
        "closed_group": CLOSED_PORT,
        "sources": _sources(node),
        "tenants": _tenants(intent, found, node, network),
        "gateways": _gateways(intent, node),
        "neighbors": _neighbors(sessions),
        "clients": _clients(intent, network),
        "vrfs": _vrfs(network),
        "policies": policies,
        "routing_ports": ROUTING_PORTS,
        "drops": [*drops, *(policy["name"] for policy in policies)],
        "log": LOG,
    }
    if (l3s := _l3s(intent, node)) is not None:
        made["l3s"] = l3s
    if intent.metrics:
        made["metrics"] = scraped(intent)
    return {**made, "follows_guests": True} if segments_on(intent, node) else made


def _entries(part) -> list[str]:
    """Interfaces on which packets from containers arrive: the host's link among theirs, and the dummy below them."""
    return [part.network] * part.is_on_dummy + [part.host_link] * part.has_host_link


def _sources(node: Hypervisor) -> dict[str, list[dict]]:
    """Allowed source addresses per port. For containers the whole prefix, because they come and go."""
    made: dict[str, list[dict]] = {family: [] for family in FAMILIES}
    for guest in node.guests:
        for address in guest.addresses:
            family = family_of(address)
            made[family].append({"interface": guest.port, "prefix": f"{address}/{LENGTH[family]}"})
    for part in node.parts.values():
        for interface in _entries(part):
            for family, prefix in part.prefix.items():
                made[family].append({"interface": interface, "prefix": str(prefix)})
    return made


def _tenants(intent: Intent, found: Index, node: Hypervisor, network: dict) -> dict[str, list[dict]]:
    """Prefixes of all guests and containers, by ingress interface, because addresses are only unique within a VRF.

    The ingress interface is the VRF's device, or each uplink outside of VRFs.
    """
    made: dict[str, list[dict]] = {family: [] for family in FAMILIES}
    for (vrf, family), prefixes in found.tenants.items():
        device = intent.vrfs[vrf].device
        ingress = [interface["name"] for interface in network["vrfs"] if interface["name"] == device]
        if device is None:
            ingress = [vlan_interface(intent, uplink, vrf) for uplink in node.uplinks.values() if vrf in uplink.given]
        made[family] += [{"interface": name, "prefix": str(prefix)} for name in ingress for prefix in prefixes]
    return made


def _l3s(intent: Intent, node: Hypervisor) -> dict[str, list[dict]] | None:
    """Prefixes of containers in l3s, by master; None if no containers are in l3 or l3s. Those in VRFs do not count: l3s
    is refused there, and packets from containers in l3 arrive on the VRF's device like all others."""
    made: dict[str, list[dict]] = {family: [] for family in FAMILIES}
    parts = [(part, intent.container_networks[part.network]) for part in node.parts.values()]
    routed = [(part, net.mode) for part, net in parts if net.mode != "l2" and intent.vrfs[net.vrf].device is None]
    for part, mode in routed:
        for family, prefix in part.prefix.items() if mode == "l3s" else ():
            made[family].append({"interface": master(intent, node, part), "prefix": str(prefix)})
    return made if routed else None


def _gateways(intent: Intent, node: Hypervisor) -> dict[str, list[str]]:
    """The host's gateway addresses for guests: its only addresses that answer them."""
    made: dict[str, dict[str, None]] = {family: {} for family in FAMILIES}
    for guest in node.guests:
        for family in guest.address:
            made[family][str(intent.segments[guest.segment].gateway[family])] = None
    for segment in segments_on(intent, node):
        for family in families_of(intent, segment):
            made[family][str(segment.gateway[family])] = None
    for part in node.parts.values():
        for family, address in part.host.items() if part.has_host_link else ():
            made[family][str(address)] = None
    return {family: list(addresses) for family, addresses in made.items()}


def _neighbors(sessions: list[dict]) -> dict[str, list[dict]]:
    """The routers that the host has a BGP session with in each VRF, and therefore BFD."""
    made: dict[str, dict[tuple[str, str], None]] = {family: {} for family in FAMILIES}
    for session in sessions:
        if session["vrf"] is not None:
            made[session["families"][0]][session["vrf"], session["neighbor"]] = None
    return {family: [{"interface": vrf, "address": address} for vrf, address in made[family]] for family in FAMILIES}


def _clients(intent: Intent, network: dict) -> dict[str, list[dict]]:
    """What the host reaches through a VRF may also reach the host there."""
    made: dict[str, list[dict]] = {family: [] for family in FAMILIES}
    devices = {vrf["name"] for vrf in network["vrfs"]}
    for vrf in intent.vrfs.values():
        prefixes = [prefix for prefix in vrf.host if prefix is not None and vrf.device in devices]
        for prefix in netaddr.cidr_merge(prefixes):  # a set of intervals has no overlaps
            made[family_of(prefix)].append({"interface": vrf.device, "prefix": str(prefix)})
    return made


def _policies(intent: Intent, node: Hypervisor) -> list[dict]:
    """What may be forwarded to the host's containers, by the interface that packets to them leave by."""
    return [
        {
            "name": f"policy_{part.network}",
            "interface": part.host_link,
            "rules": [
                match for rule in intent.container_networks[part.network].policy for match in _matches(intent, rule)
            ],
        }
        for part in node.parts.values()
        if intent.container_networks[part.network].policy
    ]


def _matches(intent: Intent, rule: Rule) -> list[dict]:
    """A rule as matches of one family and one protocol each; no family stands for both, no protocol for all."""
    who = senders(intent, rule)
    families: list[str | None] = [None] if who is None else [*who]
    made: list[dict] = []
    for family in families:
        prefixes = [str(prefix) for prefix in who[family]] if who is not None and family is not None else []
        match = {"family": family, "prefixes": prefixes, "action": rule.action}
        if rule.is_for_all:
            made.append({**match, "protocol": None, "ports": []})
        for protocol in ("tcp", "udp"):
            if ports := [str(one) for one in getattr(rule, protocol)]:
                made.append({**match, "protocol": protocol, "ports": ports})
        if rule.ping:
            icmp = [PING[family]] if family is not None else PING.values()
            made += [{**match, "protocol": one, "ports": []} for one in icmp]
    return made


def _vrfs(network: dict) -> list[dict]:
    """The interfaces of each VRF: packets that arrive on one must not leave through an interface outside the VRF."""
    links = [*network["interfaces"], *(link for link in network["ipvlan_links"] if "namespace" not in link)]
    return [
        {"name": vrf["name"], "interfaces": [link["name"] for link in links if link.get("vrf") == vrf["name"]]}
        for vrf in network["vrfs"]
    ]
