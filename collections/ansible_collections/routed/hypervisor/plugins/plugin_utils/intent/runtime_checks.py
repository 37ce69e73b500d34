# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks container networks of runtimes: that the runtimes support them, and that no address is given out twice."""

from __future__ import annotations

import bisect
import re
import typing as t

from .addresses import family_of
from .draft import FAMILIES, ContainerNetwork, Hypervisor, Intent, Part, RuntimePool
from .mistakes import Mistakes, Path, listed, render
from .placement import is_link_local
from .runtimes import PARTS, SMALLEST, size
from .uniqueness import Once, each_overlap

if t.TYPE_CHECKING:
    from netaddr import IPAddress, IPNetwork

    from .uniqueness import Used

    Prefixes = dict[tuple[str | None, IPNetwork], Part]  # the first part with each, by its fabric

# Plugins that fail on ipvlan links, measured with 1.1.1, which Debian 12 has.
FAILING = {
    "sbr": "its CHECK fails on ipvlan links",
    "vrf": "before version 1.4, which Debian lacks, the container loses its default route",
    "bandwidth": "it refuses links other than veth",
}
# What `--network NAME` means something else for, and networks that the runtimes make themselves.
RESERVED = {
    "docker": re.compile("bridge|container|default|host|ingress|none"),
    "podman": re.compile("bridge|container|host|none|ns|pasta|podman|private|slirp4netns"),
}


def check(intent: Intent, mistakes: Mistakes, addresses: Once) -> None:
    """ADDRESSES are those of routers, guests and containers of the intent."""
    pools: list[RuntimePool] = []
    for common in intent.container_networks.values():
        if common.ipam == "dhcp" and not common.runtimes:
            wrong = "it is about containers of runtimes, and the network has none"
            mistakes.add(("container_networks", common.name, "ipam"), wrong, "add runtimes: [cni], or remove it")
        _chain(common, mistakes)
    for node in intent.hypervisors.values():
        prefixes: Prefixes = {}
        parents: dict[tuple[str | None, ...], str] = {}  # the first network of docker on each
        for part in node.parts.values():
            network = intent.container_networks.get(part.network)
            if network is None or not (part.runtimes or part.pools):
                continue
            _runtimes(part, network, mistakes)
            if network.ipam == "dhcp":
                _dhcp(part, network, mistakes)
                continue
            _parent(part, parents, mistakes)
            _one_prefix(part, prefixes, mistakes)
            pools += _pools(node, part, mistakes)
    _apart(pools, mistakes)
    _without_addresses(pools, mistakes, addresses)


def _runtimes(part: Part, network: ContainerNetwork, mistakes: Mistakes) -> None:
    """What the runtimes of a network do not support. The same on several hosts is reported once."""
    common = ("container_networks", network.name)
    if part.runtimes and network.flag != "bridge":
        wrong = f"{network.flag} is not supported by {_named(part.runtimes)}: containers would reach each other"
        mistakes.add((*common, "flag"), wrong, "bridge, or no runtimes")
    for runtime in part.runtimes:
        if runtime in RESERVED and RESERVED[runtime].fullmatch(network.name):
            mistakes.add(common, f"{network.name} means something else to {runtime}", "another name for the network")
    if "docker" in part.runtimes and network.mtu is not None and not part.is_on_dummy:
        wrong = "docker gives its containers the MTU of the interface that their links are on"
        mistakes.add((*common, "mtu"), wrong, "leave it out, or leave out fabric and interface")
    gateway = part.gateway.get("ipv6")
    if "docker" in part.runtimes and gateway is not None and "ipv6" in part.prefix and is_link_local(gateway):
        wrong = f"docker requires a gateway in the network's own prefix, not {gateway}"
        mistakes.add((*common, "gateway6"), wrong, f"an address in {part.prefix['ipv6']}")


