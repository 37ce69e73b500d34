# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true on a leaf. A switch runs no modules: playbooks/leaves.yml compares what it has."""

from __future__ import annotations

from ..intent.model import Intent, Leaf
from ..resolve.index import Index
from . import containers, sessions


def checks(intent: Intent, found: Index, node: Leaf, resolved: dict) -> list[dict]:
    if node.platform == "nxos":
        return []
    return [*sessions.checks(resolved), *containers.leaf_checks(intent, found, node)]
