# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of the containers on a hypervisor, and of the routes to containers elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from ..intent.adjacency import is_meshed, names, place, remote, with_leaves
from ..intent.containers import NAME
from ..intent.model import LENGTH, Container, ContainerNetwork, Hypervisor, Intent, Leaf, Part, Router
from ..intent.policy import allows
from ..resolve.containers import manages, master
from ..resolve.index import Index
from ..resolve.links import vlan_interface
from .ping import ping
from .routes import next_hops, route
from .sample import ROUTES, others
from .sessions import LABEL

OTHER_PORT = 7  # echo (RFC 862): stands for all ports that no rule names


@dataclass
class Home:
    """A container, and where it is."""

    container: Container
    part: Part
    network: ContainerNetwork
    hypervisor: Hypervisor


def homes(intent: Intent, node: Hypervisor) -> list[Home]:
    return [
        Home(container, part, intent.container_networks[part.network], node)
        for part in node.parts.values()
        for container in part.containers
    ]


def expectations(intent: Intent, found: Index, node: Hypervisor, resolved: dict) -> list[dict]:
    """Verified inside the node's containers, which are namespaces on it, and on the node itself."""
    own = homes(intent, node)
    near = others(found.hypervisors, found.position[node.name])
    elsewhere = [home for other in near for home in homes(intent, other)]
    wanted = []
    for position, home in enumerate(own):
        wanted.append(_configured(home))
        wanted += _from_host(home)
        for peer in others(own, position):
            wanted += _between(intent, home, peer)
        for peer in others([home, *elsewhere], 0):
            wanted += _between(intent, home, peer)
    for other in others(found.hypervisors, found.position[node.name], ROUTES, ROUTES):
        wanted += _routes(intent, found, node, other)
    for part in node.parts.values():
        if part.runtimes:
            wanted.append(_runtimes(intent, node, part))
        if {"cni", "podman"} & {*part.runtimes} and intent.container_networks[part.network].ipam != "dhcp":
            wanted.append(_probe(intent, part))
    if node.daemon == "gobgp":
        title = f"GoBGP's routes and the kernel's of {node.name} are in step"
        wanted.append({"kind": "in_step", "title": title, "routing_manager": resolved["routing_manager"]})
    return wanted


def _configured(home: Home) -> dict:
    addresses = [
        f"{address}/{home.part.prefix[family].prefixlen}" for family, address in home.container.address.items()
    ]
    network, name = home.network, home.container.name
    return {
        "kind": "container",
        "title": f"{name} has {', '.join(addresses)} on an ipvlan link ({network.mode}, {network.flag})",
        "namespace": name,
        "interface": NAME,
        "mode": network.mode,
        "flag": network.flag,
        "addresses": addresses,
        "gateways": {
            family: str(home.part.gateway[family]) if network.mode == "l2" and family in home.part.gateway else None
            for family in home.container.address
        },
    }


def _runtimes(intent: Intent, node: Hypervisor, part: Part) -> dict:
    network, place = intent.container_networks[part.network], master(intent, node, part)
    return {
        "kind": "runtimes",
        "title": f"{part.network} is declared for {', '.join(part.runtimes)}; links on {place} are {network.mode}",
        "network": part.network,
        "vrf": network.vrf,
        "master": place,
        "mode": network.mode,
        "cni": bool({"cni", "podman"} & {*part.runtimes}),
        "podman": "podman" in part.runtimes,
        "docker": "docker" in part.runtimes,
        "dhcp": network.ipam == "dhcp" and bool({"cni", "podman"} & {*part.runtimes}),
    }


def _probe(intent: Intent, part: Part) -> dict:
    """In labs always, and on real hosts only on request."""
    title = f"the CNI plugins add a container to {part.network} and remove it"
    made = {"kind": "probe", "title": title, "network": part.network}
    return made if intent.lab is not None else {**made, "on_request": True}


