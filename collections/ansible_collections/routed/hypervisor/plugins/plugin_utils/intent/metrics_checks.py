# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks metrics: that the firewall can let the servers in, and nobody else."""

from __future__ import annotations

from .addresses import family_of
from .adjacency import has_vrf, place
from .draft import MAIN, Intent
from .mistakes import Mistakes, listed
from .placement import Placement
from .uniqueness import Once


def check(intent: Intent, mistakes: Mistakes, placed: Placement) -> None:
    metrics = intent.metrics
    if metrics is None:
        return
    if not intent.firewall:
        wrong = "the firewall, which keeps others from the exporters, is switched off"
        mistakes.add(("metrics",), wrong, "remove firewall: false, or this")
    servers = Once(mistakes, "", "each server is needed once")
    for given in metrics.servers:
        around = placed.tenants_around(given.address)
        if around:
            wrong = f"{given.address} is in {around}; the firewall lets guests and containers reach no exporter"
            mistakes.add(given.path, wrong, "a server outside of guests' and containers' networks")
        else:
            servers.give(given.address, given.path)
    vrf = metrics.vrf
    if vrf in (None, MAIN) or vrf not in intent.vrfs or ("hypervisors",) in mistakes.touched:
        return
    without = [node.name for node in intent.hypervisors.values() if not has_vrf(node, vrf)]
    if without:
        wrong = f"{vrf} has no network on {listed(without)}"
        mistakes.add(("metrics", "vrf"), wrong, "a VRF of all hypervisors")
        return
    for given in metrics.servers:
        family = family_of(given.address)
        deaf = [node.name for node in intent.hypervisors.values() if place(node, vrf, family) is None]
        if deaf:
            wrong = f"{vrf} has no IPv{given.address.version} on {listed(deaf)}"
            mistakes.add(given.path, wrong, "an address of the family by which the server reaches hypervisors")
