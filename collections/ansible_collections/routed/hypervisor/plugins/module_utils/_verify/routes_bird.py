# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes in BIRD's tables, and its clock. Private to this collection."""

from __future__ import annotations

import datetime
import re

from .command import run

# PREFIX TYPE [PROTOCOL TIME from NEIGHBOR] * (PREFERENCE/METRIC) …; further routes to the same prefix omit it.
ROUTE = re.compile(
    r"^(?P<prefix>[0-9a-fA-F:.]+/\d+)?\s+(?P<type>\w+) \[(?P<protocol>\S+) (?P<since>[^\]]*?)(?: from \S+)?\]"
    r"(?P<best> \*)?(?: \S)? \((?P<preference>\d+)(?:/(?P<metric>\d+|\?))?"
)
HOP = re.compile(r"^\t(?:via (?P<address>\S+) on|dev) (?P<interface>\S+)")
KINDS = {"BGP": "bgp", "device": "connected", "inherit": "kernel", "static": "static"}
DATE, TIME = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"(\d\d):(\d\d):(\d\d)")


def server_time():
    """BIRD's clock, to which its other times refer; None if unknown."""
    _code, output, _errors = run(["birdc", "-r", "show", "status"])
    found = re.search(r"Current server time is (\S+ \d\d:\d\d:\d\d)", output)
    return datetime.datetime.fromisoformat(found.group(1)) if found else None


def seconds_since(text, now):
    """Seconds from a time as BIRD prints it to BIRD's clock. For times some hours ago it prints the date."""
    date, clock = DATE.search(text), TIME.search(text)
    if now is None or not (date or clock):
        return None
    day = datetime.date.fromisoformat(date.group()) if date else now.date()
    hour, minute, second = (int(part) for part in clock.groups()) if clock else (0, 0, 0)
    then = datetime.datetime.combine(day, datetime.time(hour, minute, second))
    if then > now and not date:
        then -= datetime.timedelta(days=1)
    return max(0, int((now - then).total_seconds()))


def routes(now):
    _code, protocols, _errors = run(["birdc", "-r", "show", "protocols", "all"])
    _code, output, _errors = run(["birdc", "-r", "show", "route", "all", "table", "all"])
    return parse_routes(output, vrfs_of_tables(protocols), now)


def vrfs_of_tables(text):
    """Maps tables to VRFs, from `birdc show protocols all`: a table is in the VRF of the protocols that use it."""
    found = {}
    for block in re.split(r"\n\s*\n", text):
        vrf = re.search(r"^  VRF: +(\S+)", block, re.MULTILINE)
        for table in re.findall(r"^    Table: +(\S+)", block, re.MULTILINE):
            if vrf and vrf.group(1) != "default":
                found[table] = vrf.group(1)
    return found


def parse_routes(text, vrfs, now):
    """Parses `birdc show route all table all`: one line per route, with its next hops and attributes below."""
    found, vrf, prefix = [], None, None
    for line in text.splitlines():
        head = ROUTE.match(line)
        if line.startswith("Table "):
            vrf = vrfs.get(line[6:].rstrip(":"))
        elif head:
            prefix = head["prefix"] or prefix
            found.append(_route(head, prefix, vrf, now))
        elif found and (hop := HOP.match(line)):
            found[-1]["next_hops"].append({"address": hop["address"], "interface": hop["interface"]})
        elif found and line.startswith("\t"):
            _attribute(found[-1], *line.strip().partition(": ")[::2])
    return found


def _route(head, prefix, vrf, now):
    return {
        "daemon": "bird",
        "instance": None,
        "vrf": vrf,
        "family": "ipv6" if ":" in prefix else "ipv4",
        "prefix": prefix,
        "protocol": head["type"],
        "best": bool(head["best"]),
        "preference": int(head["preference"]),
        "metric": int(head["metric"]) if (head["metric"] or "?") != "?" else 0,
        "uptime_s": seconds_since(head["since"], now),
        "next_hops": [],
    }


def _attribute(route, name, value):
    """The metric of a BGP route is its MED, and the next hop is that of BGP, which may be several hops away."""
    if name == "Type":
        word = value.split()[0]
        route["protocol"] = KINDS.get(word, word.lower().partition("-")[0])
        if word == "BGP":
            route["metric"] = 0
    elif name == "BGP.med":
        route["metric"] = int(value)
    elif name == "BGP.next_hop":
        address = value.split()[0]
        if address not in [hop["address"] for hop in route["next_hops"]]:
            route["next_hops"] = [{"address": address, "interface": None}]