def _ping(family: str, source: str | None, target, to_name: str, title: str, reply: bool) -> dict:
    """A ping from inside the container SOURCE, or from the host itself."""
    return {**ping(family, target, to_name, title, "reply" if reply else "silence"), "namespace": source}


def _from_host(home: Home) -> list[dict]:
    """The host reaches its containers through its own link among theirs, and not without one."""
    name, reaches = home.container.name, home.part.has_host_link
    if not reaches and home.part.prefix_owner != "host" and manages(home.hypervisor, home.part):
        return []  # the host's packets may go to its router, which may send them back to the container
    verb = "reaches" if reaches else "does not reach"
    return [
        _ping(family, None, address, name, f"{home.hypervisor.name} itself {verb} its container {name}", reaches)
        for family, address in home.container.address.items()
    ]


def _between(intent: Intent, home: Home, peer: Home) -> list[dict]:
    if home.network.vrf != peer.network.vrf:
        reaches = False
    elif home.part is peer.part:
        reaches = home.network.flag == "bridge"
    else:
        reaches = True
    # Containers of one network on one host reach each other without netfilter.
    policy = peer.network.policy if reaches and home.part is not peer.part else ()
    wanted = []
    for family, address in peer.container.address.items():
        if family not in home.container.address or (reaches and not _has_way(home, peer, family)):
            continue
        source = home.container.address[family]
        passes = reaches and allows(intent, policy, source, "ping")
        verb = "reaches" if passes else "does not reach"
        title = f"{home.container.name} {verb} {peer.container.name}"
        made = _ping(family, home.container.name, address, peer.container.name, title, passes)
        wanted.append({**made, "needs_firewall": True} if reaches and not passes else made)
        wanted += _ports(intent, home, peer, family, passes) if policy else []
    return wanted


def _ports(intent: Intent, home: Home, peer: Home, family: str, is_pinged: bool) -> list[dict]:
    """One TCP port that the policy allows, and one that it denies: silence proves something only if pings pass."""
    policy, address = peer.network.policy, peer.container.address[family]
    ports = dict.fromkeys([*(ports.first for rule in policy for ports in rule.tcp if ports), OTHER_PORT])
    allowed = {port: allows(intent, policy, home.container.address[family], "tcp", port) for port in ports}
    wanted = []
    for passes in (True, False) if is_pinged else (True,):
        port = next((port for port, is_allowed in allowed.items() if is_allowed == passes), None)
        if port is not None:
            verb = "reaches" if passes else "does not reach"
            wanted.append(
                {
                    "kind": "tcp",
                    "title": f"{home.container.name} {verb} {peer.container.name} on TCP port {port} ({LABEL[family]})",
                    "to": str(address),
                    "to_name": peer.container.name,
                    "port": port,
                    "namespace": home.container.name,
                    "expect": "reply" if passes else "silence",
                }
            )
    return wanted


def _has_way(home: Home, peer: Home, family: str) -> bool:
    """Containers on a fabric's own network reach others through the network's gateway, if it has one."""
    if home.part.prefix_owner == peer.part.prefix_owner == "fabric" and home.part.fabric == peer.part.fabric:
        return True
    return all(one.part.prefix_owner != "fabric" or family in one.part.gateway for one in (home, peer))


def _routes(intent: Intent, found: Index, node: Router, other: Hypervisor) -> list[dict]:
    """The routes of NODE to what OTHER announces for its containers."""
    wanted = []
    for part in other.parts.values():
        network = intent.container_networks[part.network]
        for family, prefix in part.prefix.items():
            ways = _ways(intent, node, other, network.vrf, family)
            if not ways or part.announce == "none":
                continue
            table = intent.vrfs[network.vrf].table
            if part.announce == "subnet":
                to = {str(prefix): f"{part.network} on {other.name}"}
            else:
                to = {f"{one.address[family]}/{LENGTH[family]}": one.name for one in part.containers[:ROUTES]}
            is_by_ospfv3 = intent.ospf and family == "ipv6" and _is_far(intent, node, other)
            interfaces = _interfaces(intent, node, network.vrf, ways) if is_by_ospfv3 else []
            wanted += [route(family, table, place, ways, destination, interfaces) for place, destination in to.items()]
    return wanted


