# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of guests that may run on any hypervisor, wherever they are."""

from __future__ import annotations

from ..intent.model import MAIN_TABLE, Border, Hypervisor, Intent
from ..resolve.fabric import has_agent


def on_hypervisor(intent: Intent, node: Hypervisor, resolved: dict) -> list[dict]:
    """Nothing where there is no agent."""
    guests, own = resolved.get("followed_guests", {}), resolved.get("proxy_ndp", {})
    if not (guests or own) or not has_agent(intent, node):
        return []
    expected = {"kind": "followed_guests", "title": f"{node.name} follows its guests", "followed": guests}
    return [{**expected, "proxy_ndp": own} if own else expected]


def on_border(intent: Intent, node: Border) -> list[dict]:
    guests = [guest for guest in intent.guests if intent.segments[guest.segment].vrf == node.vrf]
    addresses = list(dict.fromkeys(str(address) for guest in guests for address in guest.addresses))
    title = f"{node.name} reaches the guests that hypervisors have found"
    expected = {"kind": "announced_guests", "title": title, "addresses": addresses, "table": MAIN_TABLE}
    return [expected] if addresses else []
