# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes in FRR's tables, and what its neighbours sent. Private to this collection."""

from __future__ import annotations

import re

from .frr import vtysh

UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


def routes():
    found, _error = vtysh("show ip route vrf all json", "show ipv6 route vrf all json")
    return [route for answer in found for route in parse_routes(answer)]


def parse_routes(answer):
    """Parses `show ip route vrf all json`: a list of ways for each prefix. Link-local prefixes are everywhere."""
    return [_route(way) for ways in answer.values() for way in ways if not way["prefix"].lower().startswith("fe80:")]


def _route(way):
    vrf = way.get("vrfName", "default")
    return {
        "daemon": "frr",
        "instance": None,
        "vrf": None if vrf == "default" else vrf,
        "family": "ipv6" if ":" in way["prefix"] else "ipv4",
        "prefix": way["prefix"],
        "protocol": {"ospf6": "ospf"}.get(way["protocol"], way["protocol"]),
        "best": way.get("selected", False),
        "preference": way["distance"],
        "metric": way["metric"],
        "uptime_s": seconds(way.get("uptime", "")),
        # The next hop that BGP has is told, not those that lead to it.
        "next_hops": [
            {"address": hop.get("ip"), "interface": hop.get("interfaceName")}
            for hop in way.get("nexthops", [])
            if not hop.get("resolver")
        ],
    }


def seconds(text):
    """Seconds of 00:01:28, 1d02h03m or 01w2d03h; None of anything else."""
    if clock := re.fullmatch(r"(\d+):(\d\d):(\d\d)", text):
        hours, minutes, rest = (int(part) for part in clock.groups())
        return hours * 3600 + minutes * 60 + rest
    parts = re.findall(r"(\d+)([wdhms])", text)
    return sum(int(number) * UNITS[unit] for number, unit in parts) if parts else None


def received(sessions):
    """(VRF, neighbor) to the number of prefixes that it sent, as far as FRR keeps them (soft-reconfiguration)."""
    asked = [
        (key, f"show bgp vrf {key[0] or 'default'} {family} unicast neighbors {key[1]} prefix-counts json")
        for key, session in sessions.items()
        for family in session["families"]
        if session["state"] == "Established"
    ]
    if not asked:
        return {}
    answers, _error = vtysh(*(command for _key, command in asked))
    if len(answers) != len(asked):
        return {}
    counts: dict = {}
    for (key, _command), answer in zip(asked, answers, strict=True):
        # Without soft-reconfiguration the count of what came in is 0, and what was let in is all that is known.
        number = answer.get("ribTableWalkCounters", {}).get("Adj-in") or answer.get("pfxCounter", 0)
        counts[key] = counts.get(key, 0) + number
    return counts
