# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container networks as the runtimes of a hypervisor need them.

Podman reads the files of CNI, and has no other networks than these: a network for both is one file, from the addresses
of both.
"""

from __future__ import annotations

from ..intent.model import FAMILIES, ContainerNetwork, Hypervisor, Intent, Part, RuntimePool
from ..libraries import netaddr
from .containers import master
from .links import DEFAULT


def all_of(intent: Intent, node: Hypervisor) -> dict:
    parts = [(part, intent.container_networks[part.network]) for part in node.parts.values()]
    return {
        "cni": {
            "networks": [
                _cni(intent, node, part, network) for part, network in parts if {"cni", "podman"} & {*part.runtimes}
            ]
        },
        "podman": {"networks": [part.network for part, _network in parts if "podman" in part.runtimes]},
        "docker": {
            "networks": [_docker(intent, node, part, network) for part, network in parts if "docker" in part.runtimes]
        },
    }


def _cni(intent: Intent, node: Hypervisor, part: Part, network: ContainerNetwork) -> dict:
    pools = [pool for name, pool in part.pools.items() if name in ("cni", "podman")]
    families = [family for family in FAMILIES if family in part.prefix and pools]
    return {
        "name": part.network,
        "master": master(intent, node, part),
        "mode": network.mode,
        "mtu": network.mtu,
        "dhcp": network.ipam == "dhcp",
        "chain": [
            {"type": each["plugin"], **({"sysctl": each["sysctl"]} if "sysctl" in each else {})}
            for each in network.chain
            if each is not None
        ],
        "ranges": [[_range(part, pool, family) for pool in pools] for family in families],
        "routes": [
            {"prefix": DEFAULT[family], "gateway": _gateway(part, family) if network.mode == "l2" else None}
            for family in families
            if network.mode != "l2" or family in part.gateway
        ],
    }


def _range(part: Part, pool: RuntimePool, family: str) -> dict:
    """The addresses that a container may have: neither the network's nor the broadcast address."""
    own, prefix = part.prefix[family], pool.prefix[family]
    first = prefix.first + (prefix.first == own.first and own.size > 2)
    last = prefix.last - (prefix.last == own.last and own.size > 2 and family == "ipv4")
    return {
        "subnet": str(own),
        "first": str(netaddr.IPAddress(first, own.version)),
        "last": str(netaddr.IPAddress(last, own.version)),
        "gateway": _gateway(part, family),
    }


def _gateway(part: Part, family: str) -> str | None:
    """In l3, where containers use none, it is still an address that no container may have."""
    return str(part.gateway[family]) if family in part.gateway else None


def _docker(intent: Intent, node: Hypervisor, part: Part, network: ContainerNetwork) -> dict:
    pool = part.pools["docker"]
    return {
        "name": part.network,
        "parent": master(intent, node, part),
        "mode": network.mode,
        "subnets": [
            {
                "subnet": str(part.prefix[family]),
                "range": str(pool.prefix[family]),
                "gateway": _gateway(part, family),
            }
            for family in FAMILIES
            if family in part.prefix
        ],
    }
