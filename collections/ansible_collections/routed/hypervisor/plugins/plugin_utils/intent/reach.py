# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which routers can reach each other in a VRF and family: on a common network, or through a leaf or a gateway."""

from __future__ import annotations

from collections.abc import Iterable

from .draft import Intent, Router

Place = tuple[str, str]  # VRF and family


class Reach:
    def __init__(self, intent: Intent):
        self._joined: dict[tuple[Place, str], object] = {}  # by VRF, family and fabric: the same for joined networks
        for fabric in intent.fabrics.values():
            for network in fabric.networks.values():
                for family in network.prefix:
                    place = (network.vrf, family)
                    # Where gateways lead is not in the file: to each other, for all that can be said here.
                    self._joined[place, fabric.name] = "a gateway" if family in network.gateway else (fabric.name,)
        for leaf in intent.leaves.values():
            for place in {place for fabric in leaf.uplinks for place in self._places(leaf, fabric)}:
                self._join(place, [fabric for fabric in leaf.uplinks if place in self._places(leaf, fabric)])

    def _places(self, node: Router, fabric: str) -> list[Place]:
        """Where NODE has an address on FABRIC."""
        given = node.uplinks[fabric].given
        return [(vrf, family) for vrf in given for family in given[vrf] if ((vrf, family), fabric) in self._joined]

    def _join(self, place: Place, fabrics: list[str]) -> None:
        old = {self._joined[place, fabric] for fabric in fabrics}
        new = "a gateway" if "a gateway" in old else min(old, key=str)
        for key, value in self._joined.items():
            if key[0] == place and value in old:
                self._joined[key] = new

    def networks(self, node: Router, vrf: str, family: str) -> frozenset[object]:
        """The joined networks that a router is on; empty if it has no address in this VRF and family."""
        place = (vrf, family)
        return frozenset(self._joined[place, fabric] for fabric in node.uplinks if place in self._places(node, fabric))

    def meet(self, one: Router, other: Router, vrf: str, family: str) -> bool:
        return one is other or bool(self.networks(one, vrf, family) & self.networks(other, vrf, family))

    def apart(self, nodes: Iterable[Router], vrf: str, family: str) -> tuple[Router, Router] | None:
        """The first two of these routers that cannot reach each other; nodes on the same networks are compared once."""
        kinds: dict[frozenset[object], Router] = {}
        for node in nodes:
            here = self.networks(node, vrf, family)
            for there, other in kinds.items():
                if not here & there:
                    return other, node
            kinds.setdefault(here, node)
        return None
