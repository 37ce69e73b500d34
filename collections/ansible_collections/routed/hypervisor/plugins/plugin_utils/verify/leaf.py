# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true on a leaf that runs Linux."""

from __future__ import annotations

from ..intent.model import Intent, Leaf
from ..resolve.index import Index
from . import containers, sessions


def expectations(intent: Intent, found: Index, node: Leaf, resolved: dict) -> list[dict]:
    return [*sessions.expectations(resolved), *containers.leaf_expectations(intent, found, node)]
