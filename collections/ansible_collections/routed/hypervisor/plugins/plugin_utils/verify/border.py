# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true on a border router."""

from __future__ import annotations

from ..intent.model import MAIN_TABLE, Border, Intent
from ..resolve.index import Index
from . import followed, sessions
from .routes import to_guests
from .sample import ROUTES, others


def expectations(intent: Intent, found: Index, node: Border, resolved: dict) -> list[dict]:
    places = found.places.get(node.vrf, [])
    sample = places if len(places) <= ROUTES else others(places, 0, ROUTES, ROUTES)
    return [
        *sessions.expectations(resolved),
        *followed.on_border(intent, node),
        *to_guests(found, node, sample, node.vrf, MAIN_TABLE),
    ]
