# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services for guests on their ports: DHCP, router advertisements, replies to neighbor solicitations."""

from __future__ import annotations

from ..intent.adjacency import has_vrf
from ..intent.model import Hypervisor, Intent
from .links import vlan_interface
from .proxy_ndp import NDPPD, guests_of

NDP_TIMEOUT_MS = 500
NDP_TTL_MS = 30000


def all_of(intent: Intent, node: Hypervisor) -> dict:
    # Both daemons know ports by name, and run while a port is absent.
    anywhere = [guest for guest in intent.guests if guest.port and has_vrf(node, intent.segments[guest.segment].vrf)]
    pairs = [(guest, intent.segments[guest.segment]) for guest in (*node.guests, *anywhere)]
    solicited = guests_of(intent, node, NDPPD)
    return {
        "dnsmasq": _dnsmasq([pair for pair in pairs if "ipv4" in pair[0].address and pair[1].lease_s is not None]),
        "dhcrelay": {"instances": _relays(intent, node, pairs)},
        "radvd": {"interfaces": [_radvd(*pair) for pair in pairs if "ipv6" in pair[0].address]},
        "ndppd": {
            "proxies": [
                *(_ndppd(guest.port, intent.segments[guest.segment].prefix["ipv6"]) for guest in solicited),
                *(_ndppd(part.host_link, part.prefix["ipv6"]) for part in _spanning(node)),
            ],
            "may_be_absent": [guest.port for guest in solicited],
        },
    }


def _dnsmasq(pairs: list[tuple]) -> dict:
    segments = {segment.name: segment for _guest, segment in pairs}
    return {
        "ports": [guest.port for guest, _segment in pairs],
        "networks": [
            {
                "tag": segment.name,
                "prefix": str(segment.prefix["ipv4"]),
                "start": str(segment.prefix["ipv4"].network),
                "netmask": str(segment.prefix["ipv4"].netmask),
                "gateway": str(segment.gateway["ipv4"]),
                "lease_s": segment.lease_s,
                "dns": [str(address) for address in segment.dns if address.version == 4],
                "mtu": segment.mtu,
            }
            for segment in segments.values()
        ],
        "hosts": [
            {"name": guest.name, "mac": guest.mac, "address": str(guest.address["ipv4"]), "tag": segment.name}
            for guest, segment in pairs
        ],
    }


def _relays(intent: Intent, node: Hypervisor, pairs: list[tuple]) -> list[dict]:
    """One for each segment: a relay sends every request to all of its servers."""
    ports: dict[str, list[str]] = {}
    for guest, segment in pairs:
        if segment.relay and "ipv4" in guest.address:
            ports.setdefault(segment.name, []).append(guest.port)
    return [
        {
            "name": name,
            "vrf": intent.vrfs[intent.segments[name].vrf].device,
            "source": intent.loopbacks[intent.segments[name].vrf].interface,
            "uplinks": [
                vlan_interface(intent, uplink, intent.segments[name].vrf)
                for uplink in node.uplinks.values()
                if uplink.address(intent.segments[name].vrf, "ipv4") is not None
            ],
            "ports": ports[name],
            "servers": [str(given.address) for given in intent.segments[name].relay],
        }
        for name in ports
    ]


def _radvd(guest, segment) -> dict:
    return {
        "name": guest.port,
        "prefix": str(segment.prefix["ipv6"]),
        "source": str(segment.gateway["ipv6"]),
        "mtu": segment.mtu,
        "rdnss": [str(address) for address in segment.dns if address.version == 6],
    }


def _spanning(node: Hypervisor) -> list:
    """Parts of networks whose IPv6 prefix spans all hosts: their containers also solicit remote containers."""
    return [
        part
        for part in node.parts.values()
        if part.prefix_owner == "network" and part.has_host_link and "ipv6" in part.prefix
    ]


def _ndppd(interface: str, prefix) -> dict:
    rule = {"prefix": str(prefix), "method": "static", "interface": None}
    return {"interface": interface, "router": True, "timeout": NDP_TIMEOUT_MS, "ttl": NDP_TTL_MS, "rules": [rule]}
