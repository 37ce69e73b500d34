# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of a router's BGP and BFD sessions."""

from __future__ import annotations

LABEL = {"ipv4": "IPv4", "ipv6": "IPv6"}


def expectations(resolved: dict) -> list[dict]:
    """Each BGP session and each BFD session of a router's resolved variables."""
    bgp = resolved["bgp"]
    found = _listening(bgp["sessions"], bgp.get("strict_bind", False))
    if bgp["daemon"] == "frr":
        return found + _of_frr(bgp["sessions"])
    for session in bgp["sessions"]:
        where = f"in {session['vrf']}" if session["vrf"] else "in the main table"
        found += [
            {
                "kind": "bgp",
                "title": f"BGP session {session['name']} is up {where}",
                "session": session["name"],
                "vrf": session["vrf"],
                "neighbor": session["neighbor"],
                "family": family,
                **({"daemon": "gobgp", "instance": session["instance"]} if bgp["daemon"] == "gobgp" else {}),
            }
            for family in session["families"]
        ]
        if session["bfd"]:
            title = f"BFD session with {session['neighbor']} on {session['interface']} is up"
            found.append(
                {"kind": "bfd", "title": title, "neighbor": session["neighbor"], "interface": session["interface"]}
            )
    return found


def _listening(sessions: list[dict], strict_bind: bool) -> list[dict]:
    """That neighbours can open sessions, too: in each VRF and family with a session."""
    places: dict[tuple[str | None, str], dict[str | None, None]] = {}
    for one in sessions:
        for family in one["families"]:
            places.setdefault((one["vrf"], family), {})[one["interface"] or one["vrf"]] = None
    return [
        {
            "kind": "listening",
            "title": f"BGP listens in {vrf or 'the main table'} ({LABEL[family]})",
            "family": family,
            "vrf": vrf,
            **({"interfaces": list(interfaces)} if strict_bind else {}),
        }
        for (vrf, family), interfaces in places.items()
    ]


def _of_frr(sessions: list[dict]) -> list[dict]:
    found = []
    for one in sessions:
        place = {"daemon": "frr", "neighbor": one["neighbor"], "vrf": one["vrf"]}
        title = f"BGP session {one['name']} is up in {one['vrf'] or 'the main table'}"
        found += [{"kind": "bgp", "title": title, "family": family, **place} for family in one["families"]]
        if one["bfd"]:
            found.append({"kind": "bfd", "title": f"BFD session with {one['neighbor']} is up", **place})
    return found
