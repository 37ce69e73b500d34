# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the routes in FRR's tables, and the number of received prefixes. Private to this collection."""

from __future__ import annotations

import re

from .frr import vtysh

UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


def routes():
    found, _error = vtysh("show ip route vrf all json", "show ipv6 route vrf all json")
    return [route for answer in found for route in parse_routes(answer)]


def parse_routes(answer):
    """Parses `show ip route vrf all json`: a list of routes per prefix. Omits link-local prefixes."""
    return [
        _route(route) for found in answer.values() for route in found if not route["prefix"].lower().startswith("fe80:")
    ]


def _route(route):
    vrf = route.get("vrfName", "default")
    return {
        "daemon": "frr",
        "instance": None,
        "vrf": None if vrf == "default" else vrf,
        "family": "ipv6" if ":" in route["prefix"] else "ipv4",
        "prefix": route["prefix"],
        "protocol": {"ospf6": "ospf"}.get(route["protocol"], route["protocol"]),
        "best": route.get("selected", False),
        "preference": route["distance"],
        "metric": route["metric"],
        "uptime_s": seconds(route.get("uptime", "")),
        # The next hop of BGP, without those that it resolves to.
        "next_hops": [
            {"address": hop.get("ip"), "interface": hop.get("interfaceName")}
            for hop in route.get("nexthops", [])
            if not hop.get("resolver")
        ],
    }


def seconds(text):
    """Seconds of 00:01:28, 1d02h03m or 01w2d03h; None for anything else."""
    if clock := re.fullmatch(r"(\d+):(\d\d):(\d\d)", text):
        hours, minutes, rest = (int(part) for part in clock.groups())
        return hours * 3600 + minutes * 60 + rest
    parts = re.findall(r"(\d+)([wdhms])", text)
    return sum(int(number) * UNITS[unit] for number, unit in parts) if parts else None


def received(sessions):
    """The number of prefixes received from each (VRF, neighbor), if FRR stores them (soft-reconfiguration)."""
    queries = [
        (key, f"show bgp vrf {key[0] or 'default'} {family} unicast neighbors {key[1]} prefix-counts json")
        for key, session in sessions.items()
        for family in session["families"]
        if session["state"] == "Established"
    ]
    if not queries:
        return {}
    answers, _error = vtysh(*(command for _key, command in queries))
    if len(answers) != len(queries):
        return {}
    counts: dict = {}
    for (key, _command), answer in zip(queries, answers, strict=True):
        # Without soft-reconfiguration, Adj-in is 0, and only accepted prefixes are counted.
        number = answer.get("ribTableWalkCounters", {}).get("Adj-in") or answer.get("pfxCounter", 0)
        counts[key] = counts.get(key, 0) + number
    return counts
