# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routers that are not in a production intent: BGP neighbors become leaves of the twin. Private to this collection."""

from __future__ import annotations

import itertools
import typing as t
from collections.abc import Collection

from ..intent.addresses import family_of
from ..intent.draft import Neighbor
from ..intent.mistakes import Path
from ..intent.model import Hypervisor, Intent
from .differences import Differences

if t.TYPE_CHECKING:
    from netaddr import IPAddress

Data = dict[str, t.Any]
SIMULATED = "routers that are not in the intent are simulated by leaves with FRR"
MISSING = "routers that are not in the intent are missing"


def replace(made: Data, intent: Intent, found: Differences) -> dict[str, Path]:
    """Gives MADE, the data of the twin, leaves in the place of neighbors that INTENT has only by address.

    Returns the place of each of these neighbors in the intent, by the name of the leaf.
    """
    leaves = _Leaves(made, intent)
    for host in intent.hypervisors.values():
        for neighbor in host.neighbors.values():
            if neighbor.address is None:
                continue
            given = made["hypervisors"][host.name]["neighbors"]
            del given[neighbor.name]
            leaf = leaves.for_neighbor(host, neighbor, neighbor.address)
            if leaf is None:
                found.add(MISSING, f"{neighbor.name}, {neighbor.address} in AS {neighbor.asn}, of {host.name}")
            else:
                given[leaf] = {}
                found.add(SIMULATED, f"{leaf}, {neighbor.address} in AS {neighbor.asn}")
    known = leaves.names.keys() | {str(address) for node in intent.routers for address in node.addresses}
    _gateways(made, intent, known, found)
    for router in intent.leaves.values():
        for route in router.static:
            if str(route.next_hop) not in known:
                found.add(MISSING, f"{route.next_hop}, the next hop of {route.prefix} on {router.name}")
    return leaves.paths


class _Leaves:
    def __init__(self, made: Data, intent: Intent) -> None:
        self.made, self.intent = made, intent
        self.names: dict[str, str] = {}  # of leaves that were added, by address
        self.paths: dict[str, Path] = {}

    def for_neighbor(self, host: Hypervisor, neighbor: Neighbor, address: IPAddress) -> str | None:
        """The leaf with the neighbor's ADDRESS, or None if no leaf can have it."""
        family = family_of(address)
        place = next(
            (
                (fabric, vrf)
                for fabric, uplink in host.uplinks.items()
                for vrf in uplink.given
                if address in self.intent.fabrics[fabric].networks[vrf].prefix.get(family, ())
            ),
            None,
        )
        # Leaves are next to their hosts, and in other autonomous systems.
        if place is None or neighbor.asn == host.asn:
            return None
        fabric, vrf = place
        if str(address) not in self.names:
            name = self._name(neighbor, fabric, vrf, family)
            leaf = self.made.setdefault("leaves", {}).setdefault(name, {"as": neighbor.asn, "platform": "frr"})
            places = leaf.setdefault("fabrics", {}).setdefault(fabric, {"addresses": {}})["addresses"]
            places.setdefault(vrf, {})[family] = str(address)
            self.names[str(address)] = name
            self.paths.setdefault(name, neighbor.path)
        return self.names[str(address)]

    def _name(self, neighbor: Neighbor, fabric: str, vrf: str, family: str) -> str:
        """The neighbor's, or that with a number: hosts may give the same name to several routers."""
        for number in itertools.count(1):
            name = neighbor.name if number == 1 else f"{neighbor.name}-{number}"
            leaf = self.made.get("leaves", {}).get(name)
            if self.intent.router(name) is None and (leaf is None or self._is(leaf, neighbor, fabric, vrf, family)):
                return name
        raise RuntimeError("unreachable")

    @staticmethod
    def _is(leaf: Data, neighbor: Neighbor, fabric: str, vrf: str, family: str) -> bool:
        """Whether an added leaf is the neighbor, which has another address, too."""
        given = leaf["fabrics"].get(fabric, {"addresses": {}})["addresses"].get(vrf, {})
        return leaf["as"] == neighbor.asn and family not in given


def _gateways(made: Data, intent: Intent, known: Collection[str], found: Differences) -> None:
    """A gateway that no router has is, where a leaf was added, that leaf."""
    for fabric in intent.fabrics.values():
        for vrf, network in fabric.networks.items():
            for family, gateway in network.gateway.items():
                if str(gateway) in known:
                    continue
                theirs = _leaf_on(made, fabric.name, vrf, family)
                what = f"{gateway}, a gateway of fabric {fabric.name} in {vrf}"
                if theirs is None:
                    found.add(MISSING, what)
                else:
                    made["fabrics"][fabric.name]["networks"][vrf][f"gateway{family[-1]}"] = theirs
                    found.add(SIMULATED, f"{what}, has the address {theirs}")


def _leaf_on(made: Data, fabric: str, vrf: str, family: str) -> str | None:
    for leaf in made.get("leaves", {}).values():
        address = leaf["fabrics"].get(fabric, {}).get("addresses", {}).get(vrf, {}).get(family)
        if address is not None:
            return str(address)
    return None
