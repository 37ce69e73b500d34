# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints sessions and routes as tables. Private to this collection."""

from __future__ import annotations

SESSIONS = ("NEIGHBOR", "AS", "NAME", "FAMILY", "STATE", "UP", "RECEIVED", "ACCEPTED")
ROUTES = ("PREFIX", "", "VIA", "[PREF/METRIC]", "UP", "PROTOCOL")


def text(sessions, routes, errors):
    """All tables of a host: for each daemon and VRF the sessions, and the routes, if any."""
    parts = [f"{daemon} does not answer: {error}" for daemon, error in errors.items()]
    places = dict.fromkeys((item["daemon"], item["vrf"]) for item in [*sessions, *routes])
    for daemon, vrf in places:
        own = [item for item in sessions if (item["daemon"], item["vrf"]) == (daemon, vrf)]
        own_routes = [item for item in routes if (item["daemon"], item["vrf"]) == (daemon, vrf)]
        parts.append(f"{daemon}, VRF {vrf or 'default'}")
        if own:
            parts.append(_table(SESSIONS, [_session(item) for item in own]))
        if own_routes:
            parts.append(_table(ROUTES, [row for item in own_routes for row in _route(item)]))
    return "\n\n".join(parts) + "\n" if parts else "no BGP daemon is running here\n"


def duration(seconds):
    """Seconds in the format of routers: 3661 is 01:01:01, 90061 is 1d01h, None is `-`."""
    if seconds is None:
        return "-"
    days, rest = divmod(seconds, 86400)
    if days:
        return f"{days}d{rest // 3600:02}h"
    return f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def _session(item):
    state = item["state"] if not item["last_error"] else f"{item['state']} ({item['last_error']})"
    numbers = (str(item["prefixes_received"]), str(item["prefixes_accepted"]))
    families = "+".join(item["families"])
    remote = str(item["neighbor_as"] or "-")
    return (item["neighbor"], remote, item["name"], families, state, duration(item["uptime_s"]), *numbers)


def _route(item):
    """One line per next hop, the prefix on the first."""
    preference = "-" if item["preference"] is None else item["preference"]
    hops = [" ".join(filter(None, (hop["address"], hop["interface"]))) for hop in item["next_hops"]] or ["-"]
    first = (item["prefix"], "*" if item["best"] else "", hops[0])
    rest = (f"[{preference}/{item['metric']}]", duration(item["uptime_s"]), item["protocol"])
    return [(*first, *rest), *(("", "", hop, "", "", "") for hop in hops[1:])]


def _table(head, rows):
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (head, *rows))
    return "\n".join(lines)
