# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The intent as objects: names resolved to objects by dictionaries, addresses parsed, defaults filled in.

While an intent is being checked, what was wrong with its shape is None or absent here; once it has been checked without
a mistake, everything is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .mistakes import Path

FAMILIES = ("ipv4", "ipv6")
Addresses = dict  # family -> netaddr.IPAddress


@dataclass
class Vrf:
    name: str
    table: int | None
    vlan: int | None
    password: bool
    host: list  # of netaddr.IPNetwork, None where it was wrong


@dataclass
class Network:
    """A VRF's network on a fabric; `base` has the address to which a hypervisor's id is added."""

    fabric: str
    vrf: str
    prefix: dict  # family -> netaddr.IPNetwork
    base: Addresses


@dataclass
class Fabric:
    name: str
    interface: str
    mtu: int | None
    networks: dict[str, Network]  # by VRF


@dataclass
class Loopback:
    vrf: str
    interface: str
    prefix: dict  # family -> netaddr.IPNetwork


@dataclass
class Segment:
    name: str
    vrf: str | None
    prefix: dict  # family -> netaddr.IPNetwork
    gateway: Addresses
    lease_s: int | None  # None without DHCP
    dns: list
    mtu: int | None
    metric: int | None


@dataclass
class Given:
    """An address of a node, and where in the intent it comes from (for a derived one, what it is derived from)."""

    address: object  # netaddr.IPAddress
    path: Path
    derived: bool = False


@dataclass
class Uplink:
    """A router's place on a fabric."""

    fabric: str
    interface: str
    given: dict[str, dict[str, Given]] = field(default_factory=dict)  # VRF -> family -> address

    def address(self, vrf: str, family: str):
        given = self.given.get(vrf, {}).get(family)
        return given.address if given else None


@dataclass
class Guest:
    name: str
    path: Path
    hypervisor: str
    segment: str | None
    address: Addresses
    is_slaac: bool
    mac: str | None
    port: str


@dataclass
class Router:
    name: str
    path: Path
    router_id: str | None
    uplinks: dict[str, Uplink] = field(default_factory=dict)  # by fabric


@dataclass
class Hypervisor(Router):
    id: int | None = None
    loopbacks: dict[str, dict[str, Given]] = field(default_factory=dict)  # VRF -> family -> address
    guests: list[Guest] = field(default_factory=list)


@dataclass
class Reflector(Router):
    fabric: str | None = None


@dataclass
class Border(Router):
    vrf: str | None = None
    world: list = field(default_factory=list)  # of netaddr.IPAddress


@dataclass
class Lab:
    packages: list[str]


@dataclass
class Intent:
    name: str
    asn: int | None
    bfd: dict | None
    ttl_security: bool
    add_path: bool
    lab: Lab | None
    vrfs: dict[str, Vrf]
    fabrics: dict[str, Fabric]
    loopbacks: dict[str, Loopback]
    segments: dict[str, Segment]
    reflectors: dict[str, Reflector]
    borders: dict[str, Border]
    hypervisors: dict[str, Hypervisor]
