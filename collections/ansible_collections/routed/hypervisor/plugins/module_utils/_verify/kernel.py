# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies the kernel's routes, rules and addresses. Private to this collection.

Everything is read with iproute2, not with the code that configured it.
"""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_interface, ip_network

from .._netlink.marks import PROTOCOL
from .command import run, run_json

LENGTH = {"ipv4": 32, "ipv6": 128}
IP = {"ipv4": ["ip", "-4", "-json"], "ipv6": ["ip", "-6", "-json"]}


def routes(family, table):
    """Returns the next hops of the preferred unicast route to each prefix: {prefix: {gateway or interface}}.

    A next hop without a gateway, or with a link-local one, which an intent cannot contain, is given by its interface.
    """
    found, metrics = {}, {}
    listed = run_json([*IP[family], "route", "show", "table", str(table)])
    for route in sorted(listed, key=lambda route: route.get("metric", 0)):
        prefix = prefix_of(route["dst"], family)
        if metrics.setdefault(prefix, route.get("metric", 0)) != route.get("metric", 0):
            continue
        if route.get("type", "unicast") != "unicast":
            continue
        for hop in route.get("nexthops") or [route]:
            gateway = hop.get("gateway") or hop.get("via", {}).get("host")
            by_address = gateway and not ip_address(gateway).is_link_local
            target = str(ip_address(gateway)) if by_address else hop["dev"]
            found.setdefault(prefix, set()).add(target)
    return found


def prefix_of(text, family):
    if text == "default":
        return "0.0.0.0/0" if family == "ipv4" else "::/0"
    return str(ip_network(text, strict=False))


def verify_route(expected, table):
    """Passes if the next hops of the route are exactly the intended gateways or interfaces. With C(least), there are
    more than all routing daemons install: so many of them are enough."""
    seen = table.get(str(ip_network(expected["prefix"])))
    wanted = {str(ip_address(hop)) for hop in expected["nexthops"]} or set(expected["interfaces"])
    if seen is None:
        return False, "no such route"
    is_right = seen <= wanted and len(seen) >= expected.get("least", len(wanted))
    return is_right, ", ".join(sorted(seen))


def verify_rules(expected):
    """Passes if our rules are the intended ones, and the kernel's rule for VRFs is there if it is needed."""
    listed = run_json([*IP[expected["family"]], "rule", "show"])
    ours = [
        (
            rule["priority"],
            f"{rule.get('dst', rule['src'])}/{rule.get('dstlen', LENGTH[expected['family']])}",
            rule["table"],
        )
        for rule in listed
        if rule.get("protocol") == str(PROTOCOL)
    ]
    wanted = [(rule["priority"], rule["to"], str(rule["table"])) for rule in expected["rules"]]
    l3mdev = any("l3mdev" in rule for rule in listed)
    seen = [f"{priority}: to {to} table {table}" for priority, to, table in sorted(ours)]
    if expected["l3mdev"] and not l3mdev:
        seen.append("no rule for VRFs (l3mdev)")
    return sorted(ours) == sorted(wanted) and (l3mdev or not expected["l3mdev"]), ", ".join(seen) or "none"


def verify_listening(expected):
    """Passes if BGP listens in a VRF, or outside of all VRFs, or on each of `interfaces` if these are given.

    A session may be up without, but would not come back.
    """
    code, output, errors = run(["ss", "-H", "-l", "-t", "-n", "-4" if expected["family"] == "ipv4" else "-6"])
    if code:
        return False, errors.strip()
    sockets = [line.split()[3] for line in output.splitlines() if line.split()[3].endswith(":179")]
    found = {address.rpartition(":")[0].rpartition("%")[2] if "%" in address else None for address in sockets}
    wanted = set(expected.get("interfaces", [expected["vrf"]]))
    return wanted <= found, ", ".join(sockets) or "no listening socket"


def verify_route_source(expected):
    """The source address that a process outside any VRF gets for a destination."""
    family = "ipv6" if ":" in expected["to"] else "ipv4"
    answer = run_json([*IP[family], "route", "get", expected["to"]])
    source = answer[0].get("prefsrc") if answer else None
    return source == expected["source"], f"source {source}" if source else "no route"


def verify_container(expected):
    """Passes if a container's link has the intended kind, is up, and has the intended addresses and gateways.

    Addresses and routes of others are ignored. The gateway None stands for a default route without a gateway: the
    host's routes decide.
    """
    name, interface = expected["namespace"], expected["interface"]
    code, output, errors = run(["ip", "-n", name, "-details", "-json", "address", "show", "dev", interface])
    if code:
        return False, errors.strip()
    (link,) = filter(None, json.loads(output))
    kind = link.get("linkinfo", {})
    addresses = [f"{address['local']}/{address['prefixlen']}" for address in link["addr_info"]]
    data = kind.get("info_data", {})
    seen = {
        "kind": kind.get("info_kind"),
        "mode": data.get("mode"),
        "flag": next((flag for flag in ("bridge", "private", "vepa") if data.get(flag)), None),
        "state": "up" if "UP" in link["flags"] else "down",
        "addresses": sorted(set(addresses) & set(expected["addresses"])),
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
    command = ["ip", "-n", namespace, *IP[family][1:], "route", "show", "default", "dev", interface]
    defaults = run_json([*command, "protocol", str(PROTOCOL)])
    return defaults[0].get("gateway") if len(defaults) == 1 else f"{len(defaults)} default routes"


def verify_assigned(expected):
    """Passes if the network has assigned the guest exactly one dynamic address, the intended one, and its gateway.

    Static addresses of others and less preferred default routes are ignored.
    """
    family = "ipv6" if ":" in expected["address"] else "ipv4"
    seen = []
    for link in run_json([*IP[family], "address", "show", "dev", expected["interface"], "scope", "global"]):
        # iproute2 prints an empty object for each filtered one.
        for address in filter(None, link.get("addr_info", [])):
            if not address.get("dynamic") and address["local"] != str(ip_interface(expected["address"]).ip):
                continue
            flaws = [flaw for flaw in ("tentative", "dadfailed", "deprecated") if address.get(flaw)]
            flaws += [] if address.get("dynamic") else ["not dynamic"]
            seen.append(" ".join([address["local"], *flaws]))
    defaults = run_json([*IP[family], "route", "show", "default", "dev", expected["interface"]])
    best = min((route.get("metric", 0) for route in defaults), default=0)
    gateways = sorted({route["gateway"] for route in defaults if "gateway" in route and route.get("metric", 0) == best})
    passed = seen == [str(ip_interface(expected["address"]).ip)] and gateways == [expected["gateway"]]
    return passed, f"{', '.join(seen) or 'no address'}, gateway {', '.join(gateways) or 'none'}"
