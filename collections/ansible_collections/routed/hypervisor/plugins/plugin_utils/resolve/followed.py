# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of guests that may run on any hypervisor, for the agent: what each port gets where it appears."""

from __future__ import annotations

from ...module_utils._netlink.marks import FOLLOWED
from ..intent.addresses import family_of, tap_mac
from ..intent.adjacency import has_vrf
from ..intent.model import FAMILIES, LENGTH, MAIN_TABLE, Guest, Hypervisor, Intent, Segment
from .links import without_nones

# First halves of communities, private AS: with a guest's sequence number, and with the id of its hypervisor.
PLACE_COMMUNITY, HOST_COMMUNITY = 65085, 65086


def crosses_systems(intent: Intent) -> bool:
    """Whether routers in several autonomous systems must agree on where a guest is."""
    systems = {router.asn for router in (*intent.hypervisors.values(), *intent.leaves.values())}
    return bool(intent.guests) and len(systems) > 1


def segments_on(intent: Intent, node: Hypervisor) -> list[Segment]:
    """The segments of such guests that may run on a hypervisor."""
    names = dict.fromkeys(guest.segment for guest in intent.guests)
    return [intent.segments[name] for name in names if has_vrf(node, intent.segments[name].vrf)]


def families_of(intent: Intent, segment: Segment) -> list[str]:
    """The address families that such guests of a segment have."""
    guests = [guest for guest in intent.guests if guest.segment == segment.name]
    return [family for family in FAMILIES if any(family in guest.address for guest in guests)]


def tables(intent: Intent, neighbors: dict[str, list[str]]) -> dict[str, dict]:
    """The table of each segment with such guests: the same on all hypervisors."""
    made: dict[str, dict] = {}
    for guest in intent.guests:
        segment = intent.segments[guest.segment]
        table = made.setdefault(segment.name, {"ports": {}, "guests": {}})
        kind = f"{segment.name} {'+'.join(guest.address)}"
        if kind not in table["ports"]:
            table["ports"][kind] = _port(intent, segment, guest, neighbors[segment.name])
        table["guests"][guest.name] = {
            "kind": kind,
            "mac": guest.mac,
            "port": guest.port or None,
            "addresses": [str(address) for address in guest.addresses if not segment.is_shared(address)],
            "port_mac": tap_mac(guest.mac),
        }
        shared = [str(address) for address in guest.addresses if segment.is_shared(address)]
        if shared:
            table["guests"][guest.name]["anycast"] = shared
    return made


def followed_guests(intent: Intent, by_segment: dict[str, dict], node: Hypervisor) -> dict:
    here = [by_segment[segment.name] for segment in segments_on(intent, node)]
    return {part: {key: value for table in here for key, value in table[part].items()} for part in ("ports", "guests")}


def routes_in(intent: Intent, node: Hypervisor, vrf: str, family: str) -> dict | None:
    """How a routing daemon recognizes the agent's routes in one of its tables; None if there are none."""
    segments = [
        segment
        for segment in segments_on(intent, node)
        if segment.vrf == vrf and family in families_of(intent, segment)
    ]
    if not segments:
        return None
    made: dict = {
        "protocol": FOLLOWED,
        "prefixes": [{"prefix": str(segment.prefix[family]), "longest": LENGTH[family]} for segment in segments],
    }
    if crosses_systems(intent):
        made["communities"] = {"place": PLACE_COMMUNITY, "host": [HOST_COMMUNITY, node.id]}
    shared = [given.address for segment in segments for given in segment.anycast]
    anycast = [f"{address}/{LENGTH[family]}" for address in shared if family_of(address) == family]
    return {**made, "anycast": anycast} if anycast else made


def _port(intent: Intent, segment: Segment, guest: Guest, neighbors: list[str]) -> dict:
    """What the ports of guests of one segment and of the same address families get."""
    vrf = intent.vrfs[segment.vrf]
    interface = port_options(guest, segment, vrf.device)
    return {
        "interface": interface,
        "proxy_arp": {
            "proxy_arp": "ipv4" in guest.address,
            "proxy_ndp": "ipv6" in guest.address,
            "delay": 0,
            "ndp_delay": 0,
        },
        "neighbors": neighbors if "ipv6" in guest.address else [],
        "gateways": [str(segment.gateway[family]) for family in FAMILIES if family in guest.address],
        "tables": list(dict.fromkeys((vrf.table, MAIN_TABLE))),
    }


def port_options(guest: Guest, segment: Segment, vrf_device: str | None) -> dict:
    """The interface to a guest. It has the gateway's addresses, but nothing that makes the segment on-link."""
    addresses: list[dict] = []
    ipv4 = {"forwarding": 0, "rp_filter": 1, "send_redirects": 0, "accept_redirects": 0}
    if "ipv4" in guest.address:
        ipv4["forwarding"] = 1
        addresses.append({"address": f"{segment.gateway['ipv4']}/32", "scope": "link"})
    if "ipv6" in guest.address:
        addresses.append({"address": f"{segment.gateway['ipv6']}/64", "nodad": True})
    # addr_gen_mode 1: the only link-local address is the gateway's, which is the same on every hypervisor.
    ipv6 = {"accept_ra": 0, "accept_redirects": 0, "addr_gen_mode": 1}
    options = {"vrf": vrf_device, "mtu": segment.mtu, "addresses": addresses, "sysctls": {"ipv4": ipv4, "ipv6": ipv6}}
    return without_nones(options)
