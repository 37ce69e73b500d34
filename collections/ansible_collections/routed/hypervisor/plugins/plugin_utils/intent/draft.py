# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of an intent while it is checked. Parts of a wrong shape are None or absent.

An intent that passed all checks becomes the model in model.py, where every part is present.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import names
from .mistakes import Path

if t.TYPE_CHECKING:
    from netaddr import IPAddress, IPNetwork, IPRange

    Addresses = dict[str, IPAddress]  # by family
    Prefixes = dict[str, IPNetwork]  # by family

FAMILIES = ("ipv4", "ipv6")
LENGTH = {"ipv4": 32, "ipv6": 128}  # of a prefix that is one address
MAIN = "main"  # the name of the kernel's main table among VRFs
MAIN_TABLE = 254
LOOPBACK = "loopback0"  # of a leaf


@dataclass
class Vrf:
    name: str
    table: int | None
    vlan: int | None  # None: untagged
    password: bool
    host: Sequence[IPNetwork | None]  # None where it was wrong

    @property
    def device(self) -> str | None:
        """The VRF's interface; None for the main table."""
        return None if self.name == MAIN else self.name


@dataclass
class Network:
    """A VRF's network on a fabric; `base` has the address to which a hypervisor's id is added."""

    fabric: str
    vrf: str
    prefix: Prefixes
    base: Addresses
    gateway: Addresses


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
    prefix: Prefixes


@dataclass
class Given:
    """An address of a node, and its path in the intent (for a derived address, the path of its source)."""

    address: IPAddress
    path: Path
    derived: bool = False


@dataclass
class Segment:
    name: str
    vrf: str | None
    prefix: Prefixes
    gateway: Addresses
    lease_s: int | None  # None without a DHCP server of ours
    dns: Sequence[IPAddress | None]  # None where it was wrong
    mtu: int | None
    metric: int | None
    anycast: list[Given] = field(default_factory=list)  # that several guests may share
    relay: list[Given] = field(default_factory=list)  # DHCP servers of others
    ndp: str = ""

    @property
    def has_dhcp(self) -> bool:
        return self.lease_s is not None or bool(self.relay)

    def is_shared(self, address: IPAddress) -> bool:
        return any(address == given.address for given in self.anycast)


@dataclass
class Uplink:
    """A router's attachment to a fabric."""

    fabric: str
    interface: str
    given: dict[str, dict[str, Given]] = field(default_factory=dict)  # VRF -> family -> address

    def address(self, vrf: str, family: str) -> IPAddress | None:
        given = self.given.get(vrf, {}).get(family)
        return given.address if given else None


@dataclass
class Guest:
    name: str
    path: Path
    hypervisor: str  # empty: any that has its VRF
    segment: str | None
    address: Addresses
    is_slaac: bool
    mac: str | None
    port: str  # empty: any whose MAC follows from the guest's
    has_mac: bool = False  # given, not derived from the IPv4 address
    additional: Sequence[Given] = ()

    @property
    def addresses(self) -> list[IPAddress]:
        """All its addresses, the first of each family first."""
        return [*self.address.values(), *(given.address for given in self.additional)]

    @property
    def mac_path(self) -> Path:
        """The key that its MAC and, with SLAAC, its IPv6 address follow from."""
        return (*self.path, "mac" if self.has_mac else "ipv4")


class Ports(t.NamedTuple):
    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass
class Rule:
    """A rule of a container network's policy."""

    path: Path
    sender: str | None  # as written: any, a container network or a prefix
    tcp: Sequence[Ports | None] = ()  # None where it was wrong
    udp: Sequence[Ports | None] = ()
    ping: bool = False
    action: str | None = None
    prefix: IPNetwork | None = None  # if the sender is one

    @property
    def is_for_all(self) -> bool:
        """Whether it matches every packet of its sender."""
        return not (self.tcp or self.udp or self.ping)


@dataclass
class ContainerNetwork:
    """The settings of a container network that all hosts share."""

    name: str
    vrf: str | None
    mode: str
    flag: str
    fabric: str | None
    interface: str | None
    prefix: Prefixes  # empty if each host has its own, or if it is a fabric's
    gateway: Addresses
    pool: IPRange | None  # None: all of the prefix
    host_link: bool | None  # None: if routing needs it
    announce: str | None  # None: depends on the prefix's owner
    mtu: int | None
    runtimes: Sequence[str]
    ipam: str = "pools"  # or dhcp
    chain: Sequence[Mapping[str, t.Any] | None] = ()  # further plugins, as written; None where it was wrong
    policy: Sequence[Rule] = ()


@dataclass
class Container:
    name: str
    path: Path
    given: Addresses  # those in the intent
    address: Addresses = field(default_factory=dict)  # all, once they have been allocated


@dataclass
class RuntimePool:
    """The part of a prefix from which a container runtime gives addresses, with the same host numbers in all families.

    Its prefixes are missing as far as they cannot be in those of the network.
    """

    runtime: str
    path: Path
    given: IPNetwork | None  # None: a quarter of the host's prefix
    prefix: Prefixes


@dataclass
class Part:
    """A hypervisor's part of a container network."""

    network: str
    path: Path
    fabric: str | None  # containers' links are on the uplink to it, or
    interface: str | None  # on this interface, or, with neither, on a dummy of their own
    prefix: Prefixes  # its own, else the network's, else the fabric's
    prefix_owner: str  # host, network or fabric
    gateway: Addresses  # of the containers; also the host link's address, unless the prefix is the fabric's
    pool: IPRange | None  # None: all of the prefix
    has_host_link: bool
    announce: str
    runtimes: Sequence[str]
    pools: dict[str, RuntimePool] = field(default_factory=dict)  # by runtime
    host: Addresses = field(default_factory=dict)  # of the host link, once allocated
    containers: list[Container] = field(default_factory=list)

    @property
    def is_on_dummy(self) -> bool:
        return self.fabric is None and self.interface is None

    @property
    def host_link(self) -> str:
        """The name of the host's own link among those of its containers."""
        return names.host_link(self.network)


