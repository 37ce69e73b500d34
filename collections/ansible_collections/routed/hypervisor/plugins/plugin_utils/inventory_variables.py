# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of all hosts for an action on the controller, as the inventory plugin has resolved them.

Private to this collection. Ansible would combine and template the variables of one host at a time, a millisecond or
more for each; what an intent resolves to has nothing to template.
"""

from __future__ import annotations

import typing as t


def inventory_variables(task_vars: t.Mapping[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """Without hosts that have none, such as those of a test without an intent."""
    inventory = task_vars["hostvars"]._inventory
    return {name: host.vars for name, host in inventory.hosts.items() if host.vars}
