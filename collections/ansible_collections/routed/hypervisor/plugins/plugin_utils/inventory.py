# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a checked intent to the inventory: each node's variables, and what its verification expects."""

from __future__ import annotations

from .intent.model import Intent
from .resolve.fabric import Inventory, resolve
from .resolve.index import index
from .verify.fabric import expectations


def inventory(intent: Intent, owner: str) -> Inventory:
    """OWNER is the inventory's directory: two inventories cannot own one lab."""
    found = index(intent)
    made = resolve(intent, found, owner)
    for name, expected in expectations(intent, found, made.host_vars).items():
        made.host_vars[name]["verify"] = expected
    return made
