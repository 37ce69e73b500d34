# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The current state of the kernel, each kind of object read at most once. Private to this collection."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import os
import socket
import sys
import typing as t

from .._netlink import codec
from .._netlink.codec import ADDRESS, NEIGHBOR, ROUTE, RULE
from .._netlink.kernel import BEING_CREATED, DOOMED, FAMILIES, Kernel
from .._netlink.marks import CLOSED_PORT, MARK, OPEN_PORT, PROTOCOL
from .._netlink.named_namespaces import Spaces
from .._netlink.sockets import KernelError, MayBe

NTF_PROXY = 0x8
DATA = {  # attributes of one kind of link, by number; integers of any width
    "bridge": {5: "IFLA_BR_STP_STATE", 7: "IFLA_BR_VLAN_FILTERING"},
    "ipvlan": {1: "IFLA_IPVLAN_MODE", 2: "IFLA_IPVLAN_FLAGS"},
    "vlan": {1: "IFLA_VLAN_ID"},
    "vrf": {1: "IFLA_VRF_TABLE"},
    "vxlan": {3: "IFLA_VXLAN_LINK"},
}
VERSIONS: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 6}


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
    parent: str | None  # of a VLAN or an ipvlan; the peer of a veth; None if it is in another namespace
    data: dict[str, int]
    families: bytes = b""  # see codec.setting

    @property
    def owned(self) -> bool:
        return self.alias == MARK or self.half_made

    @property
    def port(self) -> str | None:
        """Whether we opened or closed this port to a guest; None if it is no such port."""
        return {OPEN_PORT: "open", CLOSED_PORT: "closed"}.get(self.group)

    @property
    def half_made(self) -> bool:
        return self.group in (BEING_CREATED, DOOMED)


def describe(link: codec.Link, names: dict[int, str]) -> Link:
    """`names` maps the index of each link in the same namespace to its name."""
    data = codec.attributes_in(link.data) if link.kind in DATA else {}
    return Link(
        name=link.name,
        index=link.index,
        kind=link.kind or None,
        alias=link.alias or None,
        group=link.group,
        up=link.up,
        mtu=link.mtu,
        mac=link.mac or None,
        master=names.get(link.master),
        parent=names.get(link.peer) if link.peer_network is None else None,
        data={name: int.from_bytes(data[n], sys.byteorder) for n, name in DATA.get(link.kind, {}).items() if n in data},
        families=link.families,
    )


def l3mdev_families(kernel: Kernel) -> set[int]:
    """The address families with a rule that sends packets of VRFs to their tables."""
    return {
        family
        for family in FAMILIES.values()
        if any(map(codec.is_l3mdev, kernel.network.dump_bodies(RULE, codec.rules_of(family))))
    }


class Snapshot:
    """`protocol` marks the addresses and proxy entries of whoever plans: runs, or the agent as guests come and go."""

    def __init__(self, kernel: Kernel, protocol: int = PROTOCOL) -> None:
        self.kernel = kernel
        self.protocol = protocol
        self._names_in: dict[str, set[str]] = {}

    @functools.cached_property
    def spaces(self) -> Spaces:
        return Spaces()

    def names_in(self, where: str) -> set[str]:
        """The names of all links in another namespace."""
        if where not in self._names_in:
            self._names_in[where] = set(self.kernel.at(where).network.links())
        return self._names_in[where]

    def kernel_in(self, where: str) -> Kernel | None:
        """The kernel in another namespace; None if that has disappeared, or cannot be entered without root."""
        try:
            return self.kernel.at(where)
        except FileNotFoundError:
            return None
        except PermissionError:
            if os.geteuid() == 0:
                raise
            return None

    @functools.cached_property
    def _found_links(self) -> dict[str, codec.Link]:
        return self.kernel.network.links()

    @functools.cached_property
    def links(self) -> dict[str, Link]:
        found = self._found_links
        names = {link.index: link.name for link in found.values()}
        return {name: describe(link, names) for name, link in found.items()}

    @functools.cached_property
    def altnames(self) -> dict[str, str]:
        """Maps alternative names of links to their names."""
        return {other: link.name for link in self._found_links.values() for other in link.altnames}

    @functools.cached_property
    def names(self) -> dict[int, str]:
        return {link.index: link.name for link in self.links.values()}

    @functools.cached_property
    def addresses(self) -> list[codec.Address]:
        return self.kernel.dump(ADDRESS)

    @functools.cached_property
    def rules(self) -> list[t.Any]:
        """pyroute2 messages."""
        return [rule for family in FAMILIES.values() for rule in self.kernel.dump(RULE, {"family": family})]

    @functools.cached_property
    def l3mdev_families(self) -> set[int]:
        return l3mdev_families(self.kernel)

    @functools.cached_property
    def proxies(self) -> list[codec.Neighbor]:
        return self.kernel.dump(NEIGHBOR, {"flags": NTF_PROXY})

    @functools.cached_property
    def own_routes(self) -> list[codec.Route]:
        """Filtered by the kernel (strict checking): a router may hold a million routes of others."""
        return [
            route
            for family in FAMILIES.values()
            for route in self.kernel.dump(ROUTE, {"family": family, "proto": PROTOCOL})
            if route.protocol == PROTOCOL
        ]

    @functools.cached_property
    def all_routes(self) -> list[codec.Route]:
        return [route for family in FAMILIES.values() for route in self.kernel.dump(ROUTE, {"family": family})]

    def routes_to(self, prefixes: t.Iterable[str], version: int, table: int, where: str = "") -> list[codec.Route]:
        """Routes of one table, of any protocol, to these prefixes. The table may hold any number of other routes."""
        networks = map(ipaddress.ip_network, prefixes)
        may_be = codec.to_destinations([(one.network_address.packed, one.prefixlen) for one in networks])
        return self.routes_of_table(version, table, where, may_be=may_be)

    def routes_of_table(
        self,
        version: int,
        table: int,
        where: str = "",
        link: int | None = None,
        may_be: MayBe | None = None,
        **fields: int,
    ) -> list[codec.Route]:
        """Routes of one table, of any protocol; empty if the table does not exist.

        The kernel filters them by `fields` and by the index of their link.
        """
        fields = {"family": FAMILIES[version], **fields}
        try:
            return self.kernel.at(where).dump(ROUTE, fields, [("RTA_TABLE", table), ("RTA_OIF", link)], may_be)
        except KernelError as error:
            if error.errno in (2, 3, 22):  # ENOENT, ESRCH, EINVAL: the table does not exist
                return []
            raise
