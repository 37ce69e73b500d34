# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which other nodes a node is verified against. Verifying all pairs would be quadratic in the size of the fabric."""

from __future__ import annotations

EVERYONE = 10  # up to this many others: all of them …
FEW = 4  # … of more, these
ROUTES = 32  # more, because all routes are read in one table dump


def others(items: list, position: int, everyone: int = EVERYONE, few: int = FEW) -> list:
    """The items that the one at POSITION is verified against: all others up to EVERYONE, otherwise FEW of them.

    These are the next one in the ring, then others evenly spaced around it, so that every item is verified by FEW
    others, near and far, and by the same ones in every run.
    """
    count = len(items) - 1
    if count <= everyone:
        return items[:position] + items[position + 1 :]
    return [items[(position + 1 + step * count // few) % len(items)] for step in range(few)]
