# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies the kernel's routes, rules and addresses. Private to this collection.

Everything is read with iproute2, not with the code that configured it.
"""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface, ip_network

from .command import run, run_json

IP = {"ipv4": ["ip", "-4", "-json"], "ipv6": ["ip", "-6", "-json"]}


def routes(family, table):
    """Returns the next hops of every unicast route of a table: {prefix: {gateway or interface}}.

    A next hop without a gateway, or with a link-local one, which an intent cannot contain, is given by its interface.
    """
    found = {}
    for route in run_json([*IP[family], "route", "show", "table", str(table)]):
        if route.get("type", "unicast") != "unicast":
            continue
        for hop in route.get("nexthops") or [route]:
            gateway = hop.get("gateway") or hop.get("via", {}).get("host")
            by_address = gateway and not ip_address(gateway).is_link_local
            target = str(ip_address(gateway)) if by_address else hop["dev"]
            found.setdefault(prefix_of(route["dst"], family), set()).add(target)
    return found


def prefix_of(text, family):
    if text == "default":
        return "0.0.0.0/0" if family == "ipv4" else "::/0"
    return str(ip_network(text, strict=False))


def verify_route(expected, table):
    """Passes if the next hops of the route are exactly the intended gateways or interfaces."""
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
    """Passes if a container's link has the intended kind, is up, and has exactly the intended addresses and gateways.

    The gateway None stands for a default route without a gateway: the host's routes decide.
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
        "gateways": {family: _default_gateway(name, family, interface) for family in expected["gateways"]},
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


def _default_gateway(namespace, family, interface):
    defaults = run_json(["ip", "-n", namespace, *IP[family][1:], "route", "show", "default", "dev", interface])
    return defaults[0].get("gateway") if len(defaults) == 1 else f"{len(defaults)} default routes"


def verify_assigned(expected):
    """Passes if the network has assigned the guest exactly one dynamic address, the intended one, and its gateway."""
    family = "ipv6" if ":" in expected["address"] else "ipv4"
    seen = []
    for link in run_json([*IP[family], "address", "show", "dev", expected["interface"], "scope", "global"]):
        # iproute2 prints an empty object for each filtered one.
        for address in filter(None, link.get("addr_info", [])):
            flaws = [flaw for flaw in ("tentative", "dadfailed", "deprecated") if address.get(flaw)]
            flaws += [] if address.get("dynamic") else ["not dynamic"]
            seen.append(" ".join([address["local"], *flaws]))
    defaults = run_json([*IP[family], "route", "show", "default", "dev", expected["interface"]])
    gateways = sorted({route["gateway"] for route in defaults if "gateway" in route})
    passed = seen == [str(ip_interface(expected["address"]).ip)] and gateways == [expected["gateway"]]
    return passed, f"{', '.join(seen) or 'no address'}, gateway {', '.join(gateways) or 'none'}"