def _chain(network: ContainerNetwork, mistakes: Mistakes) -> None:
    path = ("container_networks", network.name, "chain")
    if network.chain and not {"cni", "podman"} & {*network.runtimes}:
        mistakes.add(path, "plugins are for cni and podman", "add one of them to runtimes, or remove it")
    seen = set()
    for position, each in enumerate(network.chain):
        place, plugin = (*path, position), each.get("plugin") if each is not None else None
        if each is None or plugin is None or place in mistakes.touched:
            continue
        if plugin in FAILING:
            mistakes.add((*place, "plugin"), f"{plugin} does not work here: {FAILING[plugin]}", "remove it")
        elif plugin in seen:
            mistakes.add((*place, "plugin"), f"{plugin} is in the chain already", "each once")
        elif plugin == "tuning" and "sysctl" not in each:
            mistakes.add((*place, "sysctl"), "missing", "what tuning is to set")
        elif plugin != "tuning" and "sysctl" in each:
            mistakes.add((*place, "sysctl"), f"{plugin} sets no sysctls", "remove it, or plugin: tuning")
        seen.add(plugin)


def _dhcp(part: Part, network: ContainerNetwork, mistakes: Mistakes) -> None:
    """The plugin broadcasts, and only knows IPv4; a lease is one of its server, which is on the fabric."""
    path = ("container_networks", network.name, "ipam")
    if network.mode != "l2":
        wrong = f"in mode {network.mode} no broadcast of a DHCP server reaches a container"
        mistakes.add(path, wrong, "mode l2, or no dhcp")
    elif "docker" in part.runtimes:
        mistakes.add(path, "docker cannot use it here", "only cni and podman among the runtimes, or no dhcp")
    elif part.prefix_owner != "fabric" and path not in mistakes:
        wrong = "its server would have to be on the host, which is the router of its own prefixes"
        mistakes.add(path, wrong, "a fabric, and neither ipv4 nor ipv6 in the network and in the hosts")
    elif "ipv4" not in part.prefix and part.prefix:
        mistakes.add(path, f"{network.vrf} has no IPv4 prefix on {part.fabric}", "add it, or no dhcp")
    for pool in (pool for pool in part.pools.values() if pool.given is not None):
        mistakes.add(pool.path, "the DHCP server decides about addresses", "remove it, or ipam: dhcp")


def _named(runtimes: t.Iterable[str]) -> str:
    return listed("CNI plugins" if runtime == "cni" else runtime for runtime in runtimes)


def _parent(part: Part, parents: dict[tuple[str | None, ...], str], mistakes: Mistakes) -> None:
    if "docker" not in part.runtimes or part.is_on_dummy:
        return
    first = parents.setdefault((part.fabric, part.interface), part.network)
    if first != part.network:
        wrong = f"docker has one network per parent interface, and has {first} there"
        mistakes.add(part.path, wrong, "another fabric or interface, or neither, or other runtimes")


def _one_prefix(part: Part, prefixes: Prefixes, mistakes: Mistakes) -> None:
    """Runtimes record addresses by network: those of one network do not see what another gave out."""
    for family, prefix in part.prefix.items() if part.prefix_owner == "fabric" else ():
        first = prefixes.setdefault((part.fabric, prefix), part)
        if first is not part:
            wrong = f"{render(first.path)} has the same {family} prefix ({prefix}) on the same uplink"
            mistakes.add(part.path, wrong, "one network for both, or a prefix for this host")
            return


def _pools(node: Hypervisor, part: Part, mistakes: Mistakes) -> list[RuntimePool]:
    """The pools of a part that are as they should be."""
    for runtime, pool in part.pools.items():
        if runtime not in part.runtimes:
            wrong = f"{runtime} is not among the runtimes of {part.network} on {node.name}"
            mistakes.add(pool.path, wrong, f"add it to container_networks.{part.network}.runtimes, or remove this")
    if any((*part.path, family) in mistakes for family in FAMILIES) or not part.prefix:
        return []
    example = next(iter(part.prefix.values()))
    for runtime in part.runtimes:
        if runtime in part.pools or part.path in mistakes.touched:
            continue
        path = (*part.path, "pools", runtime)
        if part.prefix_owner == "host":
            wrong = f"missing, and {_smallest(part)} is too small for {PARTS} parts"
            mistakes.add(path, wrong, f"a prefix in {example}, or a host's prefix of {SMALLEST} addresses or more")
        else:
            wrong = f"missing, and {example} is not this host's alone"
            mistakes.add(path, wrong, f"a prefix in {example} from which {runtime} on {node.name} takes addresses")
    return [pool for pool in part.pools.values() if pool.runtime in part.runtimes and _fits(part, pool, mistakes)]


