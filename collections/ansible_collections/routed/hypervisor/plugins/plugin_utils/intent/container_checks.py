# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks container networks: that the kernel supports them, and that every container has an address of its own."""

from __future__ import annotations

import typing as t

from ...module_utils._addresses.ipv6 import IPV6_MTU
from .addresses import hosts_of, is_host
from .containers import has_several_paths, is_gateway
from .draft import MAIN, ContainerNetwork, Hypervisor, Intent, Part
from .mistakes import Mistakes, Path, render
from .placement import is_link_local, too_large
from .runtimes import usable
from .uniqueness import Once

if t.TYPE_CHECKING:
    from netaddr import IPAddress

    Masters = dict[tuple[str | None, ...], ContainerNetwork]  # the first network on each


def check(intent: Intent, mistakes: Mistakes, addresses: Once) -> None:
    for network in intent.container_networks.values():
        _network(network, mistakes)
    for node in intent.hypervisors.values():
        masters: Masters = {}
        for part in node.parts.values():
            common = intent.container_networks.get(part.network)
            if common is None or common.vrf not in intent.vrfs:
                continue
            _part(intent, node, part, common, mistakes)
            _one_mode(part, common, masters, mistakes)
            _addresses(node, part, common, mistakes, addresses)


def _network(network: ContainerNetwork, mistakes: Mistakes) -> None:
    path = ("container_networks", network.name)
    if network.fabric is not None and network.interface is not None:
        mistakes.add((*path, "interface"), "fabric and interface exclude each other", "a link has one master")
    if network.mode == "l3s" and network.vrf not in (None, MAIN):
        right = "l2 without fabric and interface works in a VRF, and so does l3 on a single uplink"
        mistakes.add((*path, "mode"), f"l3s loses all traffic when its master is in a VRF ({network.vrf})", right)
    if network.prefix and network.announce == "subnet":
        wrong = "every host would announce the same prefix"
        mistakes.add((*path, "announce"), wrong, "address, or a prefix for each host instead of one for all")
    for family, gateway in network.gateway.items():
        prefix = network.prefix.get(family)
        if prefix is not None and not is_host(gateway, prefix) and not is_link_local(gateway):
            wrong = f"{gateway} cannot be a host in {prefix}"
            mistakes.add((*path, f"gateway{family[-1]}"), wrong, hosts_of(prefix))


def _part(intent: Intent, node: Hypervisor, part: Part, network: ContainerNetwork, mistakes: Mistakes) -> None:
    path, common = part.path, ("container_networks", part.network)
    if part.fabric is not None and part.fabric in intent.fabrics:
        if part.fabric not in node.uplinks:
            wrong = f"{node.name} is not on fabric {part.fabric}"
            mistakes.add((*path, "fabric"), wrong, f"a fabric of this host: {', '.join(node.uplinks)}")
        elif network.vrf not in intent.fabrics[part.fabric].networks:
            wrong = f"{network.vrf} has no network on fabric {part.fabric}"
            mistakes.add((*path, "fabric"), wrong, f"add fabrics.{part.fabric}.networks.{network.vrf}")
    if part.fabric is not None and part.interface is not None and common not in mistakes.touched:
        mistakes.add((*path, "interface"), "fabric and interface exclude each other", "a link has one master")
    if part.prefix_owner == "host" and network.prefix:
        wrong = f"{render(common)} has one prefix for all hosts"
        mistakes.add((*path, next(iter(part.prefix))), wrong, "remove one of them")
    if not part.prefix and path not in mistakes.touched:
        right = "a prefix for this host, or one in the network for all hosts, or a fabric in mode l2"
        mistakes.add(path, "has no prefix", right)
    _mtu(intent, node, part, network, mistakes)
    if part.is_on_dummy and network.mode != "l2":
        wrong = f"mode {network.mode} needs a fabric or an interface: the host's routes are looked up for it only"
        mistakes.add((*common, "mode"), wrong, "l2, or a fabric or an interface")
    elif part.is_on_dummy and network.flag != "bridge":
        wrong = f"{network.flag} would separate the containers from the host, which is their router"
        mistakes.add((*common, "flag"), wrong, "bridge, or a fabric or an interface")
    if network.mode != "l2" and part.prefix_owner == "fabric" and part.prefix:
        wrong = f"in mode {network.mode} nobody answers ARP for containers on the fabric's own network"
        mistakes.add(path, wrong, "give the host a prefix of its own, or choose mode l2")
    if not part.has_host_link and is_gateway(network.mode, part.prefix_owner):
        wrong = "the host is its containers' gateway, but has no link to them"
        mistakes.add((*common, "host_link"), wrong, "true, or leave it out")
    elif not part.has_host_link and network.mode != "l2" and has_several_paths(node, network.vrf):
        wrong = f"packets that reach {node.name} by another fabric could not be forwarded to the containers"
        mistakes.add((*common, "host_link"), wrong, "true, or leave it out")


