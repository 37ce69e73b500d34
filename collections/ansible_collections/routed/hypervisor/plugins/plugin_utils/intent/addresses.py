# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that follow from others."""

from __future__ import annotations

import functools
import socket
import typing as t

from ...module_utils._addresses.ipv6 import interface_identifier
from ..libraries import netaddr

if t.TYPE_CHECKING:
    from netaddr import IPAddress, IPNetwork


@functools.lru_cache(100_000)
def address(text: str) -> IPAddress:
    """The address that TEXT is. Addresses are checked, then used; netaddr takes five times as long to parse each."""
    is_ipv6 = ":" in text
    try:
        packed = socket.inet_pton(socket.AF_INET6 if is_ipv6 else socket.AF_INET, text)
        return netaddr.IPAddress(int.from_bytes(packed, "big"), 6 if is_ipv6 else 4)
    except OSError as error:
        raise ValueError(f"{text!r} is not an address") from error


def family_of(address_or_prefix: IPAddress | IPNetwork) -> str:
    return f"ipv{address_or_prefix.version}"


def gateways(data: dict[str, t.Any]) -> dict[str, IPAddress]:
    """The addresses under gateway4 and gateway6, by family."""
    return {f"ipv{digit}": address(data[f"gateway{digit}"]) for digit in "46" if f"gateway{digit}" in data}


def plus(base: IPAddress, number: int) -> IPAddress | None:
    """BASE + NUMBER, or None beyond the last address of the family."""
    try:
        return base + number
    except (IndexError, netaddr.AddrFormatError):
        return None


def mac_from_ipv4(address: IPAddress) -> str:
    """02:00 (locally administered) and the four bytes of the address: unique as long as the address is."""
    return f"02:00:{int(address).to_bytes(4, 'big').hex(':')}"


def port_mac(guest_mac: str) -> str:
    """The MAC of the hypervisor's end of a guest's cable: 02:01 and the last four bytes of the guest's MAC.

    It does not depend on the hypervisor or on other guests, so a guest's neighbor entry for its gateway stays valid
    when guests are added, removed or moved.
    """
    start = "02:03" if guest_mac.startswith("02:01") else "02:01"
    return f"{start}:{guest_mac[6:]}"


def tap_mac(guest_mac: str) -> str:
    """The MAC of the port of a guest that may run anywhere: the one that libvirt gives to a tap, so that both agree."""
    return f"{'fa' if guest_mac.startswith('fe') else 'fe'}:{guest_mac[3:]}"


def slaac(prefix: IPNetwork, mac: str) -> IPAddress:
    """The address that a host with this MAC configures in PREFIX (RFC 4291, appendix A)."""
    return netaddr.IPAddress(prefix.first | interface_identifier(mac), 6)  # netaddr.EUI takes ten times as long


def hosts(network: IPNetwork) -> range:
    """The addresses that hosts in NETWORK can have, as numbers: neither its network nor its broadcast address.

    IPv6 has no broadcast, but the first address is the routers' anycast address (RFC 4291, 2.6.1). Both ends of a /31
    and of a /127, and a whole /32 or /128, are hosts (RFC 3021, RFC 6164).
    """
    first, last = network.first, network.last
    if last - first < 2:
        return range(first, last + 1)
    return range(first + 1, last + (network.version == 6))


def is_host(address: IPAddress, network: IPNetwork) -> bool:
    """Whether a host in NETWORK can have ADDRESS."""
    return address.version == network.version and int(address) in hosts(network)


def hosts_of(network: IPNetwork) -> str:
    """The range of addresses that hosts can have, for messages."""
    able = hosts(network)
    first, last = (netaddr.IPAddress(number, network.version) for number in (able[0], able[-1]))
    return f"{first} to {last}"
