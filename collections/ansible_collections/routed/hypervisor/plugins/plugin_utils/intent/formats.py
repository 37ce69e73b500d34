# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats of strings in an intent, each with the wording for its error message."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..libraries import netaddr
from .addresses import address

# Interface names with another meaning in the kernel (/proc/sys/net/*/conf/all, default), or that are
# keywords where `ip` and dhcpcd expect a name.
RESERVED_INTERFACES = frozenset(("lo", "all", "default", "up", "down", "dev", "type", "none", "bonding_masters"))
# Names of hosts and groups that Ansible or the inventory plugin creates.
RESERVED_NODES = frozenset(
    (
        "all",
        "ungrouped",
        "localhost",
        "lab",
        "lab_host",
        "lab_nodes",
        "hypervisors",
        "reflectors",
        "borders",
        "leaves",
        "bird_routers",
        "gobgp_routers",
        "frr_routers",
        "nxos_leaves",
        "guests",
        "switches",
        "routers",
    )
)
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # RFC 1123, section 2.1
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
INTERFACE_LENGTH = 15  # IFNAMSIZ without its final zero
HOST_LENGTH = 253  # of a name in DNS
HIGHEST_PORT = 65535


def _prefix(family: int | None) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            network = netaddr.IPNetwork(text)
        except (netaddr.AddrFormatError, ValueError):
            return False
        return "/" in text and network.ip == network.network and family in (None, network.version)

    return check


def _meant_network(text: str) -> str | None:
    """The network of an address with a prefix length."""
    try:
        return str(netaddr.IPNetwork(text).cidr) if "/" in text else None
    except (netaddr.AddrFormatError, ValueError):
        return None


def _address(family: int | None) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return family in (None, address(text).version)
        except ValueError:
            return False

    return check


def _name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _host(text: str) -> bool:
    is_name = all(map(_LABEL.fullmatch, text.split(".")))
    return is_name and len(text) <= HOST_LENGTH and text not in RESERVED_NODES


def _interface(text: str) -> bool:
    return _INTERFACE.fullmatch(text) is not None and len(text) <= INTERFACE_LENGTH and text not in RESERVED_INTERFACES


def _range(text: str) -> bool:
    first, _hyphen, last = text.partition("-")
    return _address(4)(first) and _address(4)(last) and netaddr.IPAddress(first) <= netaddr.IPAddress(last)


def _port_range(text: str) -> bool:
    match = re.fullmatch(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,4})", text)
    return match is not None and int(match[1]) <= int(match[2]) <= HIGHEST_PORT


def is_nxos(text: str) -> bool:
    """Whether NX-OS can have an L3 interface or a port of this name."""
    vlan = re.fullmatch(r"Vlan([1-9][0-9]{0,3})", text)
    if vlan:
        return int(vlan[1]) <= 4094
    return re.fullmatch(r"Ethernet[1-9][0-9]*(/[1-9][0-9]*){1,2}", text) is not None


def _mac(text: str) -> bool:
    return _MAC.fullmatch(text) is not None and not int(text[:2], 16) & 1 and int(text.replace(":", ""), 16) > 0


@dataclass(frozen=True)
class Format:
    """`is_valid` tests a string, `wanted` completes "X is not …", and `meant` returns what was probably meant."""

    is_valid: Callable[[str], bool]
    wanted: str
    meant: Callable[[str], str | None] = lambda _text: None

    def rejection(self, text: str) -> str:
        """The rest of the sentence about a string that is not valid, and what would be right."""
        meant = self.meant(text)
        if meant is None or not self.is_valid(meant):
            return f"is not {self.wanted}"
        return f"is not {self.wanted.partition(';')[0]}; did you mean {meant}?"


_IN_A_NAME = "letters, digits and hyphens, beginning with a letter"

FORMATS = {
    "name": Format(_name, f"a name; {_IN_A_NAME}"),
    "network-name": Format(
        lambda text: re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,9}", text) is not None and _interface(text),
        "a name for a container network, which is part of interface names; up to 10 "
        f"{_IN_A_NAME}, not reserved (all, default, lo, …)",
    ),
    "lab-name": Format(
        lambda text: re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,31}", text) is not None,
        "a name; up to 32 letters, digits, _ and -, beginning with a letter",
    ),
    "host-name": Format(
        _host,
        "a name for a node; a host name such as hv1 or hv1.example.net, not reserved (all, hypervisors, …)",
    ),
    "vrf-name": Format(
        # No hyphens: VRF names become parts of identifiers in BIRD, which must stay unambiguous.
        lambda text: re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) is not None and _interface(text),
        f"a name for a VRF, which is an interface; up to {INTERFACE_LENGTH} letters, digits and _, "
        "beginning with a letter, not reserved (all, default, lo, …)",
    ),
    "interface": Format(
        _interface,
        f"an interface name; up to {INTERFACE_LENGTH} letters, digits, _, . and -, not reserved (all, default, lo, …)",
    ),
    "port": Format(
        lambda text: is_nxos(text) or _interface(text),
        "an interface name; for instance Vlan10, Ethernet1/44 on NX-OS, or a Linux interface name",
    ),
    "package": Format(
        lambda text: re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", text) is not None,
        "the name of a Debian package; for instance iperf3",
    ),
    "ipv4": Format(_address(4), "an IPv4 address; for instance 192.0.2.1"),
    "ipv6": Format(_address(6), "an IPv6 address; for instance 2001:db8::1"),
    "address": Format(_address(None), "an address; for instance 192.0.2.1 or 2001:db8::1"),
    "ipv4-prefix": Format(
        _prefix(4), "an IPv4 prefix; for instance 192.0.2.0/24, with no bits set after the length", _meant_network
    ),
    "ipv6-prefix": Format(
        _prefix(6), "an IPv6 prefix; for instance 2001:db8::/64, with no bits set after the length", _meant_network
    ),
    "prefix": Format(
        _prefix(None), "a prefix; for instance 192.0.2.0/24, with no bits set after the length", _meant_network
    ),
    "ipv4-range": Format(_range, "a range of IPv4 addresses; for instance 192.0.2.100-192.0.2.199"),
    "port-range": Format(_port_range, f"a range of ports; for instance 8000-8100, from 1 to {HIGHEST_PORT}"),
    "guest-ipv6": Format(
        lambda text: text in ("slaac", "none") or _address(6)(text),
        "slaac, none or an IPv6 address; for instance 2001:db8::1",
    ),
    "net-sysctl": Format(
        lambda text: re.fullmatch(r"net(\.[A-Za-z0-9_-]+){2,}", text) is not None,
        "a sysctl of a network namespace; for instance net.core.somaxconn",
    ),
    "mac": Format(_mac, "the MAC address of one interface; for instance 02:00:cb:00:71:01"),
}

_RESERVED = RESERVED_NODES | RESERVED_INTERFACES
# The names of lab nodes, which real hosts do not need.
LAB_NODE = Format(
    lambda text: _name(text) and len(text) <= INTERFACE_LENGTH and text not in _RESERVED,
    "a name for a node of a lab, after which the other end of its cable is named; "
    f"up to {INTERFACE_LENGTH} {_IN_A_NAME}, not reserved (all, default, lo, hypervisors, …)",
)
