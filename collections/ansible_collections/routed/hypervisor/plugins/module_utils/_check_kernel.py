# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel holds: routes, rules, addresses. This module_util is private to this collection.

Everything is asked of iproute2, not of the code that made it.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

from ansible_collections.routed.hypervisor.plugins.module_utils._check_command import run_json

IP = {"ipv4": ["ip", "-4", "-json"], "ipv6": ["ip", "-6", "-json"]}


def routes(family, table):
    """Returns the next hops of every unicast route of a table: {prefix: {gateway, …}}."""
    found = {}
    for route in run_json(IP[family] + ["route", "show", "table", str(table)]):
        if route.get("type", "unicast") != "unicast":
            continue
        prefix = prefix_of(route["dst"], family)
        hops = route.get("nexthops") or [route]
        gateways = (hop.get("gateway") or hop.get("via", {}).get("host") for hop in hops)
        found.setdefault(prefix, set()).update(gateway for gateway in gateways if gateway)
    return found


def prefix_of(text, family):
    if text == "default":
        return "0.0.0.0/0" if family == "ipv4" else "::/0"
    return str(ip_network(text, strict=False))


def check_route(check, table):
    """A route is right when its next hops are exactly the intended ones."""
    seen = table.get(str(ip_network(check["prefix"])))
    wanted = {str(ip_address(hop)) for hop in check["nexthops"]}
    if seen is None:
        return False, "no such route"
    seen = {str(ip_address(hop)) for hop in seen}
    return seen == wanted, "next hops " + (", ".join(sorted(seen)) or "none")


def check_rules(check):
    count = len(run_json(IP[check["family"]] + ["rule", "show"]))
    return count == check["count"], f"{count} rules"


def check_route_source(check):
    """The source address that a process outside any VRF gets for a destination."""
    family = "ipv6" if ":" in check["to"] else "ipv4"
    answer = run_json(IP[family] + ["route", "get", check["to"]])
    source = answer[0].get("prefsrc") if answer else None
    return source == check["source"], f"source {source}" if source else "no route"


def check_address(check, dynamic):
    """An address that the node was given by the network, not by us: a lease, or one from a router advertisement."""
    wanted = ip_interface(check["address"])
    seen = []
    for link in run_json(["ip", "-json", "address", "show", "dev", check["interface"]]):
        for address in link.get("addr_info", []):
            if address.get("scope") != "global" or address["family"] != f"inet{'6' if wanted.version == 6 else ''}":
                continue
            text = f"{address['local']}/{address['prefixlen']}"
            seen.append(text + ("" if address.get("dynamic") else " (not dynamic)"))
            if address.get("tentative") or address.get("dadfailed"):
                seen[-1] += " (duplicate address detection not passed)"
    # One address and no other: a stale or second lease is a mistake too.
    return seen == [str(wanted) + ("" if dynamic else " (not dynamic)")], ", ".join(seen) or "no address"
