# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that everything an intent refers to is defined in it, and that every fabric has the reflectors BGP needs."""

from __future__ import annotations

from collections.abc import Sequence

from ...module_utils._engine.printable import shortened
from .draft import Guest, Intent
from .mistakes import Mistakes, Path, listed

SINGULAR = {
    "vrfs": "VRF",
    "fabrics": "fabric",
    "segments": "segment",
    "container_networks": "container network",
}


class References:
    """`declared` has the names as written, by section: a definition that contains a mistake still counts.

    A missing section is one mistake; references to it are not reported.
    """

    def __init__(self, intent: Intent, declared: dict[str, list[str] | None], mistakes: Mistakes):
        self.intent, self.declared, self.mistakes = intent, declared, mistakes

    def _known(self, section: str, name: str | None, path: Path) -> bool:
        known = self.declared[section]
        if name is None or known is None:
            return False
        if name in known:
            return True
        close = self.mistakes.did_you_mean(name, known)
        right = f"did you mean {close}?" if close else f"define it under {section}, or use one of: {listed(known)}"
        self.mistakes.add(path, f"no {SINGULAR[section]} is called {shortened(name)}", right)
        return False

    def check(self) -> None:
        self._lab_nodes()
        for fabric in self.intent.fabrics.values():
            for vrf in fabric.networks:
                self._known("vrfs", vrf, ("fabrics", fabric.name, "networks", vrf))
        for vrf in self.intent.loopbacks:
            self._known("vrfs", vrf, ("loopbacks", vrf))
        for segment in self.intent.segments.values():
            self._known("vrfs", segment.vrf, ("segments", segment.name, "vrf"))
        for network in self.intent.container_networks.values():
            self._known("vrfs", network.vrf, ("container_networks", network.name, "vrf"))
            if network.fabric is not None:
                self._known("fabrics", network.fabric, ("container_networks", network.name, "fabric"))
        if self.intent.metrics is not None:
            self._known("vrfs", self.intent.metrics.vrf, ("metrics", "vrf"))
        self._routers()
        for hypervisor in self.intent.hypervisors.values():
            self._hypervisor(hypervisor)
        self._guests(self.intent.guests)
        if self.intent.uses_reflectors:
            self._reflectors_everywhere()

    def _lab_nodes(self) -> None:
        sections = ("fabrics", "reflectors", "borders", "leaves", "hypervisors")
        if any((section,) in self.mistakes.touched for section in sections):
            return  # a node with a mistake may be left out here
        lab = self.intent.lab
        if lab is None:
            return
        known = self.intent.lab_nodes
        for name in dict.fromkeys((*lab.inits, *lab.impairs)):
            if name not in known:
                close = self.mistakes.did_you_mean(name, known)
                right = f"did you mean {close}?" if close else f"use one of: {listed(known)}"
                self.mistakes.add(("lab", "nodes", name), f"no node is called {name}", right)
        for fabric in lab.impair:
            self._known("fabrics", fabric, ("lab", "impair", fabric))
        uplinks = {router.name: router.uplinks for router in self.intent.routers}
        for name, fabrics in lab.impairs.items():
            for fabric in fabrics if name in known else ():
                path = ("lab", "nodes", name, "impair", fabric)
                if self._known("fabrics", fabric, path) and fabric not in uplinks.get(name, ()):
                    right = f"use one of: {listed(uplinks[name])}" if uplinks.get(name) else "remove this"
                    self.mistakes.add(path, f"{name} has no uplink to fabric {fabric}", right)

    def _routers(self) -> None:
        """References of routers other than hypervisors."""
        for reflector in self.intent.reflectors.values():
            self._known("fabrics", reflector.fabric, (*reflector.path, "fabric"))
            for uplink in reflector.uplinks.values():
                for vrf in uplink.given:
                    self._network(reflector.fabric, vrf, (*reflector.path, "addresses", vrf))
        for leaf in self.intent.leaves.values():
            for fabric, uplink in leaf.uplinks.items():
                if self._known("fabrics", fabric, (*leaf.path, "fabrics", fabric)):
                    for vrf in uplink.given:
                        self._network(fabric, vrf, (*leaf.path, "fabrics", fabric, "addresses", vrf))
            for route in leaf.static:
                self._known("vrfs", route.vrf, (*leaf.path, "static", route.vrf))
        for border in self.intent.borders.values():
            is_known = self._known("vrfs", border.vrf, (*border.path, "vrf"))
            for fabric in border.uplinks:
                if self._known("fabrics", fabric, (*border.path, "fabrics", fabric)) and is_known:
                    self._network(fabric, border.vrf, (*border.path, "fabrics", fabric))

    def _network(self, fabric: str | None, vrf: str | None, path: Path) -> None:
        """Checks that VRF is defined and has a network on FABRIC."""
        known = self.intent.fabrics.get(fabric) if fabric is not None else None
        if known and known.networks and vrf not in known.networks and self._known("vrfs", vrf, path):
            self.mistakes.add(
                path, f"{vrf} has no network on fabric {fabric}", f"add fabrics.{fabric}.networks.{vrf}, or remove this"
            )

    def _hypervisor(self, hypervisor) -> None:
        for fabric, uplink in hypervisor.uplinks.items():
            if self._known("fabrics", fabric, (*hypervisor.path, "fabrics", fabric)):
                for vrf in uplink.given:
                    self._network(fabric, vrf, (*hypervisor.path, "fabrics", fabric, "addresses", vrf))
        for vrf in hypervisor.loopbacks:
            if (
                vrf not in self.intent.loopbacks
                and self.declared["loopbacks"] is not None
                and vrf not in self.declared["loopbacks"]
            ):
                right = f"define it there, or use one of: {listed(self.intent.loopbacks)}"
                self.mistakes.add((*hypervisor.path, "loopbacks", vrf), f"loopbacks has no {vrf}", right)
        for name, part in hypervisor.parts.items():
            common = self.intent.container_networks.get(name)
            self._known("container_networks", name, part.path)
            if part.fabric is not None and (common is None or part.fabric != common.fabric):
                self._known("fabrics", part.fabric, (*part.path, "fabric"))
        self._guests(hypervisor.guests)

    def _guests(self, guests: Sequence[Guest]) -> None:
        for guest in guests:
            if guest.segment is None and len(self.declared["segments"] or []) > 1:
                right = f"one of: {listed(self.declared['segments'] or ())}"
                self.mistakes.add((*guest.path, "segment"), "missing, and there are several segments", right)
            elif guest.segment is None and self.declared["segments"] == []:
                self.mistakes.add(("segments",), "there are guests, but no segment", "define one")
            self._known("segments", guest.segment, (*guest.path, "segment"))

    def _reflectors_everywhere(self) -> None:
        """Checks that every network with hypervisors on it has a reflector."""
        if self.declared["reflectors"] is None or len(self.intent.reflectors) < len(self.declared["reflectors"]):
            return
        if not self.declared["reflectors"]:
            about = (
                "hypervisors peer with them"
                if self.intent.peering == "reflectors"
                else (f"more than bgp.mesh ({self.intent.mesh}) hypervisors and borders peer with them")
            )
            self.mistakes.add(("reflectors",), "missing", f"{about}: every fabric needs one or more")
            return
        served: dict[str, set] = {}
        for reflector in self.intent.reflectors.values():
            if reflector.fabric is None or reflector.fabric not in (self.declared["fabrics"] or ()):
                return  # already reported; an unserved fabric is its consequence
            here = served.setdefault(reflector.fabric, set())
            for uplink in reflector.uplinks.values():
                here |= {(vrf, family) for vrf, given in uplink.given.items() for family in given}
        for fabric in self.intent.fabrics.values():
            if fabric.name not in served:
                self.mistakes.add(
                    ("fabrics", fabric.name),
                    "no reflector is on this fabric",
                    f"add one under reflectors with fabric: {fabric.name}",
                )
                continue
            for network in fabric.networks.values():
                for family in network.prefix:
                    path = ("fabrics", fabric.name, "networks", network.vrf, family)
                    is_served = (network.vrf, family) in served[fabric.name]
                    if (
                        not is_served
                        and path[:-1] not in self.mistakes.touched
                        and not self._has_mistake_in_reflectors(fabric.name)
                    ):
                        right = f"give a reflector of {fabric.name} addresses.{network.vrf}.{family}"
                        wrong = f"no reflector on {fabric.name} has an {family.replace('ip', 'IP')} address"
                        self.mistakes.add(path, f"{wrong} in {network.vrf}", right)

    def _has_mistake_in_reflectors(self, fabric: str) -> bool:
        return any(
            reflector.path in self.mistakes.touched
            for reflector in self.intent.reflectors.values()
            if reflector.fabric == fabric
        )
