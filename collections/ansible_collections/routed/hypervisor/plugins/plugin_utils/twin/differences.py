# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between a twin and production, grouped by reason. Private to this collection."""

from __future__ import annotations

from ..intent.mistakes import listed


class Differences:
    """`found` has things by reason, each in the order in which it was added."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, reason: str, thing: str = "") -> None:
        things = self.found.setdefault(reason, [])
        if thing and thing not in things:
            things.append(thing)

    def lines(self, limit: int) -> list[str]:
        """A line for each reason, with up to LIMIT things."""
        return [f"{reason}: {listed(things, limit)}" if things else reason for reason, things in self.found.items()]
