# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the sessions of BIRD. Private to this collection."""

from __future__ import annotations

import re

from .command import run

# A time of today, a date if it is some hours ago, or both, depending on `timeformat protocol`.
SINCE = re.compile(r"\s(\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d\S*)?|\d\d:\d\d:\d\d\S*)(?=\s)")
BFD_LINE = re.compile(r"^(?P<neighbor>[0-9a-fA-F:.]+)\s+(?P<interface>\S+)\s+(?P<state>\S+)\s")


def bgp_sessions():
    """Returns the BGP sessions by protocol name: state, neighbor, vrf, imported routes, time or date since."""
    code, output, errors = run(["birdc", "-r", "show", "protocols", "all"])
    if code:
        return {"error": (errors or output).strip()}
    return parse_protocols(output)


def parse_protocols(text):
    """Parses `birdc show protocols all`: one block per protocol, separated by empty lines."""
    sessions = {}
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line and not line.startswith(("BIRD", "Access", "Name "))]
        if not lines or lines[0].startswith(" "):
            continue
        words = lines[0].split(None, 5)
        if len(words) < 5 or words[1] != "BGP":
            continue
        # Column 3 is the table, which is "---" for BGP; then state, since and information.
        fields = {
            key.strip(): value.strip() for key, _colon, value in (line.partition(":") for line in lines[1:]) if value
        }
        routes = re.search(r"(\d+) imported", fields.get("Routes", ""))
        filtered = re.search(r"(\d+) filtered", fields.get("Routes", ""))
        imported = int(routes.group(1)) if routes else 0
        sessions[words[0]] = {
            "state": fields.get("BGP state", words[3]),
            "neighbor": fields.get("Neighbor address", "").partition("%")[0],
            "neighbor_as": _number(fields.get("Neighbor AS")),
            "local_as": _number(fields.get("Local AS")),
            "vrf": None if fields.get("VRF") == "default" else fields.get("VRF"),
            "families": re.findall(r"^  Channel (\S+)", block, re.MULTILINE),
            "since": _since(block),
            "error": fields.get("Last error"),
            "imported": imported,
            # Filtered routes are counted only with `import keep filtered`.
            "received": imported + (int(filtered.group(1)) if filtered else 0),
        }
    return sessions


def _number(text):
    return int(text) if text and text.isdigit() else None


def _since(block):
    """When a protocol entered its state, as BIRD prints it."""
    found = SINCE.search(block)
    return found.group(1) if found else ""


def bfd_sessions():
    """Returns the state of every BFD session by (neighbor, interface)."""
    code, output, errors = run(["birdc", "-r", "show", "bfd", "sessions"])
    if code:
        return {"error": (errors or output).strip()}
    return parse_bfd(output)


def parse_bfd(text):
    found = (BFD_LINE.match(line) for line in text.splitlines())
    return {(line["neighbor"], line["interface"]): line["state"] for line in found if line}


def verify_bgp(expected, sessions):
    """Passes if the session is established, with the intended neighbour, in the intended VRF."""
    session = sessions.get(expected["session"])
    if session is None:
        return False, sessions.get("error") or f"BIRD has no protocol {expected['session']}"
    seen = f"{session['state']}, neighbor {session['neighbor']}, VRF {session['vrf'] or 'none'}"
    if session["error"] and session["state"] != "Established":
        seen += f", last error {session['error']}"
    passed = (
        session["state"] == "Established"
        and session["neighbor"] == expected["neighbor"]
        and session["vrf"] == expected.get("vrf")
    )
    return passed, seen


def verify_bfd(expected, sessions):
    if "error" in sessions:
        return False, sessions["error"]
    state = sessions.get((expected["neighbor"], expected["interface"]))
    return state == "Up", state or "BIRD has no such BFD session"
