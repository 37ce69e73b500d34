# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BGP route policies of leaves."""

from __future__ import annotations

from ..intent.addresses import family_of
from ..intent.model import LENGTH, Intent, Leaf

CONTAINERS = "CONTAINERS"  # the only routes hosts may announce
STATIC = "STATIC"  # a leaf's own static routes
ANNOUNCED = "ANNOUNCED"  # routes leaves announce: both of the above, of all leaves


def policies(intent: Intent, node: Leaf) -> list[dict]:
    made = [{"name": CONTAINERS, "permit": _tenants(intent)}]
    if node.static:
        made.append({"name": STATIC, "permit": _exactly(node)})
    if has_static(intent):
        routes = [entry for leaf in intent.leaves.values() for entry in _exactly(leaf)]
        made.append({"name": ANNOUNCED, "permit": [*_tenants(intent), *routes]})
    return made


def has_static(intent: Intent) -> bool:
    return any(leaf.static for leaf in intent.leaves.values())


def redistribute(node: Leaf) -> list[dict]:
    """Only static routes that the policy lists."""
    places = dict.fromkeys((route.vrf, family_of(route.prefix)) for route in node.static)
    return [{"source": "static", "vrf": vrf, "family": family, "policy": STATIC} for vrf, family in places]


def _exactly(leaf: Leaf) -> list[dict]:
    """Each prefix once, even if it is in several VRFs."""
    return [
        {"prefix": str(prefix), "family": family_of(prefix), "longest": prefix.prefixlen}
        for prefix in dict.fromkeys(route.prefix for route in leaf.static)
    ]


def _tenants(intent: Intent) -> list[dict]:
    """The prefixes of guests and containers, including longer prefixes in them."""
    prefixes = [prefix for segment in intent.segments.values() for prefix in segment.prefix.values()]
    for network in intent.container_networks.values():
        prefixes += network.prefix.values()
    for hypervisor in intent.hypervisors.values():
        for part in hypervisor.parts.values():
            prefixes += part.prefix.values() if part.prefix_owner == "host" and part.announce != "none" else ()
    return [
        {"prefix": str(prefix), "family": f"ipv{prefix.version}", "longest": LENGTH[f"ipv{prefix.version}"]}
        for prefix in prefixes
    ]
