# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the sessions of a GoBGP instance, and whether the agent keeps its routes and the kernel's in step.

Private to this collection.
"""

from __future__ import annotations

import glob
import json
import os

from .._agent.routing.status import status
from .command import run

# The API socket of an instance, as configured by the role gobgp.
SOCKET = "/run/routed-hypervisor-gobgp/{instance}.sock"
STATES = ("Unknown", "Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established")
FAMILIES = {(1, 1): "ipv4", (2, 1): "ipv6"}


def instances():
    """The names of the instances that have an API socket."""
    head, tail = SOCKET.split("{instance}")
    return sorted(path.removeprefix(head).removesuffix(tail) for path in glob.glob(f"{head}*{tail}"))


def sessions(instance):
    """Returns the sessions of an instance by name: state, neighbor, families, received and accepted routes, since when.

    If it does not answer, "error" is the reason.
    """
    path = SOCKET.format(instance=instance)
    if not os.path.exists(path):
        return {"error": f"no GoBGP answers: there is no {path}"}
    code, output, errors = run(["gobgp", "--target", f"unix://{path}", "neighbor", "--json"])
    if code:
        return {"error": (output + errors).strip()}
    return parse_neighbors(output)


def parse_neighbors(text):
    """Parses `gobgp neighbor --json`, which omits zero and empty values. A session's name is its description."""
    found = {}
    for item in json.loads(text) or []:
        conf, state = item.get("conf", {}), item.get("state", {})
        families = [(family, part.get("state", {})) for family, part in _families(item)]
        number = state.get("session_state", 0)
        found[conf.get("description") or conf.get("neighbor_address")] = {
            "state": STATES[number] if number < len(STATES) else str(number),
            "neighbor": conf.get("neighbor_address"),
            "neighbor_as": conf.get("peer_asn"),
            "local_as": conf.get("local_asn"),
            "since": item.get("timers", {}).get("state", {}).get("uptime", {}).get("seconds"),
            "families": [family for family, _part in families],
            "received": sum(part.get("received", 0) for _family, part in families),
            "accepted": sum(part.get("accepted", 0) for _family, part in families),
        }
    return found


def _families(item):
    for part in item.get("afi_safis", []):
        family = part.get("config", {}).get("family", {})
        key = (family.get("afi"), family.get("safi"))
        yield FAMILIES.get(key, f"{key[0]}/{key[1]}"), part


def verify_bgp(expected, found):
    """Passes if the session is established, with the intended neighbour and family, in the intended instance."""
    session = found.get(expected["session"])
    if session is None:
        return False, found.get("error") or f"GoBGP {expected['instance']} has no session {expected['session']}"
    seen = (
        f"{session['state']}, neighbor {session['neighbor']}, {'+'.join(session['families'])}, "
        f"instance {expected['instance']}"
    )
    passed = (
        session["state"] == "Established"
        and session["neighbor"] == expected["neighbor"]
        and expected.get("family") in (None, *session["families"])
    )
    return passed, seen


def verify_in_step(expected):
    """The agent runs, and GoBGP and the kernel do not differ."""
    found = status(expected["routing_manager"])
    wrong = [*found.problems, *found.differences]
    return not wrong, "\n".join([*wrong, *found.lines()])
