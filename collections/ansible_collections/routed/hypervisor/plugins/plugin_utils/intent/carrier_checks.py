# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that networks between hypervisors carry what their guests and containers send to each other."""

from __future__ import annotations

from dataclasses import dataclass

from .adjacency import has_vrf
from .draft import FAMILIES, Intent, Router
from .mistakes import Mistakes, Path, listed
from .reach import Reach


@dataclass
class Tenant:
    """The first guest or container network of a hypervisor in a VRF and family."""

    node: Router
    path: Path
    prefix: Path  # of the segment or container network


Tenants = dict[tuple[str, str], list[Tenant]]  # by VRF and family


def check(intent: Intent, mistakes: Mistakes) -> None:
    if len(intent.hypervisors) < 2 or ("fabrics",) in mistakes.touched or ("vrfs",) in mistakes.touched:
        return
    reach, carried = Reach(intent), _carried(intent)
    for segment in intent.segments.values():
        path = ("segments", segment.name)
        is_carried = any((segment.vrf, family) in carried for family in FAMILIES)
        if segment.vrf in intent.vrfs and not is_carried and path not in mistakes.touched:
            wrong = f"no fabric has a network in {segment.vrf}, so guests reach only those of their own hypervisor"
            mistakes.add((*path, "vrf"), wrong, f"add fabrics.FABRIC.networks.{segment.vrf}, or choose another VRF")
    for (vrf, family), tenants in _tenants(intent, mistakes).items():
        if len(tenants) < 2 or vrf not in intent.vrfs:
            continue
        if (vrf, family) in carried:
            _meet(reach, vrf, family, tenants, mistakes)
            continue
        for prefix in dict.fromkeys(tenant.prefix for tenant in tenants):
            if prefix[:-1] not in mistakes.touched:
                mistakes.add(prefix, *_not_carried(intent, vrf, family))


def _carried(intent: Intent) -> set[tuple[str | None, str]]:
    networks = [network for fabric in intent.fabrics.values() for network in fabric.networks.values()]
    return {(network.vrf, family) for network in networks for family in network.prefix}


def _not_carried(intent: Intent, vrf: str, family: str) -> tuple[str, str]:
    there = [fabric.name for fabric in intent.fabrics.values() if vrf in fabric.networks]
    wrong = f"no fabric has an {_label(family)} network in {vrf}, so hypervisors cannot forward it to each other"
    return wrong, f"add {family} to {vrf} on {listed(there)}" if there else f"add fabrics.FABRIC.networks.{vrf}"


def _label(family: str) -> str:
    return family.replace("ip", "IP")


def _tenants(intent: Intent, mistakes: Mistakes) -> Tenants:
    """One for each hypervisor, without those that contain a mistake."""
    made: dict[tuple[str, str], dict[str, Tenant]] = {}
    for node in intent.hypervisors.values():
        if node.path in mistakes.touched:
            continue
        anywhere = [guest for guest in intent.guests if guest.path not in mistakes.touched]
        for guest in (*node.guests, *anywhere):
            segment = intent.segments.get(guest.segment) if guest.segment is not None else None
            if segment is None or segment.vrf is None or not (guest.hypervisor or has_vrf(node, segment.vrf)):
                continue
            for family in guest.address:
                tenant = Tenant(node, guest.path, ("segments", segment.name, family))
                made.setdefault((segment.vrf, family), {}).setdefault(node.name, tenant)
        for part in node.parts.values():
            network = intent.container_networks.get(part.network)
            if network is None or network.vrf is None:
                continue
            for family in part.prefix:
                place = part.path if part.prefix_owner == "host" else ("container_networks", network.name)
                tenant = Tenant(node, part.path, (*place, family))
                made.setdefault((network.vrf, family), {}).setdefault(node.name, tenant)
    return {place: list(tenants.values()) for place, tenants in made.items()}


def _meet(reach: Reach, vrf: str, family: str, tenants: list[Tenant], mistakes: Mistakes) -> None:
    """Hypervisors with guests or containers in a VRF and family must reach each other."""
    near: dict[str, Tenant] = {}
    for tenant in tenants:
        if reach.networks(tenant.node, vrf, family):
            near[tenant.node.name] = tenant
        else:
            wrong = f"{tenant.node.name} is on no {_label(family)} network in {vrf}, so others cannot reach it"
            mistakes.add(tenant.path, wrong, f"put {tenant.node.name} on a fabric with such a network")
    apart = reach.apart([tenant.node for tenant in near.values()], vrf, family)
    if apart is not None:
        one, other = apart
        wrong = f"{one.name} and {other.name} have no {_label(family)} network in common in {vrf}"
        mistakes.add(near[other.name].path, wrong, "one fabric for both, or a leaf or a gateway between their fabrics")
