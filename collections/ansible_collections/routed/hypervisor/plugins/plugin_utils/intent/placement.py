# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that addresses are in their networks, that none is given twice, and that related values agree."""

from __future__ import annotations

import functools
import typing as t

from ...module_utils._addresses.ipv6 import IPV6_MTU, interface_identifier
from ..libraries import netaddr
from .addresses import family_of, hosts, hosts_of, is_host
from .draft import FAMILIES, Border, Fabric, Given, Guest, Intent, Network, Router, Segment
from .mistakes import Mistakes, Path, listed, render
from .uniqueness import Once

if t.TYPE_CHECKING:
    from netaddr import IPAddress, IPNetwork

CABLE_MTU = 1500  # the kernel's default
# Measured: radvd 2.19 refuses more, as dnsmasq 2.90 refuses a line of more than 1,024 characters. A DHCP reply has
# 312 bytes for all options (RFC 2131), of which 32 addresses and the options of every lease use some 250.
MOST_DNS = {4: 32, 6: 3}
MOST_DNS_REASON = {4: "more do not fit into a DHCP reply", 6: "radvd announces no more"}


def too_large(intent: Intent, fabric: str, mtu: int, path: Path, mistakes: Mistakes) -> None:
    """Reports an MTU above that of the uplinks to a fabric, if the intent gives that or a lab's cables have one."""
    most = intent.fabrics[fabric].mtu if fabric in intent.fabrics else mtu
    if most is None and intent.lab and mtu > CABLE_MTU:
        right = f"{CABLE_MTU} or less, or a larger fabrics.{fabric}.mtu"
        mistakes.add(path, f"{mtu} is more than the {CABLE_MTU} that a lab's cables have by default", right)
    elif most is not None and mtu > most:
        mistakes.add(path, f"{mtu} is more than fabrics.{fabric}.mtu ({most})", f"{most} or less")


@functools.cache
def link_local() -> IPNetwork:
    return netaddr.IPNetwork("fe80::/64")


def is_link_local(address: IPAddress) -> bool:
    """Whether ADDRESS is a router's on every link: in fe80::/64 (RFC 4291, section 2.5.6), but not its first one."""
    return address in link_local() and address != link_local().ip


