# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the routing manager, as a run has distributed them. Private to this collection."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..._netlink.codec import packed
from .model import FAMILIES, Prefix, prefix

STALE_S = 120.0
METRIC = 4096


@dataclasses.dataclass(frozen=True)
class Announce:
    """Kernel routes inside `prefix`, up to the length `longest`, are announced."""

    prefix: Prefix
    longest: int

    def covers(self, other: Prefix) -> bool:
        return self.prefix.length <= other.length <= self.longest and self.prefix.contains(other.address)


@dataclasses.dataclass(frozen=True)
class Network:
    """Containers whose addresses are announced one by one."""

    name: str
    prefixes: tuple[Prefix, ...]
    interface: str | None  # of the host, towards them; None: their routes are not ours


@dataclasses.dataclass(frozen=True)
class Instance:
    """One GoBGP and the routing table that is kept in step with it."""

    name: str
    api: str
    table: int
    families: dict[str, int]
    local_addresses: frozenset[bytes]
    prefsrc: dict[int, bytes]  # by address family
    announce: tuple[Announce, ...]  # of routes of protocol 82
    guests: tuple[Announce, ...]  # of routes to guests that move, of protocol 85
    networks: tuple[Network, ...]


class Settings:
    """`given` is the variable `routing_manager`."""

    def __init__(self, given: dict[str, t.Any]) -> None:
        self.instances = tuple(_instance(entry) for entry in given.get("instances") or ())
        self.namespaces = tuple(os.path.realpath(path) for path in given.get("namespaces") or ())  # directories
        self.stale_s = float(_or_default(given, "stale_s", STALE_S))
        self.metric = int(_or_default(given, "metric", METRIC))

    def watched(self) -> tuple[list[int], list[str]]:
        """Tables and interfaces to follow."""
        networks = [network for instance in self.instances for network in instance.networks]
        return [entry.table for entry in self.instances], [entry.interface for entry in networks if entry.interface]


def _or_default(given: dict[str, t.Any], key: str, default: float) -> t.Any:
    value = given.get(key)
    return default if value is None else value


def _instance(given: dict[str, t.Any]) -> Instance:
    local, preferred = given["local_addresses"], given.get("prefsrc") or {}
    return Instance(
        name=given["name"],
        api=given["api"],
        table=int(given["table"]),
        families={name: FAMILIES[name] for name in given["families"]},
        local_addresses=frozenset(packed(address) for family in FAMILIES for address in local.get(family) or ()),
        prefsrc={number: packed(preferred[family]) for family, number in FAMILIES.items() if preferred.get(family)},
        announce=tuple(Announce(prefix(one["prefix"]), int(one["longest"])) for one in given.get("announce") or ()),
        guests=tuple(Announce(prefix(one["prefix"]), int(one["longest"])) for one in given.get("guests") or ()),
        networks=tuple(_network(one) for one in given.get("networks") or ()),
    )


def _network(given: dict[str, t.Any]) -> Network:
    return Network(given["name"], tuple(prefix(one) for one in given["prefixes"]), given.get("interface"))