def _smallest(part: Part) -> IPNetwork:
    return next(prefix for prefix in part.prefix.values() if prefix.size == size(part))


def _fits(part: Part, pool: RuntimePool, mistakes: Mistakes) -> bool:
    if pool.given is not None:
        own = part.prefix.get(family_of(pool.given))
        if own is None:
            wrong = f"{part.network} has no {family_of(pool.given)} prefix here"
            mistakes.add(pool.path, wrong, f"a prefix in {next(iter(part.prefix.values()))}")
            return False
        if pool.given not in own:
            mistakes.add(pool.path, f"{pool.given} is not in {own}", f"a part of {own}")
            return False
        for family in part.prefix.keys() - pool.prefix.keys():
            wrong = f"{part.prefix[family]} has not as many addresses as the host numbers of {pool.given} need"
            mistakes.add(pool.path, wrong, f"a lower part of {own}, or a larger {family} prefix")
            return False
        first, last = pool.given.first, pool.given.last
        if own.size > 2 and first == last and (first == own.first or (own.version == 4 and last == own.last)):
            mistakes.add(pool.path, f"{pool.given} has no address for a container", f"a larger part of {own}")
            return False
    for family, prefix in pool.prefix.items():
        gateway = part.gateway.get(family)
        if gateway is not None and gateway in prefix:
            wrong = f"the containers' gateway {gateway} is in {prefix}"
            mistakes.add(pool.path, wrong, f"a part of {part.prefix[family]} without it")
            return False
    return True


def _apart(pools: list[RuntimePool], mistakes: Mistakes) -> None:
    by_path = {(*pool.path, pool.runtime): pool for pool in pools}
    order = {key: position for position, key in enumerate(by_path)}
    used: list[Used] = [(prefix, key, None) for key, pool in by_path.items() for prefix in pool.prefix.values()]

    def report(one: Used, other: Used) -> None:
        first, later = (one, other) if order[one[1]] < order[other[1]] else (other, one)
        # A quarter cannot be changed; a given pool can.
        if by_path[later[1]].given is None and by_path[first[1]].given is not None:
            first, later = later, first
        path = by_path[later[1]].path
        if path not in mistakes:
            whose = by_path[first[1]]
            wrong = f"{later[0]} overlaps {first[0]}, which {whose.runtime} has in {render(whose.path)}"
            mistakes.add(path, wrong, "a part that no other runtime has")

    each_overlap(used, report)


def _without_addresses(pools: list[RuntimePool], mistakes: Mistakes, addresses: Once) -> None:
    """No address of the intent is in a pool, from which the runtime would give it to a container."""
    spans = sorted(
        (prefix.version, prefix.first, prefix.last, pool.path, pool.runtime)
        for pool in pools
        for prefix in pool.prefix.values()
    )
    starts = [span[:2] for span in spans]
    given: dict[IPAddress, Path] = t.cast(t.Any, addresses.first)
    for address, path in given.items() if spans else ():
        position = bisect.bisect_right(starts, (address.version, int(address))) - 1
        if position < 0:
            continue
        version, _first, last, where, runtime = spans[position]
        if version == address.version and int(address) <= last and path not in mistakes.touched:
            wrong = f"{address} is one of those that {runtime} gives to its containers ({render(where)})"
            mistakes.add(path, wrong, "another address, or another pool there")
