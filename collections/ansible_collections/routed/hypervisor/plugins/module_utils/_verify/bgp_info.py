# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions and routes of BIRD, GoBGP and FRR in a common format. Private to this collection.

A session: daemon, instance, name, vrf, neighbor, neighbor_as, local_as, families, state, uptime_s, prefixes_received,
prefixes_accepted, last_error. A route: daemon, instance, vrf, family, prefix, protocol, best, preference, metric,
uptime_s, next_hops (each with address and interface).
"""

from __future__ import annotations

import os
import time
from ipaddress import ip_network

from . import bird as bird_state
from . import frr as frr_state
from . import gobgp as gobgp_state
from . import routes_bird as bird_routes
from . import routes_frr as frr_routes
from . import routes_gobgp as gobgp_routes

DAEMONS = ("bird", "frr", "gobgp")
# The control sockets of running daemons.
BIRD_SOCKET, FRR_SOCKET = "/run/bird/bird.ctl", "/run/frr/bgpd.vty"


def running():
    """The daemons of this host that can be queried."""
    answers = {"bird": os.path.exists(BIRD_SOCKET), "frr": os.path.exists(FRR_SOCKET), "gobgp": gobgp_state.instances()}
    return [daemon for daemon in DAEMONS if answers[daemon]]


def gather(daemons, with_routes):
    """Returns (sessions, routes, errors) of these daemons; errors are {daemon: why it did not answer}."""
    readers = {"bird": _bird, "frr": _frr, "gobgp": _gobgp}
    sessions, routes, errors = [], [], {}
    for daemon in daemons:
        own_sessions, own_routes, error = readers[daemon](with_routes)
        sessions += own_sessions
        routes += own_routes
        if error:
            errors[daemon] = error
    sessions.sort(key=lambda item: (item["daemon"], item["vrf"] or "", item["families"], _order(item["neighbor"])))
    routes.sort(key=lambda item: (item["daemon"], item["vrf"] or "", *_order(item["prefix"]), not item["best"]))
    return sessions, routes, errors


def _order(text):
    """A sort key: neighbours given as an interface or a range first, then addresses and prefixes in numeric order."""
    try:
        network = ip_network(text)
    except ValueError:
        return 0, text
    return network.version, network


def _session(daemon, instance, name, seen, uptime_s, received, accepted):
    up = seen["state"] == "Established"
    return {
        "daemon": daemon,
        "instance": instance,
        "name": name,
        "vrf": seen["vrf"],
        "neighbor": seen["neighbor"],
        "neighbor_as": seen["neighbor_as"],
        "local_as": seen["local_as"],
        "families": seen["families"],
        "state": seen["state"],
        "uptime_s": uptime_s if up else None,
        "prefixes_received": received if up else 0,
        "prefixes_accepted": accepted if up else 0,
        "last_error": None if up else seen.get("error"),
    }


def _bird(with_routes):
    found = bird_state.bgp_sessions()
    if "error" in found:
        return [], [], found["error"]
    now = bird_routes.server_time()
    sessions = [
        _session(
            "bird", None, name, seen, bird_routes.seconds_since(seen["since"], now), seen["received"], seen["imported"]
        )
        for name, seen in found.items()
    ]
    return sessions, bird_routes.routes(now) if with_routes else [], None


def _frr(with_routes):
    found = frr_state.sessions()
    if "error" in found:
        return [], [], found["error"]
    received = frr_routes.received(found)
    sessions = [
        _session(
            "frr",
            None,
            seen["name"],
            seen,
            seen["up_ms"] // 1000 if seen["up_ms"] is not None else None,
            received.get(key, seen["accepted"]),
            seen["accepted"],
        )
        for key, seen in found.items()
    ]
    return sessions, frr_routes.routes() if with_routes else [], None


def _gobgp(with_routes):
    sessions, routes, errors, now = [], [], [], time.time()
    for instance in gobgp_state.instances() or [gobgp_routes.MAIN]:
        found = gobgp_state.sessions(instance)
        if "error" in found:
            errors.append(f"{instance}: {found['error']}")
            continue
        vrf = None if instance == gobgp_routes.MAIN else instance
        for name, seen in found.items():
            since = seen["since"]
            uptime_s = max(0, int(now - since)) if since is not None else None
            one = _session("gobgp", instance, name, {**seen, "vrf": vrf}, uptime_s, seen["received"], seen["accepted"])
            sessions.append(one)
        routes += gobgp_routes.routes(instance, vrf, now) if with_routes else []
    return sessions, routes, "; ".join(errors) or None
