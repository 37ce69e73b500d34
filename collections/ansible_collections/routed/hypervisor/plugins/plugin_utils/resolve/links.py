# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces and routes that are common to several kinds of nodes."""

from __future__ import annotations

from ..intent import names
from ..intent.model import FAMILIES, Fabric, Intent, Uplink

DEFAULT = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
# Per interface these have no effect, or only together with the value of "all"; docs/real_hosts.md explains each.
ROUTER_SYSCTLS = {
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.all.accept_redirects": "0",
}
IPV6_FORWARDING = {"net.ipv6.conf.all.forwarding": "1"}
# Loose: with two fabrics, replies may arrive on the other one. The kernel uses the larger of this value and that of
# "all", so that it also relaxes a strict "all", for this interface only.
LOOSE = 2


def without_nones(item: dict) -> dict:
    """The item without the keys that have the value None."""
    return {key: value for key, value in item.items() if value is not None}


def sysctls(values: dict) -> list[dict]:
    return [{"name": name, "value": value} for name, value in values.items()]


def vlan_interface(intent: Intent, uplink: Uplink, vrf: str) -> str:
    """The interface of a VRF on an uplink: one of its VLANs, or the uplink itself if untagged."""
    return names.vlan(uplink.interface, intent.vrfs[vrf].vlan)


def uplink_interfaces(intent: Intent, fabric: Fabric, uplink: Uplink, vrf_device, forwards) -> list[dict]:
    """The uplink and its VLANs. `vrf_device(vrf)` is the VRF device or None; `forwards(vrf)`: is IPv4 forwarded?"""
    interfaces = [without_nones({"name": uplink.interface, "mtu": fabric.mtu, "sysctls": {"ipv6": {"accept_ra": 0}}})]
    for vrf, families in uplink.given.items():
        network = fabric.networks[vrf]
        addresses = []
        for family in FAMILIES:
            if family in families:
                address = {"address": f"{families[family].address}/{network.prefix[family].prefixlen}"}
                # The intent was checked for duplicates; detection would delay every session after a link comes up.
                addresses.append({**address, "nodad": True} if family == "ipv6" else address)
        if not addresses:
            continue
        ipv4 = {"forwarding": int(forwards(vrf)), "rp_filter": LOOSE, "send_redirects": 0, "accept_redirects": 0}
        ipv6 = {"accept_ra": 0, "accept_redirects": 0, "keep_addr_on_down": 1}
        rest = {"vrf": vrf_device(vrf), "addresses": addresses, "sysctls": {"ipv4": ipv4, "ipv6": ipv6}}
        if intent.vrfs[vrf].vlan is None:
            interfaces[0].update(without_nones(rest))
            continue
        vlan = {"type": "vlan", "parent": uplink.interface, "vlan_id": intent.vrfs[vrf].vlan, "mtu": fabric.mtu}
        interfaces.append(without_nones({"name": vlan_interface(intent, uplink, vrf), **vlan, **rest}))
    return interfaces


def vrf_devices(intent: Intent, vrfs: list[str]) -> list[dict]:
    used = [intent.vrfs[vrf] for vrf in vrfs]
    return [{"name": vrf.device, "table": vrf.table} for vrf in used if vrf.device is not None]


def vrfs_of(intent: Intent, node) -> list[str]:
    """The VRFs that a router has an address in, in the order of the intent."""
    used = {vrf for uplink in node.uplinks.values() for vrf, families in uplink.given.items() if families}
    return [vrf for vrf in intent.vrfs if vrf in used]


def families_of(node, vrf: str) -> list[str]:
    """The families in which a router has addresses in a VRF."""
    given = [uplink.given.get(vrf, {}) for uplink in node.uplinks.values()]
    return [family for family in FAMILIES if any(family in families for families in given)]
