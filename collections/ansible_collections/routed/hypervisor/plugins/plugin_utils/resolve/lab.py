# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's nodes and cables, for the host that runs them."""

from __future__ import annotations

from ..intent import names
from ..intent.addresses import port_mac
from ..intent.model import Intent
from . import guest as guests
from . import metrics
from .index import Index
from .links import without_nones
from .switch import attached

LAB_HOST = "lab_host"  # the machine that the nodes are on
SYSTEMD = ("dbus", "systemd")  # the packages of nodes that run it; without such nodes, the image does without them

# The packages of container runtimes, likewise.
PLUGINS = "containernetworking-plugins"
RUNTIMES = {"cni": {PLUGINS}, "podman": {PLUGINS, "podman"}, "docker": {"docker.io"}}


def lab(intent: Intent, found: Index, owner: str) -> dict:
    nodes = [_node(intent, name) for name in intent.lab_nodes]
    packages = set(intent.lab.packages if intent.lab else ())
    if any(node.get("init") == "systemd" for node in nodes):
        packages |= set(SYSTEMD)
    for node in intent.hypervisors.values():
        for part in node.parts.values():
            packages.update(*(RUNTIMES[runtime] for runtime in part.runtimes))
    if intent.metrics:
        packages |= set(metrics.PACKAGES)
    return {
        "name": intent.name,
        "owner": owner,
        "packages": sorted(packages),
        "nodes": nodes,
        "cables": _cables(intent, found),
        **({"drills": intent.lab.drills} if intent.lab and intent.lab.drills else {}),
    }


def _node(intent: Intent, name: str) -> dict:
    init = intent.lab.init_of(name) if intent.lab else "minimal"
    return {"name": name} if init == "minimal" else {"name": name, "init": init}


def _cables(intent: Intent, found: Index) -> list[dict]:
    cables = []
    for fabric in intent.fabrics.values():
        for node in attached(found, fabric.name):
            ends = {
                "a": {"node": node.name, "interface": node.uplinks[fabric.name].interface},
                "b": {"node": names.switch(fabric.name), "interface": node.name},
            }
            impair = intent.lab.impairment_of(node.name, fabric.name) if intent.lab else None
            cables.append(without_nones({**ends, "mtu": fabric.mtu, "impair": impair or None}))
    for hypervisor in intent.hypervisors.values():
        for guest in hypervisor.guests:
            ends = {
                "a": {"node": hypervisor.name, "interface": guest.port, "mac": port_mac(guest.mac)},
                "b": {"node": guest.name, "interface": guests.INTERFACE, "mac": guest.mac},
            }
            cables.append(without_nones({**ends, "mtu": intent.segments[guest.segment].mtu}))
    return cables
