# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That a host has kept its last change: one that has undone it may pass everything else."""

from __future__ import annotations

from ..intent.model import Intent, Router


def expectations(intent: Intent, node: Router) -> list[dict]:
    """Nothing where no change can be armed: in a lab, that needs systemd."""
    if intent.lab is not None and intent.lab.init_of(node.name) != "systemd":
        return []
    return [{"kind": "rollback", "title": f"{node.name} has not rolled back its last change"}]