def _mtu(intent: Intent, node: Hypervisor, part: Part, network: ContainerNetwork, mistakes: Mistakes) -> None:
    """Large enough for IPv6; and not above that of the uplinks which carry the packets."""
    path = ("container_networks", network.name, "mtu")
    if network.mtu is None:
        return
    if network.mtu < IPV6_MTU and "ipv6" in part.prefix:
        mistakes.add(path, f"{network.mtu} is too small for IPv6", f"{IPV6_MTU} or more")
    fabrics = [part.fabric] if part.fabric is not None else [] if part.interface is not None else list(node.uplinks)
    for fabric in fabrics:
        if fabric in node.uplinks and network.vrf in node.uplinks[fabric].given:
            too_large(intent, fabric, network.mtu, path, mistakes)


def _one_mode(part: Part, network: ContainerNetwork, masters: Masters, mistakes: Mistakes) -> None:
    """Mode and flag belong to the master: another mode for one link would silently change all others."""
    if part.is_on_dummy:
        return
    master = (part.fabric, network.vrf) if part.fabric is not None else (part.interface,)
    first = masters.setdefault(master, network)
    for what, value, other in (("mode", network.mode, first.mode), ("flag", network.flag, first.flag)):
        if value != other:
            place = f"fabric {part.fabric}" if part.fabric is not None else part.interface
            wrong = f"{what} {value} on {place}, where container_networks.{first.name} has {other}"
            mistakes.add(part.path, wrong, "all links of a master have one mode and one flag")
            return


def _addresses(node: Hypervisor, part: Part, network: ContainerNetwork, mistakes: Mistakes, addresses: Once) -> None:
    is_consequence = any((*part.path, family) in mistakes for family in part.prefix)
    if is_consequence or not _pool_fits(part, network, mistakes):
        return
    for address in part.host.values() if part.prefix_owner == "fabric" else ():
        addresses.give(address, part.path)
    for container in part.containers:
        for family, address in container.given.items():
            _given(node, part, (*container.path, family), address, mistakes, addresses)
        if container.path in mistakes.touched:
            continue
        if any(family not in container.address for family in part.prefix):
            wrong = f"no address is left in {part.pool or ', '.join(map(str, part.prefix.values()))}"
            mistakes.add(container.path, wrong, _more_room(node, part))
        for family, address in container.address.items():
            if family not in container.given:
                addresses.give(address, container.path)


def _more_room(node: Hypervisor, part: Part) -> str:
    if part.pool is not None:
        return f"choose a larger pool for {part.network} on {node.name}"
    if part.prefix_owner == "fabric":
        return f"a larger network on {part.fabric}"
    path = part.path if part.prefix_owner == "host" else ("container_networks", part.network)
    return f"a larger prefix in {render((*path, 'ipv4'))}"


def _pool_fits(part: Part, network: ContainerNetwork, mistakes: Mistakes) -> bool:
    where = ("container_networks", network.name, "pool") if part.pool is network.pool else (*part.path, "pool")
    ipv4 = part.prefix.get("ipv4")
    gateway = part.gateway.get("ipv4")
    first, last = usable(part) if part.prefix else (0, 0)
    if part.pool is not None and gateway is not None and gateway in part.pool:
        mistakes.add(where, f"the containers' gateway {gateway} is in {part.pool}", "a pool without it")
        return False
    if part.pool is None:
        return True
    if ipv4 is None:
        mistakes.add(where, "there is no IPv4 prefix", "remove it")
    elif not (ipv4.first <= part.pool.first and part.pool.last <= ipv4.last):
        mistakes.add(where, f"{part.pool} is not in {ipv4}", hosts_of(ipv4))
    elif first > last:
        mistakes.add(where, f"{part.pool} has only the network or broadcast address of {ipv4}", hosts_of(ipv4))
    else:
        return True
    return False


def _given(node: Hypervisor, part: Part, path: Path, address: IPAddress, mistakes: Mistakes, addresses: Once) -> None:
    """An address that the intent gives to a container."""
    family = str(path[-1])
    prefix = part.prefix.get(family)
    if prefix is None:
        if part.prefix:
            wrong = f"{part.network} has no {family} prefix on {node.name}"
            mistakes.add(path, wrong, "add it, or remove this")
    elif not is_host(address, prefix):
        mistakes.add(path, f"{address} cannot be a host in {prefix}", hosts_of(prefix))
    elif address == part.gateway.get(family):
        mistakes.add(path, f"{address} is the containers' gateway", "another address")
    else:
        addresses.give(address, path)
