# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the BGP and BFD sessions of FRR. Private to this collection."""

from __future__ import annotations

import json

from .command import run

FAMILIES = {"ipv4Unicast": "ipv4", "ipv6Unicast": "ipv6"}


def vtysh(*commands):
    """Returns the JSON values that commands print, and why FRR did not answer, or None."""
    code, output, errors = run(["vtysh", *(word for command in commands for word in ("-c", command))])
    found = values(output)
    if code or not found:
        return [], (errors.strip() or output.strip() or f"vtysh ended with {code} and printed nothing")
    return found, None


def values(text):
    """The JSON objects and lists in a text: commands for all VRFs print one per VRF, some with text in between."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (start := min((i for i in (text.find("{", at), text.find("[", at)) if i >= 0), default=-1)) >= 0:
        try:
            value, at = decoder.raw_decode(text, start)
        except ValueError:
            at = start + 1
        else:
            found.append(value)
    return found


def sessions():
    """Returns the sessions by (VRF or None, neighbor), see parse_neighbors, or {"error": why FRR does not answer}."""
    found, error = vtysh("show bgp vrf all neighbors json")
    return {"error": error} if error else parse_neighbors(found[0])


def parse_neighbors(answer):
    """Parses `show bgp vrf all neighbors json`: an object per VRF, with an object per neighbor besides other keys."""
    found = {}
    for vrf, neighbors in answer.items():
        for neighbor, item in neighbors.items():
            if not isinstance(item, dict) or "bgpState" not in item:
                continue
            families = item.get("addressFamilyInfo", {})
            name = None if vrf == "default" else vrf
            found[name, neighbor] = {
                "name": item.get("nbrDesc", neighbor),
                "state": item["bgpState"],
                "neighbor": neighbor,
                "neighbor_as": item.get("remoteAs"),
                "local_as": item.get("localAs"),
                "vrf": name,
                "families": [FAMILIES.get(family, family) for family in families],
                "up_ms": item.get("bgpTimerUpMsec"),
                "accepted": sum(part.get("acceptedPrefixCounter", 0) for part in families.values()),
                "error": item.get("lastNotificationReason") or item.get("lastResetDueTo"),
            }
    return found


def verify_bgp(expected, found):
    """Passes if the session is established, with the intended neighbour and family, in the intended VRF."""
    if "error" in found:
        return False, found["error"]
    session = found.get((expected.get("vrf"), expected["neighbor"]))
    where = f"VRF {expected.get('vrf') or 'none'}"
    if session is None:
        return False, f"FRR has no neighbor {expected['neighbor']} in {where}"
    seen = f"{session['state']}, neighbor {session['neighbor']}, {'+'.join(session['families'])}, {where}"
    if session["error"] and session["state"] != "Established":
        seen += f", last reset: {session['error']}"
    passed = session["state"] == "Established" and expected.get("family") in (None, *session["families"])
    return passed, seen


def bfd_sessions():
    """Returns the state of every BFD session by (VRF or None, neighbor)."""
    found, error = vtysh("show bfd peers json")
    return {"error": error} if error else parse_bfd(found[0])


def parse_bfd(peers):
    """Parses `show bfd peers json` (all VRFs). Of several sessions with a neighbour, one that is not up counts."""
    states = {}
    for peer in peers:
        key = (None if peer.get("vrf") in (None, "default") else peer["vrf"], peer.get("peer"))
        if states.get(key) in (None, "Up"):
            states[key] = peer.get("status", "unknown").capitalize()
    return states


def verify_bfd(expected, found):
    if "error" in found:
        return False, found["error"]
    state = found.get((expected.get("vrf"), expected["neighbor"]))
    return state == "Up", state or "FRR has no such BFD session"
