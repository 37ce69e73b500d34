# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true on every node of a fabric. Each kind of node has its own file."""

from __future__ import annotations

from ..intent.model import Intent
from ..resolve.index import Index
from . import border, guest, hypervisor, leaf, rollback, sessions
from .presence import name_guests


def expectations(intent: Intent, found: Index, host_vars: dict[str, dict]) -> dict[str, list[dict]]:
    """Expectations by node, for nodes on which verification runs. HOST_VARS are the resolved variables of each."""
    made = {}
    for node in intent.hypervisors.values():
        made[node.name] = hypervisor.expectations(intent, found, node, host_vars[node.name])
    for node in intent.reflectors.values():
        made[node.name] = sessions.expectations(host_vars[node.name])
    for node in intent.borders.values():
        made[node.name] = border.expectations(intent, found, node, host_vars[node.name])
    for node in intent.leaves.values():
        if node.platform != "nxos":  # modules cannot run on a switch: playbooks/leaves.yml compares its configuration
            made[node.name] = leaf.expectations(intent, found, node, host_vars[node.name])
    for router in intent.routers:
        if router.name in made:
            made[router.name] += rollback.expectations(intent, router)
    if intent.lab:
        for carrier in intent.hypervisors.values():
            for node in carrier.guests:
                made[node.name] = guest.expectations(intent, found, node)
    name_guests(intent, made)
    return made
