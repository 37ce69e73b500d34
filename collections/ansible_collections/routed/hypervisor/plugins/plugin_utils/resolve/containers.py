# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers on a hypervisor: their namespaces, their ipvlan links, and the routes to them.

A container has the same link name and a default route in every kind of network; its gateway differs:

- on a dummy, or on an uplink in l2 with the host's own prefix: the host, through a link of its own among theirs;
- in l2 on a fabric's own network: a router on that network;
- in l3 and l3s: none. Its packets are looked up in the host's tables as if they left through the master.
"""

from __future__ import annotations

from ..intent.containers import NAME
from ..intent.model import FAMILIES, LENGTH, MAIN_TABLE, ContainerNetwork, Hypervisor, Intent, Part
from .links import DEFAULT, vlan_interface, without_nones

# These links have no IPv4 address: there, a loose rp_filter drops what arrives from containers on another one of them.
FORWARDS = {"forwarding": 1, "rp_filter": 0, "send_redirects": 0, "accept_redirects": 0}
QUIET_IPV6 = {"accept_ra": 0, "accept_redirects": 0}


def master(intent: Intent, node: Hypervisor, part: Part) -> str:
    if part.fabric is not None:
        return vlan_interface(intent, node.uplinks[part.fabric], intent.container_networks[part.network].vrf)
    return part.interface or part.network


def routed_vrfs(intent: Intent, node: Hypervisor) -> set[str]:
    """The VRFs in which the host forwards packets of containers, through its link among theirs, unless that link is in
    l2 on a fabric's own network."""
    return {
        intent.container_networks[part.network].vrf
        for part in node.parts.values()
        if part.has_host_link and part.prefix_owner != "fabric"
    }


def manages(node: Hypervisor, part: Part) -> bool:
    """Whether the routing manager maintains the routes to these containers as they are created and removed."""
    return node.daemon == "gobgp" and part.announce == "address"


def dummies(intent: Intent, node: Hypervisor) -> list[dict]:
    """The dummies that serve as masters. Packets from containers enter the host here."""
    return [
        without_nones(
            {
                "name": part.network,
                "type": "dummy",
                "mtu": intent.container_networks[part.network].mtu,
                "vrf": intent.vrfs[intent.container_networks[part.network].vrf].device,
                "addresses": [],
                "sysctls": {"ipv4": FORWARDS, "ipv6": QUIET_IPV6},
            }
        )
        for part in node.parts.values()
        if part.is_on_dummy
    ]


def namespaces(node: Hypervisor) -> list[dict]:
    return [{"name": container.name} for part in node.parts.values() for container in part.containers]


def links(intent: Intent, node: Hypervisor) -> list[dict]:
    made = []
    for part in node.parts.values():
        network = intent.container_networks[part.network]
        link = {"master": master(intent, node, part), "mode": network.mode, "flag": network.flag, "mtu": network.mtu}
        if part.runtimes:
            # Somebody else's container may have switched the mode of all links, also of those that a runtime made.
            link["force"] = True
        if part.has_host_link:
            device = intent.vrfs[network.vrf].device
            sysctls = {"ipv4": FORWARDS, "ipv6": QUIET_IPV6}
            own = {"name": part.host_link, "vrf": device, "addresses": _host_addresses(part), "sysctls": sysctls}
            made.append(without_nones({**link, **own}))
        for container in part.containers:
            own = {
                "name": NAME,
                "namespace": container.name,
                "addresses": _addresses(container.address, part.prefix),
                "routes": _container_routes(part, network, container),
                "sysctls": {"ipv6": QUIET_IPV6},
            }
            made.append(without_nones({**link, **own}))
    return made


def _addresses(addresses: dict, prefix: dict | None) -> list[dict]:
    """Each with its PREFIX's length, or as a host address. No duplicate address detection: the intent was checked."""
    found = []
    for family in FAMILIES:
        if family in addresses:
            length = prefix[family].prefixlen if prefix else LENGTH[family]
            address = {"address": f"{addresses[family]}/{length}"}
            found.append({**address, "nodad": True} if family == "ipv6" else address)
    return found


def _host_addresses(part: Part) -> list[dict]:
    """Host addresses, so that only the routes to containers lead there; link-local gateways are on-link."""
    if part.host.get("ipv6") is not None and part.host["ipv6"].is_link_local():
        rest = {family: address for family, address in part.host.items() if family != "ipv6"}
        return [*_addresses(rest, None), {"address": f"{part.host['ipv6']}/64", "nodad": True}]
    return _addresses(part.host, None)


def _container_routes(part: Part, network: ContainerNetwork, container) -> list[dict]:
    ways = []
    for family in FAMILIES:
        if family in container.address and network.mode != "l2":
            ways.append({"prefix": DEFAULT[family]})
        elif family in container.address and family in part.gateway:
            ways.append({"prefix": DEFAULT[family], "gateway": str(part.gateway[family])})
    return ways


def proxies(node: Hypervisor) -> list[str]:
    """Interfaces where the host answers ARP for containers elsewhere: those with prefixes that span all hosts."""
    return [
        part.host_link
        for part in node.parts.values()
        if part.prefix_owner == "network" and part.has_host_link and "ipv4" in part.prefix
    ]


def routes(intent: Intent, node: Hypervisor) -> list[dict]:
    """Routes to each container through the host's link, and the host's prefixes that BGP announces."""
    made = []
    for part in node.parts.values():
        table = intent.vrfs[intent.container_networks[part.network].vrf].table
        if part.announce == "subnet" or (part.prefix_owner == "host" and manages(node, part)):
            # BGP announces this route. It also drops packets to nonexistent containers, which would otherwise loop
            # between the next router and this host. Containers have more specific routes or links of their own.
            made += [{"prefix": str(prefix), "table": table, "type": "unreachable"} for prefix in part.prefix.values()]
        tables = [] if manages(node, part) else [table]
        if part.has_host_link and table != MAIN_TABLE:
            tables.append(MAIN_TABLE)  # for the host itself
        way = {"interface": part.host_link} if part.has_host_link else {"type": "unreachable"}
        for container in part.containers if part.has_host_link or part.announce == "address" else ():
            for family, address in container.address.items():
                made += [{"prefix": f"{address}/{LENGTH[family]}", "table": where, **way} for where in tables]
        # Runtimes' containers come and go between runs: a route to all addresses that they may have.
        for pool in part.pools.values() if part.has_host_link or part.announce == "address" else ():
            for prefix in pool.prefix.values():
                made += [{"prefix": str(prefix), "table": where, **way} for where in tables]
    return made


def accepted(intent: Intent, node: Hypervisor, vrf: str, family: str) -> list[dict]:
    """Which of our kernel routes are announced: the prefixes, or the addresses in them."""
    return [
        {"prefix": str(part.prefix[family]), "longest": _longest(part, family)}
        for part in node.parts.values()
        if intent.container_networks[part.network].vrf == vrf
        and family in part.prefix
        and part.announce != "none"
        and not manages(node, part)
    ]


def _longest(part: Part, family: str) -> int:
    return LENGTH[family] if part.announce == "address" else part.prefix[family].prefixlen
