# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a production intent to that of its twin, which is a lab. Private to this collection."""

from __future__ import annotations

import copy
import itertools
import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ..intent.adjacency import has_vrf
from ..intent.mistakes import Mistakes, listed
from ..intent.model import Intent
from . import outside
from .differences import Differences
from .names import node_names

Data = dict[str, t.Any]  # of an intent file
SECTIONS = ("hypervisors", "reflectors", "borders", "leaves")
LONGEST_NAME = 32  # of a lab
ENDING = "-twin"
# A lab's kernel has one processor for all nodes. With less, sessions of a fleet flap while the twin is verified.
BFD = {"interval_ms": 1000, "multiplier": 5}
# OSPF has found another way by then, as intent/ospf_checks.py demands, whatever production has.
BGP_TIMERS = {"hold_s": 60, "keepalive_s": 10}
OSPF_TIMERS = {"hello_s": 5, "dead_s": 20}
# Container runtimes whose nodes run systemd.
UNDER_SYSTEMD = frozenset(("podman", "docker"))


@dataclass
class Twin:
    """`intent` is the data of its intent, `names` those of its nodes, by their names in production."""

    intent: Data
    names: dict[str, str]
    differences: Differences


def twin(production: Data, intent: Intent, chosen: t.Any, mistakes: Mistakes) -> Twin:
    """The twin of PRODUCTION, the data of a file that was read as INTENT. CHOSEN are names for nodes."""
    made, found = copy.deepcopy(production), Differences()
    made["name"] = intent.name[: LONGEST_NAME - len(ENDING)] + ENDING
    _slow_down(made, intent, found)
    _leases(made, found)
    _platforms(made, found)
    _place_guests(made, intent, found)
    _on_dummies(made, found)
    added = outside.replace(made, intent, found)
    names = node_names(intent, added, chosen, mistakes)
    made["lab"] = _lab(intent, names, found)
    _rename(made, intent, names, found)
    return Twin(made, names, found)


def _slow_down(made: Data, intent: Intent, found: Differences) -> None:
    slower = "dead paths are detected later"
    bfd, bgp, ospf = intent.bfd, made["bgp"], intent.ospf
    if bfd and bfd["interval_ms"] * bfd["multiplier"] < BFD["interval_ms"] * BFD["multiplier"]:
        bgp["bfd"] = dict(BFD)
        given = f"{bfd['interval_ms']} ms x {bfd['multiplier']}"
        found.add(slower, f"BFD {BFD['interval_ms']} ms x {BFD['multiplier']} instead of {given}")
    if intent.timers["hold_s"] < BGP_TIMERS["hold_s"]:
        bgp.setdefault("timers", {}).update(BGP_TIMERS)
        found.add(slower, f"hold timer of BGP {BGP_TIMERS['hold_s']} s instead of {intent.timers['hold_s']} s")
    if ospf and ospf["timers"]["dead_s"] < OSPF_TIMERS["dead_s"]:
        made["ospf"].setdefault("timers", {}).update(OSPF_TIMERS)
        found.add(slower, f"dead timer of OSPF {OSPF_TIMERS['dead_s']} s instead of {ospf['timers']['dead_s']} s")


def _leases(made: Data, found: Differences) -> None:
    for name, segment in made.get("segments", {}).items():
        if segment.get("dhcp", {}).pop("relay", None):
            found.add(
                "hypervisors are the DHCP servers of their guests, instead of relays to others", f"segment {name}"
            )


def _platforms(made: Data, found: Differences) -> None:
    for name, leaf in made.get("leaves", {}).items():
        if leaf.get("platform") == "nxos":
            leaf["platform"] = "frr"
            found.add("leaves with NX-OS are FRR, configured from the same data", name)


def _place_guests(made: Data, intent: Intent, found: Differences) -> None:
    """Guests that may run on any hypervisor: one after the other on each that has their VRF."""
    given = made.pop("guests", {})
    hosts = {
        vrf: itertools.cycle([node.name for node in intent.hypervisors.values() if has_vrf(node, vrf)])
        for vrf in {segment.vrf for segment in intent.segments.values()}
    }
    for guest in intent.guests:
        host = next(hosts[intent.segments[guest.segment].vrf])
        made["hypervisors"][host].setdefault("guests", {})[guest.name] = given[guest.name]
        found.add("guests of any hypervisor are on one, and no agent follows them", f"{guest.name} on {host}")


def _on_dummies(made: Data, found: Differences) -> None:
    """An interface that nothing else uses leads out of the fabric, and is in no lab."""
    parts = [part for host in made["hypervisors"].values() for part in host.get("container_networks", {}).items()]
    for name, network in [*made.get("container_networks", {}).items(), *parts]:
        if interface := network.pop("interface", None):
            found.add("links of containers are on a dummy, not on an interface of the host", f"{name} ({interface})")


def _lab(intent: Intent, names: Mapping[str, str], found: Differences) -> Data:
    runtimes = {
        node.name: {runtime for part in node.parts.values() for runtime in part.runtimes}
        for node in intent.hypervisors.values()
    }
    booted = [name for name, used in runtimes.items() if used & UNDER_SYSTEMD]
    other = f", but {listed(booted)}" if booted else ""
    found.add(f"nodes{other} have no systemd, so there are no reboots and no changes that undo themselves")
    guests = sum(len(node.guests) for node in intent.hypervisors.values()) + len(intent.guests)
    if guests:
        found.add(f"guests are simulated: {guests} network namespaces with a DHCP client, and all of them run")
    return {"nodes": {names[name]: {"init": "systemd"} for name in booted}} if booted else {}


def _rename(made: Data, intent: Intent, names: Mapping[str, str], found: Differences) -> None:
    for host in intent.hypervisors.values():
        for guest in host.guests:
            if names[guest.name] != guest.name:  # after which its port is called
                made["hypervisors"][host.name]["guests"][guest.name]["port"] = guest.port
    for section in SECTIONS:
        if section in made:
            made[section] = _renamed(made[section], names)
    for node in made["hypervisors"].values():
        for key in ("guests", "neighbors"):
            if key in node:
                node[key] = _renamed(node[key], names)
    for name, new in names.items():
        if name != new:
            found.add("nodes have other names", f"{name} is {new}")


def _renamed(given: Data, names: Mapping[str, str]) -> Data:
    return {names.get(name, name): value for name, value in given.items()}
