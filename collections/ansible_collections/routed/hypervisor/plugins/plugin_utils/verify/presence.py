# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guests are present, and which expectations need which guests.

A guest that does not run is no fault of the network. What needs it is then reported apart.
"""

from __future__ import annotations

from ..intent.model import Hypervisor, Intent


def ports(node: Hypervisor) -> list[dict]:
    return [
        {"kind": "present", "title": f"guest {guest.name} is present", "interface": guest.port, "guests": [guest.name]}
        for guest in node.guests
    ]


def name_guests(intent: Intent, made: dict[str, list[dict]]) -> None:
    """Adds `guests` to what fails without these guests: what one of them sees, and what is sent to one of them."""
    names: set[str] = set()
    owners: dict[str, list[str]] = {}  # several guests may share an address
    for carrier in intent.hypervisors.values():
        for guest in carrier.guests:
            names.add(guest.name)
            for address in guest.addresses:
                owners.setdefault(str(address), []).append(guest.name)
    for name, expectations in made.items():
        for expected in expectations:
            target = str(expected.get("to") or expected.get("prefix", "").partition("/")[0])
            found = owners.get(target, [])
            needed = list(dict.fromkeys([name, *found] if name in names else found))
            if needed:
                expected.setdefault("guests", needed)
