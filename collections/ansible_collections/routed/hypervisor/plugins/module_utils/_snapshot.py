# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel has now, each kind read at most once. Private to this collection."""

from __future__ import annotations

import dataclasses
import functools
import socket
import typing as t

from ansible_collections.routed.hypervisor.plugins.module_utils._kernel import (
    ADDRESS,
    FAMILIES,
    LINK,
    MARK,
    NEIGHBOR,
    PROTOCOL,
    ROUTE,
    RULE,
    Kernel,
    KernelError,
)

BEING_CREATED = 0x52480000  # link group; an alias can only be set on a link that exists, and we may be killed between
IFF_UP = 0x1
NTF_PROXY = 0x8
SKIP_STATISTICS = 0x8  # RTEXT_FILTER_SKIP_STATS: half of a link's message
VERSIONS = {socket.AF_INET: 4, socket.AF_INET6: 6}


@dataclasses.dataclass
class Link:
    name: str
    index: int
    kind: str | None
    alias: str | None
    group: int
    up: bool
    mtu: int
    mac: str | None
    master: str | None
    parent: str | None  # of a VLAN; the peer of a veth; None where it is in another namespace
    data: dict

    @property
    def owned(self) -> bool:
        return self.alias == MARK or self.group == BEING_CREATED

    @property
    def half_made(self) -> bool:
        return self.group == BEING_CREATED


class Snapshot:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    @functools.cached_property
    def links(self) -> dict[str, Link]:
        found = self.kernel.dump(LINK, attributes=[("IFLA_EXT_MASK", SKIP_STATISTICS)])
        names = {message["index"]: attributes["IFLA_IFNAME"] for message, attributes in found}
        result = {}
        for message, attributes in found:
            info = dict((attributes.get("IFLA_LINKINFO") or {"attrs": []})["attrs"])
            data = info.get("IFLA_INFO_DATA")
            elsewhere = attributes.get("IFLA_LINK_NETNSID") is not None
            link = Link(
                name=attributes["IFLA_IFNAME"],
                index=message["index"],
                kind=info.get("IFLA_INFO_KIND"),
                alias=attributes.get("IFLA_IFALIAS"),
                group=attributes.get("IFLA_GROUP") or 0,
                up=bool(message["flags"] & IFF_UP),
                mtu=attributes.get("IFLA_MTU") or 0,
                mac=attributes.get("IFLA_ADDRESS"),
                master=names.get(attributes.get("IFLA_MASTER")),
                parent=None if elsewhere else names.get(attributes.get("IFLA_LINK")),
                data=dict(data["attrs"]) if isinstance(data, dict) or hasattr(data, "get") else {},
            )
            result[link.name] = link
        return result

    @functools.cached_property
    def names(self) -> dict[int, str]:
        return {link.index: link.name for link in self.links.values()}

    @functools.cached_property
    def addresses(self) -> list[tuple[t.Any, dict]]:
        return self.kernel.dump(ADDRESS)

    @functools.cached_property
    def rules(self) -> list[tuple[t.Any, dict]]:
        return [rule for family in FAMILIES.values() for rule in self.kernel.dump(RULE, {"family": family})]

    @functools.cached_property
    def proxies(self) -> list[tuple[t.Any, dict]]:
        return self.kernel.dump(NEIGHBOR, {"flags": NTF_PROXY})

    @functools.cached_property
    def own_routes(self) -> list[tuple[t.Any, dict]]:
        """Filtered in the kernel (strict check): a router may hold a million routes of others."""
        return [
            (message, attributes)
            for family in FAMILIES.values()
            for message, attributes in self.kernel.dump(ROUTE, {"family": family, "proto": PROTOCOL})
            if message["proto"] == PROTOCOL
        ]

    @functools.cached_property
    def all_routes(self) -> list[tuple[t.Any, dict]]:
        return [route for family in FAMILIES.values() for route in self.kernel.dump(ROUTE, {"family": family})]

    def routes_of_table(self, version: int, table: int) -> list[tuple[t.Any, dict]]:
        """All routes of one table, by whomever; empty where there is no such table."""
        try:
            return self.kernel.dump(ROUTE, {"family": FAMILIES[version]}, [("RTA_TABLE", table)])
        except KernelError as error:
            if error.errno in (2, 3, 22):  # ENOENT, ESRCH, EINVAL: the table does not exist
                return []
            raise
