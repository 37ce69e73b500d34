# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves let pass in BGP."""

from __future__ import annotations

from ..intent.model import LENGTH, Intent

CONTAINERS = "CONTAINERS"  # admits what hosts may announce, and nothing else


def policies(intent: Intent) -> list[dict]:
    return [{"name": CONTAINERS, "permit": _tenants(intent)}]


def _tenants(intent: Intent) -> list[dict]:
    """The prefixes of guests and containers, and what is in them."""
    prefixes = [prefix for segment in intent.segments.values() for prefix in segment.prefix.values()]
    for network in intent.container_networks.values():
        prefixes += network.prefix.values()
    for hypervisor in intent.hypervisors.values():
        for part in hypervisor.parts.values():
            prefixes += part.prefix.values() if part.whose == "host" and part.announce != "none" else ()
    return [
        {"prefix": str(prefix), "family": f"ipv{prefix.version}", "longest": LENGTH[f"ipv{prefix.version}"]}
        for prefix in prefixes
    ]