def _ways(intent: Intent, node: Router, other: Hypervisor, vrf: str, family: str) -> list[str]:
    """The next hops of NODE towards OTHER: OTHER itself, the router between them, or leaves."""
    speaks = isinstance(node, Hypervisor) and (is_meshed(intent) or names(node, other) or names(other, node))
    if speaks and (vrf, family) in remote(node, other):
        gateway = intent.fabrics[place(node, vrf, family)].networks[vrf].gateway[family]
        return [str(gateway)]
    if speaks or intent.uses_reflectors or _leaf_speaks(intent, node, other):
        return next_hops(node, other, vrf, family)
    leaves = intent.leaves.values()
    far = [leaf for leaf in leaves if _leaf_speaks(intent, leaf, other) and next_hops(leaf, other, vrf, family)]
    if isinstance(node, Leaf):
        near = [leaf for leaf in far if leaf is not node and leaf.asn == node.asn]
    else:
        # A leaf re-announces routes learned from OTHER, or from a leaf of its own AS.
        told = {leaf.asn for leaf in far} - {node.asn}
        near = [leaf for leaf in leaves if leaf.asn in told and _leaf_speaks(intent, leaf, node)]
    return [way for leaf in near for way in next_hops(node, leaf, vrf, family)]


def _is_far(intent: Intent, node: Router, other: Hypervisor) -> bool:
    """Whether NODE is a leaf that OTHER is not attached to."""
    return isinstance(node, Leaf) and not _leaf_speaks(intent, node, other)


def _interfaces(intent: Intent, node: Router, vrf: str, ways: list[str]) -> list[str]:
    """The interfaces of NODE to these next hops, because OSPFv3 identifies neighbors by link-local addresses."""
    return [
        vlan_interface(intent, uplink, vrf)
        for fabric, uplink in node.uplinks.items()
        if vrf in intent.fabrics[fabric].networks
        and any(way in intent.fabrics[fabric].networks[vrf].prefix.get("ipv6", ()) for way in ways)
    ]


def _leaf_speaks(intent: Intent, leaf: Router, host: Router) -> bool:
    if not isinstance(leaf, Leaf) or not isinstance(host, Hypervisor):
        return False
    is_near = bool(set(leaf.uplinks) & set(host.uplinks))
    return is_near and (with_leaves(intent) or names(host, leaf))


def leaf_expectations(intent: Intent, found: Index, node: Leaf) -> list[dict]:
    """On a leaf: routes to containers, and who answers ARP for those on its networks."""
    near = [other for other in found.hypervisors if _leaf_speaks(intent, node, other)][:ROUTES]
    wanted = [expected for other in found.hypervisors[:ROUTES] for expected in _routes(intent, found, node, other)]
    for other in near:
        for home in homes(intent, other)[:ROUTES]:
            wanted += _arp(intent, node, home)
    return wanted


def _arp(intent: Intent, node: Leaf, home: Home) -> list[dict]:
    """Broadcasts reach containers in l2; in l3 nobody answers, because the host routes."""
    fabric, address = home.part.fabric, home.container.address.get("ipv4")
    if fabric is None or fabric not in node.uplinks or address is None:
        return []
    is_answered = home.network.mode == "l2"
    who = f"{home.container.name} answers" if is_answered else f"nobody answers for {home.container.name}, in l3,"
    return [
        {
            "kind": "neighbor",
            "title": f"{who} ARP from {node.name}",
            "family": "ipv4",
            "to": str(address),
            "to_name": home.container.name,
            "interface": vlan_interface(intent, node.uplinks[fabric], home.network.vrf),
            "mac": None,
            "expect": "reply" if is_answered else "silence",
        }
    ]
