# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All drills, and whose packets show their effect."""

from __future__ import annotations

import difflib
import typing as t

from . import cables, guests, routers
from .model import DrillMistake, Lab, Nodes, Pair, Plan, Wanted, pair

MOST_PAIRS = 4  # in each family
DRILLS: dict[str, t.Callable[[Wanted, Lab], Plan]] = {
    "cut_uplink": cables.cut_uplink,
    "silence_uplink": cables.silence_uplink,
    "flap_uplink": cables.flap_uplink,
    "impair": cables.impair,
    "lose_fabric": cables.lose_fabric,
    "kill_daemon": routers.kill_daemon,
    "stop_reflector": routers.stop_reflector,
    "reload": routers.reload,
    "reload_all": routers.reload_all,
    "reboot": routers.reboot,
    "kill_agent": guests.kill_agent,
    "migrate": guests.migrate,
}
OF_ALL_NODES = ("lose_fabric", "reload_all")
OF_A_FABRIC = ("cut_uplink", "silence_uplink", "flap_uplink", "impair", "lose_fabric")


def plan(wanted: Wanted, lab: Lab) -> Plan:
    """Raises DrillMistake."""
    if not wanted.drill:
        raise DrillMistake(f"no drill is given: there are {', '.join(DRILLS)}")
    if wanted.drill not in DRILLS:
        close = difflib.get_close_matches(wanted.drill, DRILLS, 1)
        right = f"did you mean {close[0]}?" if close else f"there are {', '.join(DRILLS)}"
        raise DrillMistake(f"no drill is called {wanted.drill}: {right}")
    if wanted.node is not None and wanted.drill in OF_ALL_NODES:
        raise DrillMistake(f"{wanted.drill} breaks more than one node, not {wanted.node} alone: leave the node out")
    if wanted.fabric is not None and wanted.drill not in OF_A_FABRIC:
        raise DrillMistake(f"{wanted.drill} is not rehearsed on a single fabric such as {wanted.fabric}: leave it out")
    if any("loss_percent" in cable.get("impair", {}) for cable in lab.cables):
        raise DrillMistake("cables of this lab lose packets (loss_percent in its intent), so no drill can be measured")
    made = DRILLS[wanted.drill](wanted, lab)
    pairs = made.pairs or _across(lab, made)
    made.pairs = [one for family in ("ipv4", "ipv6") for one in _of(pairs, family)[:MOST_PAIRS]]
    if not made.pairs:
        raise DrillMistake("no guests or containers on different hypervisors reach each other, so nothing is measured")
    return made


def _of(pairs: list[Pair], family: str) -> list[Pair]:
    return [one for one in pairs if one["family"] == family]


def _across(lab: Lab, made: Plan) -> list[Pair]:
    """Pairs that cross the fabrics, first those with an end on the node of a plan, each once and in each family."""
    place = _places(lab)
    found: set[tuple[str, ...]] = set()
    far: list[Pair] = []
    near: list[Pair] = []
    for host, one in _pings(lab):
        sender = one.get("namespace") or host
        ends = {place.get(sender, sender), place.get(one["to_name"], one["to_name"])}
        key = (one["family"], *sorted((sender, one["to_name"])))
        if len(ends) == 2 and key not in found and not (made.is_off and host == made.node):
            found.add(key)
            new = pair(host, one.get("namespace"), one["to"], one["to_name"], one["family"])
            (near if made.node in ends else far).append(new)
    return near + far


def _pings(lab: Lab) -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    """Of guests and containers; a hypervisor's own packets take other ways."""
    for host, variables in lab.nodes.items():
        for one in variables.get("verify", ()):
            is_wanted = one["kind"] == "ping" and one["expect"] == "reply" and not one["source"]
            if is_wanted and ("guest" in variables or one.get("namespace")):
                yield host, one


def _places(lab: Lab) -> dict[str, str]:
    """The hypervisor of each guest and container."""
    found = {name: node["guest"]["hypervisor"] for name, node in lab.nodes.items() if "guest" in node}
    found |= {one["namespace"]: host for host, one in _pings(lab) if one.get("namespace")}
    return found


def bfd_ms(nodes: Nodes) -> int | None:
    """How long BFD takes to find a dead path; the same on all routers of a fabric."""
    for variables in nodes.values():
        if bfd := (variables.get("bgp") or {}).get("bfd"):
            return int(bfd["interval_ms"] * bfd["multiplier"])
    return None
