# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container networks of an intent, and addresses for containers that the intent gives none."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from ..libraries import netaddr
from . import runtimes
from .addresses import gateways
from .draft import FAMILIES, Container, ContainerNetwork, Hypervisor, Intent, Network, Part
from .policy import policy
from .runtimes import Numbers
from .schema import defaults

NAME = "eth0"  # of a container's link, inside the container


def network(name: str, data: dict) -> ContainerNetwork:
    prefix = {family: netaddr.IPNetwork(data[family]) for family in FAMILIES if family in data}
    return ContainerNetwork(
        name,
        data.get("vrf"),
        data["mode"],
        data["flag"],
        data.get("fabric"),
        data.get("interface"),
        prefix,
        gateways(data),
        _pool(data),
        data.get("host_link"),
        data.get("announce"),
        data.get("mtu"),
        [name for name in data["runtimes"] if name],
        data["ipam"],
        data["chain"],
        policy(("container_networks", name, "policy"), data["policy"]),
    )


def _network_of(intent: Intent, fabric: str | None, vrf: str | None) -> Network | None:
    """A VRF's network on a fabric, if both are defined."""
    known = intent.fabrics.get(fabric) if fabric is not None else None
    return known.networks.get(vrf) if known and vrf is not None else None


def _pool(data: dict):
    if "pool" not in data:
        return None
    first, _hyphen, last = data["pool"].partition("-")
    return netaddr.IPRange(first, last)


def part(intent: Intent, node: Hypervisor, name: str, data: dict) -> Part:
    """A hypervisor's part of a network. An undefined network is reported by a later check."""
    common = intent.container_networks.get(name) or network(name, defaults("container_networks"))
    has_own_place = "fabric" in data or "interface" in data
    fabric = data.get("fabric") if has_own_place else common.fabric
    interface = data.get("interface") if has_own_place else common.interface
    prefix, prefix_owner, gateway = common.prefix, "network", common.gateway
    own = {family: netaddr.IPNetwork(data[family]) for family in FAMILIES if family in data}
    if own:
        prefix, prefix_owner = own, "host"
        gateway = {family: value[min(1, value.size - 1)] for family, value in own.items()}
    elif (
        not prefix and fabric is not None and fabric in intent.fabrics and common.vrf in intent.fabrics[fabric].networks
    ):
        there = intent.fabrics[fabric].networks[common.vrf]
        prefix, prefix_owner, gateway = there.prefix, "fabric", there.gateway
    names = [name for name in data.get("runtimes", common.runtimes) if name]
    # Runtimes promise that the host and its containers reach each other.
    needs_link = bool(names) or is_gateway(common.mode, prefix_owner)
    needs_link |= common.mode != "l2" and has_several_paths(node, common.vrf)
    announce = common.announce or {"host": "subnet", "network": "address", "fabric": "none"}[prefix_owner]
    path = (*node.path, "container_networks", name)
    made = Part(
        name,
        path,
        fabric,
        interface,
        prefix,
        prefix_owner,
        gateway,
        _pool(data) or common.pool,
        needs_link if common.host_link is None else common.host_link,
        announce,
        names,
    )
    made.pools = runtimes.pools(made, {name: netaddr.IPNetwork(text) for name, text in data["pools"].items() if text})
    for container, facts in data["containers"].items():
        given = {family: netaddr.IPAddress(facts[family]) for family in FAMILIES if family in facts}
        made.containers.append(Container(container, (*path, "containers", container), given))
    return made


def is_gateway(mode: str, prefix_owner: str) -> bool:
    """Whether the host is its containers' gateway, which requires a link among theirs."""
    return mode == "l2" and prefix_owner != "fabric"


def has_several_paths(node: Hypervisor, vrf: str | None) -> bool:
    """Whether packets to containers in l3 can arrive on uplinks other than their master. The host can forward those
    only through a link of its own among theirs."""
    return sum(vrf in uplink.given for uplink in node.uplinks.values()) > 1


def allocate(intent: Intent) -> None:
    """Allocates an address to each container that has none, and to each host link on a fabric's own network.

    The address is a hash of the name, so it does not change when other containers are added or removed. If two names
    collide, the later one gets the next free address. When the pool is exhausted, containers are left without.
    """
    used: dict = {}
    places = [(node, part) for node in intent.hypervisors.values() for part in node.parts.values()]
    for node in intent.routers:
        for uplink in node.uplinks.values():
            used.update({given.address: True for families in uplink.given.values() for given in families.values()})
    for _node, part in places:
        used.update({address: True for address in part.gateway.values()})
        for container in part.containers:
            used.update({address: True for address in container.given.values()})
            container.address = dict(container.given)
    taken = runtimes.taken(part for _node, part in places)
    for node, part in places:
        free = runtimes.free(part, taken)
        if part.has_host_link and part.prefix_owner == "fabric":
            part.host = _next(part, free, node.name, {}, used)
        elif part.has_host_link:
            part.host = dict(part.gateway)
        for container in part.containers:
            container.address = _next(part, free, container.name, container.given, used)


def _next(part: Part, free: Numbers, name: str, given: dict, used: dict) -> dict:
    """The addresses of NAME in all families of the prefix; those not GIVEN have the same host number in each, one of
    those that are FREE."""
    numbers: Iterable[int]
    missing = [family for family in part.prefix if family not in given]
    if not missing:
        return dict(given)
    if "ipv4" in given and "ipv4" in part.prefix:
        numbers = [int(given["ipv4"]) - part.prefix["ipv4"].first]
    else:
        start = zlib.crc32(name.encode()) % free.count if free.count else 0
        numbers = (free.at((start + step) % free.count) for step in range(free.count))
    for number in numbers:
        found = {family: _address(part.prefix[family], number) for family in missing}
        if all(address is not None and address not in used for address in found.values()):
            used.update(dict.fromkeys(found.values(), True))
            return {family: found.get(family) or given[family] for family in part.prefix}
    return dict(given)


def _address(prefix, number: int):
    return netaddr.IPAddress(prefix.first + number, prefix.version) if 0 <= number < prefix.size else None
