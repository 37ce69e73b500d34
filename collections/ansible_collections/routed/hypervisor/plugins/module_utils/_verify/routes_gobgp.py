# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the routes of a GoBGP instance. Private to this collection."""

from __future__ import annotations

import json

from .command import run
from .gobgp import SOCKET

MAIN = "main"  # the name of the instance outside of VRFs
NEXT_HOP, MED, MP_REACH = 3, 4, 14


def routes(instance, vrf, now):
    found = []
    for family in ("ipv4", "ipv6"):
        target = f"unix://{SOCKET.format(instance=instance)}"
        code, output, _errors = run(["gobgp", "--target", target, "global", "rib", "-a", family, "-j"])
        if code == 0 and output.strip():
            found += parse_rib(output, instance, vrf, family, now)
    return found


def parse_rib(text, instance, vrf, family, now):
    """Parses `gobgp global rib -j`: a list of paths per prefix."""
    return [
        _route(path, prefix, instance, vrf, family, now)
        for prefix, paths in (json.loads(text) or {}).items()
        for path in paths
    ]


def _route(path, prefix, instance, vrf, family, now):
    attributes = {attribute["type"]: attribute for attribute in path.get("attrs", [])}
    hop = (attributes.get(MP_REACH) or attributes.get(NEXT_HOP) or {}).get("nexthop")
    is_received = path.get("neighbor-ip") not in (None, "<nil>")
    return {
        "daemon": "gobgp",
        "instance": instance,
        "vrf": vrf,
        "family": family,
        "prefix": prefix,
        "protocol": "bgp" if is_received else "local",
        "best": bool(path.get("best")),
        # GoBGP handles only BGP: it has no preferences between protocols.
        "preference": None,
        "metric": attributes.get(MED, {}).get("metric", 0),
        "uptime_s": max(0, int(now - path["age"])) if "age" in path else None,
        "next_hops": [{"address": hop, "interface": None}] if is_received and hop else [],
    }