class Placement:
    def __init__(self, intent: Intent, mistakes: Mistakes):
        self.intent, self.mistakes = intent, mistakes
        self.addresses = Once(mistakes, "", "each address can be given once")
        self.macs = Once(mistakes, "the MAC ", "each guest needs its own")
        # As numbers: netaddr's objects compute them each time.
        self.link_local = link_local().first
        self.hosts = {
            (segment.name, family): hosts(prefix)
            for segment in intent.segments.values()
            for family, prefix in segment.prefix.items()
        }

    def check(self) -> None:
        for fabric in self.intent.fabrics.values():
            self._fabric(fabric)
        for segment in self.intent.segments.values():
            self._segment(segment)
        # Explicit addresses before derived ones, so that a clash is reported at the derived one's source.
        routers = self.intent.routers
        for border in self.intent.borders.values():
            self._world(border)
        for is_derived in (False, True):
            for router in routers:
                self._router(router, is_derived)
        guests = [guest for hypervisor in self.intent.hypervisors.values() for guest in hypervisor.guests]
        guests += self.intent.guests
        for guest in guests:
            self._guest(guest)
        for guest in guests:
            self._additional(guest)
        for router in routers:
            self._router_id(router)
        for fabric in self.intent.fabrics.values():
            for network in fabric.networks.values():
                self._gateway_is_a_leaf(network)

    def _fabric(self, fabric: Fabric) -> None:
        has_ipv6 = any("ipv6" in network.prefix for network in fabric.networks.values())
        self._mtu(fabric.mtu, ("fabrics", fabric.name, "mtu"), has_ipv6)
        for network in fabric.networks.values():
            path = ("fabrics", fabric.name, "networks", network.vrf)
            is_consequence = path in self.mistakes.touched
            for family, base in network.base.items():
                base_path = (*path, "hypervisors", family)
                if family in network.prefix and base not in network.prefix[family]:
                    wrong = f"{base} is not in {network.prefix[family]}"
                    self.mistakes.add(base_path, wrong, "hypervisor N has this address + N")
                elif family not in network.prefix and not is_consequence:
                    wrong = f"{network.vrf} has no {family} prefix on {fabric.name}"
                    self.mistakes.add(base_path, wrong, "add it, or remove this")
            for family, gateway in network.gateway.items():
                prefix, place = network.prefix.get(family), (*path, f"gateway{family[-1]}")
                if prefix is None and not is_consequence:
                    self.mistakes.add(place, f"{network.vrf} has no {family} prefix here", "add it, or remove this")
                elif prefix is not None and not is_host(gateway, prefix):
                    self.mistakes.add(place, f"{gateway} cannot be a host in {prefix}", hosts_of(prefix))

    def _gateway_is_a_leaf(self, network: Network) -> None:
        """Without leaves in the intent, the gateway is a router that is not in it."""
        path = ("fabrics", network.fabric, "networks", network.vrf)
        uplinks = [
            leaf.uplinks[network.fabric] for leaf in self.intent.leaves.values() if network.fabric in leaf.uplinks
        ]
        for family, gateway in network.gateway.items():
            theirs = [one for uplink in uplinks if (one := uplink.address(network.vrf, family)) is not None]
            place = (*path, f"gateway{family[-1]}")
            is_known = gateway in self.addresses.first or place in self.mistakes
            if theirs and not is_known and ("leaves",) not in self.mistakes.touched:
                self.mistakes.add(place, f"no router has the address {gateway}", f"that of a leaf: {listed(theirs)}")

    def _mtu(self, mtu: int | None, path: Path, has_ipv6: bool) -> None:
        if mtu is not None and has_ipv6 and mtu < IPV6_MTU:
            self.mistakes.add(path, f"{mtu} is too small for IPv6", f"{IPV6_MTU} or more")

    def _segment(self, segment: Segment) -> None:
        path = ("segments", segment.name)
        self._mtu(segment.mtu, (*path, "mtu"), "ipv6" in segment.prefix)
        for fabric in self.intent.fabrics.values():
            if segment.mtu is not None and segment.vrf in fabric.networks:
                too_large(self.intent, fabric.name, segment.mtu, (*path, "mtu"), self.mistakes)
        self._dns(segment)
        for given in segment.anycast:
            if self._is_free(given.address, segment):
                self.addresses.give(given.address, given.path)
            else:
                self._outside(given.address, given.path, segment)
        if "ipv4" in segment.gateway:
            prefix, gateway = segment.prefix["ipv4"], segment.gateway["ipv4"]
            if not is_host(gateway, prefix):
                self.mistakes.add((*path, "gateway4"), f"{gateway} cannot be a host in {prefix}", f"{hosts_of(prefix)}")
        elif segment.has_dhcp and "ipv4" not in segment.prefix and (*path, "ipv4") not in self.mistakes:
            self.mistakes.add((*path, "dhcp"), "DHCP without an IPv4 prefix", "add ipv4 and gateway4, or remove it")
        if "ipv6" in segment.gateway:
            if not is_link_local(segment.gateway["ipv6"]):
                self.mistakes.add(
                    (*path, "gateway6"),
                    f"{segment.gateway['ipv6']} is not link-local",
                    "an address in fe80::/64, for instance fe80::1",
                )
            if segment.prefix["ipv6"].prefixlen != 64:
                self.mistakes.add(
                    (*path, "ipv6"),
                    f"{segment.prefix['ipv6']} is not a /64",
                    "guests derive their addresses in a /64 (RFC 4862)",
                )

    def _dns(self, segment: Segment) -> None:
        count = {4: 0, 6: 0}
        for position, address in enumerate(segment.dns):
            if address is None:
                continue
            path, prefix = ("segments", segment.name, "dns", position), segment.prefix.get(family_of(address))
            count[address.version] += 1
            if count[address.version] > MOST_DNS[address.version]:
                wrong = f"more than {MOST_DNS[address.version]} IPv{address.version} name servers"
                self.mistakes.add(path, wrong, MOST_DNS_REASON[address.version])
                return
            if prefix is not None and address in prefix and not is_host(address, prefix):
                self.mistakes.add(path, f"{address} cannot be a host in {prefix}", hosts_of(prefix))

    def _world(self, border: Border) -> None:
        for position, address in enumerate(border.world):
            if address is None:
                continue
            path = (*border.path, "world", position)
            around = self.prefix_around(address)
            if around:
                self.mistakes.add(path, f"{address} is in {around}", "an address outside all networks of the fabric")
            else:
                self.addresses.give(address, path)

    def prefix_around(self, address: IPAddress) -> str | None:
        """The segment, container network or network that an address is in."""
        return self.tenants_around(address) or self._network_around(address, family_of(address))

    def tenants_around(self, address: IPAddress) -> str | None:
        """The segment or container network that an address is in."""
        family = family_of(address)
        for segment in self.intent.segments.values():
            if family in segment.prefix and address in segment.prefix[family]:
                return f"segments.{segment.name}"
        for network in self.intent.container_networks.values():
            if family in network.prefix and address in network.prefix[family]:
                return f"container_networks.{network.name}"
        for hypervisor in self.intent.hypervisors.values():
            for part in hypervisor.parts.values():
                if part.prefix_owner == "host" and family in part.prefix and address in part.prefix[family]:
                    return render(part.path)
        return None

    def _network_around(self, address: IPAddress, family: str) -> str | None:
        for fabric in self.intent.fabrics.values():
            for network in fabric.networks.values():
                if family in network.prefix and address in network.prefix[family]:
                    return f"fabrics.{fabric.name}.networks.{network.vrf}"
        return None

    def _router(self, router: Router, is_derived: bool) -> None:
        """Its addresses, given or derived. One mistake is enough for derived ones: one number causes them all."""
        for fabric, uplink in router.uplinks.items():
            networks = self.intent.fabrics[fabric].networks if fabric in self.intent.fabrics else {}
            for vrf, families in uplink.given.items():
                for family, given in families.items():
                    if given.derived == is_derived and vrf in networks:
                        self._on_fabric(router, given, fabric, networks[vrf], family)
        for vrf, families in getattr(router, "loopbacks", {}).items():
            for family, given in families.items():
                prefix = self.intent.loopbacks[vrf].prefix.get(family) if vrf in self.intent.loopbacks else None
                if given.derived != is_derived or vrf not in self.intent.loopbacks:
                    continue
                if prefix is None:
                    if ("loopbacks", vrf) not in self.mistakes.touched:
                        self.mistakes.add(
                            given.path, f"loopbacks.{vrf} has no {family} prefix", "add it, or remove this"
                        )
                elif given.address not in prefix:
                    self.mistakes.add(
                        given.path,
                        self._about(given, f"is not in loopbacks.{vrf}.{family} ({prefix})"),
                        "choose a larger prefix or another number",
                    )
                else:
                    self._give(given)

    def _about(self, given: Given, wrong: str) -> str:
        return f"gives {given.address}, which {wrong}" if given.derived else f"{given.address} {wrong}"

    def _on_fabric(self, router: Router, given: Given, fabric: str, network: Network, family: str) -> None:
        prefix = network.prefix.get(family)
        base_path = ("fabrics", fabric, "networks", network.vrf, "hypervisors", family)
        if given.derived and base_path in self.mistakes:
            return
        if prefix is None:
            if ("fabrics", fabric, "networks", network.vrf) not in self.mistakes.touched:
                self.mistakes.add(
                    given.path,
                    f"{network.vrf} has no {family} prefix on fabric {fabric}",
                    "add it there, or remove this",
                )
        elif given.address not in prefix:
            elsewhere = self._network_around(given.address, family)
            other = f"it is in {elsewhere}" if elsewhere else f"{hosts_of(prefix)}"
            self.mistakes.add(
                given.path,
                self._about(given, f"is not in {prefix}, so {router.name} is not on fabric {fabric} in {network.vrf}"),
                other,
            )
        elif not is_host(given.address, prefix):
            self.mistakes.add(
                given.path,
                self._about(given, f"is the network or broadcast address of {prefix}"),
                f"{hosts_of(prefix)}",
            )
        else:
            is_new = self._give(given)
            if is_new and given.address == network.gateway.get(family) and router.path[0] == "hypervisors":
                place = ("fabrics", fabric, "networks", network.vrf, f"gateway{family[-1]}")
                self.mistakes.add(place, f"{given.address} is {router.name}'s own", "the address of a router there")

    def _give(self, given: Given) -> bool:
        """Whether the address is unique."""
        first = self.addresses.first.setdefault(given.address, given.path)
        if first != given.path:
            self.mistakes.add(given.path, self._about(given, f"is also given to {render(first)}"), self.addresses.right)
        return first == given.path

    def _guest(self, guest: Guest) -> None:
        segment = self.intent.segments.get(guest.segment or "")
        if segment is None:
            return
        is_ok = True
        for family in FAMILIES:
            path, address = (*guest.path, family), guest.address.get(family)
            if address is None:
                if family == "ipv4" and "ipv4" in segment.prefix and path not in self.mistakes:
                    self.mistakes.add(
                        path, "missing", f"an address in {segment.prefix[family]}, the prefix of segment {segment.name}"
                    )
                continue
            if self._is_free(address, segment):
                if is_ok or guest.has_mac or not guest.is_slaac:  # otherwise it follows from a wrong IPv4 address
                    is_ok = self._give_guest(guest, family) and is_ok
                continue
            is_ok = False
            self._outside(address, path, segment)
        if (
            guest.mac is None
            and "ipv6" in segment.prefix
            and "ipv4" not in segment.prefix
            and (*guest.path, "mac") not in self.mistakes
        ):
            self.mistakes.add(
                (*guest.path, "mac"), "missing", "without an IPv4 address there is nothing to derive it from"
            )
        if is_ok or guest.has_mac:
            self._mac(guest, segment)

    def _is_free(self, address: IPAddress, segment: Segment) -> bool:
        """Whether a guest of a segment can have an address."""
        family = family_of(address)
        return int(address) in self.hosts.get((segment.name, family), ()) and address != segment.gateway.get(family)

    def _outside(self, address: IPAddress, path: Path, segment: Segment) -> None:
        """Reports an address that no guest of a segment can have."""
        family = family_of(address)
        section, prefix = ("segments", segment.name, family), segment.prefix.get(family)
        if prefix is None:
            if section[:-1] not in self.mistakes.touched:
                wrong = f"segment {segment.name} has no {family} prefix"
                self.mistakes.add(path, wrong, "add it there, or remove this")
        elif address not in prefix:
            wrong = f"{address} is not in {prefix}, the prefix of segment {segment.name}"
            self.mistakes.add(path, wrong, hosts_of(prefix), cause=section)
        elif address == segment.gateway.get(family):
            wrong = f"{address} is the gateway of segment {segment.name}"
            self.mistakes.add(path, wrong, f"another address than its gateway{family[-1]}")
        else:
            self.mistakes.add(path, f"{address} is the network or broadcast address of {prefix}", hosts_of(prefix))

    def _additional(self, guest: Guest) -> None:
        segment = self.intent.segments.get(guest.segment or "")
        if segment is None:
            return
        shared = {given.address for given in segment.anycast}
        own: dict[IPAddress, Path] = {}
        for given in guest.additional:
            address, family = given.address, family_of(given.address)
            if not self._is_free(address, segment):
                self._outside(address, given.path, segment)
                continue
            if family not in guest.address:
                if guest.path not in self.mistakes.touched:
                    wrong = f"{guest.name} has no other {family.replace('ip', 'IP')} address"
                    self.mistakes.add(given.path, wrong, f"give it {family}")
                continue
            first = (own if address in shared else self.addresses.first).setdefault(address, given.path)
            if first != given.path:
                right = f"each address can be given once, unless it is in segments.{segment.name}.anycast"
                self.mistakes.add(given.path, f"{address} is also given to {render(first)}", right)

    def _mac(self, guest: Guest, segment: Segment) -> None:
        gateway, mac = segment.gateway.get("ipv6"), guest.mac
        if mac is not None and gateway is not None and int(gateway) == self.link_local | interface_identifier(mac):
            wrong = f"{gateway} is also the link-local address of {render(guest.path)}, which follows from its MAC"
            self.mistakes.add(("segments", segment.name, "gateway6"), wrong, "for instance fe80::1")
        self.macs.give(mac, guest.mac_path)

    def _give_guest(self, guest: Guest, family: str) -> bool:
        """Whether a guest's address is unique. An IPv6 address by SLAAC follows from the MAC: only that counts then."""
        if family == "ipv6" and guest.is_slaac:
            return self.macs.give(guest.mac, guest.mac_path) and self.addresses.give(
                guest.address[family], guest.mac_path
            )
        return self.addresses.give(guest.address[family], (*guest.path, family))

    def _router_id(self, router: Router) -> None:
        is_consequence = router.path in self.mistakes.touched or ("fabrics",) in self.mistakes.touched
        if router.bgp_id is None and not is_consequence:
            self.mistakes.add(
                (*router.path, "router_id"),
                "missing, and there is no IPv4 address to take it from",
                "for instance 192.0.2.1",
            )
