# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel holds: routes, rules, addresses. Private to this collection.

Everything is asked of iproute2, not of the code that made it.
"""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface, ip_network

from .command import run, run_json

IP = {"ipv4": ["ip", "-4", "-json"], "ipv6": ["ip", "-6", "-json"]}


def routes(family, table):
    """Returns what every unicast route of a table leads to: {prefix: {gateway, or interface}}.

    The interface stands for what has no gateway, and for link-local ones, which no intent knows.
    """
    found = {}
    for route in run_json([*IP[family], "route", "show", "table", str(table)]):
        if route.get("type", "unicast") != "unicast":
            continue
        for hop in route.get("nexthops") or [route]:
            gateway = hop.get("gateway") or hop.get("via", {}).get("host")
            is_known = gateway and not ip_address(gateway).is_link_local
            leads_to = str(ip_address(gateway)) if is_known else hop["dev"]
            found.setdefault(prefix_of(route["dst"], family), set()).add(leads_to)
    return found


def prefix_of(text, family):
    if text == "default":
        return "0.0.0.0/0" if family == "ipv4" else "::/0"
    return str(ip_network(text, strict=False))


def verify_route(expected, table):
    """A route is right when its next hops are exactly the intended ones, or it leads to the intended interfaces."""
    seen = table.get(str(ip_network(expected["prefix"])))
    wanted = {str(ip_address(hop)) for hop in expected["nexthops"]} or set(expected["interfaces"])
    if seen is None:
        return False, "no such route"
    return seen == wanted, ", ".join(sorted(seen))


def verify_rules(expected):
    count = len(run_json([*IP[expected["family"]], "rule", "show"]))
    return count == expected["count"], f"{count} rules"


def verify_route_source(expected):
    """The source address that a process outside any VRF gets for a destination."""
    family = "ipv6" if ":" in expected["to"] else "ipv4"
    answer = run_json([*IP[family], "route", "get", expected["to"]])
    source = answer[0].get("prefsrc") if answer else None
    return source == expected["source"], f"source {source}" if source else "no route"


def verify_container(expected):
    """A container's link: of the intended kind, up, with exactly the intended addresses and ways out.

    A way out without a gateway is None: the host's routes decide.
    """
    name, interface = expected["namespace"], expected["interface"]
    code, output, errors = run(["ip", "-n", name, "-details", "-json", "address", "show", "dev", interface])
    if code:
        return False, errors.strip()
    (link,) = filter(None, json.loads(output))
    kind = link.get("linkinfo", {})
    addresses = [
        f"{address['local']}/{address['prefixlen']}" for address in link["addr_info"] if address["scope"] == "global"
    ]
    data = kind.get("info_data", {})
    seen = {
        "kind": kind.get("info_kind"),
        "mode": data.get("mode"),
        "flag": next((flag for flag in ("bridge", "private", "vepa") if data.get(flag)), None),
        "state": "up" if "UP" in link["flags"] else "down",
        "addresses": sorted(addresses),
        "gateways": {family: _way_out(name, family, interface) for family in expected["gateways"]},
    }
    wanted = {
        "kind": "ipvlan",
        "mode": expected["mode"],
        "flag": expected["flag"],
        "state": "up",
        "addresses": sorted(expected["addresses"]),
        "gateways": expected["gateways"],
    }
    return seen == wanted, ", ".join(f"{key} {value}" for key, value in seen.items())


def _way_out(namespace, family, interface):
    ways = run_json(["ip", "-n", namespace, *IP[family][1:], "route", "show", "default", "dev", interface])
    return ways[0].get("gateway") if len(ways) == 1 else f"{len(ways)} default routes"


def verify_assigned(expected):
    """What the network gave a guest: exactly one dynamic address, the intended one, and the way out."""
    family = "ipv6" if ":" in expected["address"] else "ipv4"
    seen = []
    for link in run_json([*IP[family], "address", "show", "dev", expected["interface"], "scope", "global"]):
        # iproute2 leaves an empty object where it filters one out.
        for address in filter(None, link.get("addr_info", [])):
            flaws = [flaw for flaw in ("tentative", "dadfailed", "deprecated") if address.get(flaw)]
            flaws += [] if address.get("dynamic") else ["not dynamic"]
            seen.append(" ".join([address["local"], *flaws]))
    ways = run_json([*IP[family], "route", "show", "default", "dev", expected["interface"]])
    gateways = sorted({way["gateway"] for way in ways if "gateway" in way})
    passed = seen == [str(ip_interface(expected["address"]).ip)] and gateways == [expected["gateway"]]
    return passed, f"{', '.join(seen) or 'no address'}, gateway {', '.join(gateways) or 'none'}"