@dataclass
class Neighbor:
    """A configured BGP neighbor: a node of the intent by name, or another router by address."""

    name: str
    path: Path
    address: IPAddress | None
    asn: int | None


@dataclass
class Router:
    name: str
    path: Path
    router_id: str | None
    asn: int | None
    daemon: str
    uplinks: dict[str, Uplink] = field(default_factory=dict)  # by fabric

    @property
    def own_loopbacks(self) -> list[dict[str, Given]]:
        """Its loopback addresses, by family; they are on no network."""
        return []

    @property
    def addresses(self) -> list[IPAddress]:
        """All its addresses, loopbacks first."""
        networks = [given for uplink in self.uplinks.values() for given in uplink.given.values()]
        return [one.address for given in (*self.own_loopbacks, *networks) for one in given.values()]

    @property
    def bgp_id(self) -> str | None:
        """The router id: as given, else a loopback, else the first IPv4 address."""
        return self.router_id or next((str(address) for address in self.addresses if address.version == 4), None)


@dataclass
class Hypervisor(Router):
    id: int | None = None
    loopbacks: dict[str, dict[str, Given]] = field(default_factory=dict)  # VRF -> family -> address
    guests: Sequence[Guest] = ()
    parts: dict[str, Part] = field(default_factory=dict)  # by container network
    neighbors: dict[str, Neighbor] = field(default_factory=dict)
    ndp: str | None = None  # None: as each segment

    @property
    def own_loopbacks(self) -> list[dict[str, Given]]:
        return list(self.loopbacks.values())


@dataclass
class Reflector(Router):
    fabric: str | None = None


@dataclass
class Leaf(Router):
    """A router that hypervisors are attached to."""

    platform: str = ""  # bird, frr or nxos
    loopback: dict[str, Given] = field(default_factory=dict)  # by family
    maximum_prefix: int = 0
    ports: dict[str, list[str]] = field(default_factory=dict)  # to hosts, by fabric
    static: list[Static] = field(default_factory=list)

    @property
    def own_loopbacks(self) -> list[dict[str, Given]]:
        return [self.loopback]


@dataclass
class Static:
    """A static route of a leaf."""

    path: Path
    vrf: str
    prefix: IPNetwork
    next_hop: IPAddress


@dataclass
class Border(Router):
    vrf: str | None = None
    world: Sequence[IPAddress | None] = ()  # None where it was wrong


Impairment = dict[str, int]  # delay_ms, loss_percent


@dataclass
class Lab:
    packages: list[str]
    init: str
    inits: dict[str, str]  # exceptions, by node
    drills: dict[str, int]  # budgets in milliseconds, by drill
    impair: dict[str, Impairment]  # by fabric
    impairs: dict[str, dict[str, Impairment]]  # exceptions, by node

    def init_of(self, node: str) -> str:
        return self.inits.get(node, self.init)

    def impairment_of(self, node: str, fabric: str) -> Impairment:
        """Of a node's cable to a fabric, without what it does not do."""
        given = self.impairs.get(node, {}).get(fabric, self.impair.get(fabric, {}))
        return {key: value for key, value in given.items() if value}


@dataclass
class Metrics:
    servers: list[Given]
    vrf: str | None  # in which servers reach hypervisors


@dataclass
class Intent:
    name: str
    asn: int | None
    daemon: str
    peering: str
    mesh: int
    timers: dict[str, int]  # hold_s, keepalive_s, connect_retry_s
    graceful_restart_s: int  # 0: none
    bfd: dict[str, t.Any] | None
    ttl_security: bool
    add_path: bool
    ospf: dict[str, t.Any] | None
    lab: Lab | None
    firewall: bool
    metrics: Metrics | None
    vrfs: Mapping[str, Vrf]
    fabrics: Mapping[str, Fabric]
    loopbacks: Mapping[str, Loopback]
    segments: Mapping[str, Segment]
    guests: Sequence[Guest]  # those that may run on any hypervisor; the others are their hypervisor's
    reflectors: Mapping[str, Reflector]
    borders: Mapping[str, Border]
    leaves: Mapping[str, Leaf]
    container_networks: Mapping[str, ContainerNetwork]
    hypervisors: Mapping[str, Hypervisor]

    def router(self, name: str) -> Router | None:
        sections: tuple[Mapping[str, Router], ...] = (self.reflectors, self.borders, self.leaves, self.hypervisors)
        return next((section[name] for section in sections if name in section), None)

    @property
    def lab_nodes(self) -> list[str]:
        """The nodes of a lab, by name."""
        return [
            *(names.switch(fabric) for fabric in self.fabrics),
            *(router.name for router in self.routers),
            *(guest.name for hypervisor in self.hypervisors.values() for guest in hypervisor.guests),
        ]

    @property
    def clients(self) -> Sequence[Router]:
        """The routers that peer with reflectors or, in a mesh, with each other."""
        return [*self.hypervisors.values(), *self.borders.values()]

    @property
    def uses_reflectors(self) -> bool:
        """Whether hypervisors and borders peer with reflectors, not with each other or with configured neighbors."""
        automatic = self.peering == "automatic" and len(self.hypervisors) + len(self.borders) > self.mesh
        return self.peering == "reflectors" or automatic

    @property
    def routers(self) -> Sequence[Router]:
        return [
            *self.reflectors.values(),
            *self.borders.values(),
            *self.leaves.values(),
            *self.hypervisors.values(),
        ]
