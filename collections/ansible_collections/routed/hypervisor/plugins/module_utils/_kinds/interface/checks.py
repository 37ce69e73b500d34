# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks wanted interfaces against the current state and the whole configuration. Private to this collection."""

from __future__ import annotations

import difflib

from ..._engine.change import Item
from ..._engine.options import Mistakes
from ..._engine.planned import Planned
from ..._engine.snapshot import Snapshot
from ..link_members import check_sysctls


def check(want: list[Item[str]], snapshot: Snapshot, planned: Planned, mistakes: Mistakes) -> None:
    _vlans(want, snapshot, planned, mistakes)
    for item in want:
        link = snapshot.links.get(item.key)
        if planned.links.get(item.key) == "ipvlan" and link and link.owned:
            mistakes.at(f"{item.place}.name", f"{item.key} is a link of the kind ipvlan_links; configure it there")
            continue
        for key, name in (("name", item.key), ("peer", item.attributes.get("peer"))):
            if name in snapshot.altnames:
                mistakes.at(f"{item.place}.{key}", planned.no_link(name))
        if item.key in snapshot.altnames:
            continue
        if item.creates and item.key in planned.tables:
            mistakes.at(f"{item.place}.name", f"{item.key} is a VRF")
        if not item.creates and item.key not in planned.links:
            similar = difflib.get_close_matches(item.key, set(snapshot.links) - {other.key for other in want}, 1)
            hint = f"did you mean {similar[0]}? " if similar else ""
            mistakes.at(f"{item.place}.name", f"{item.key} does not exist; {hint}give its type if it is to be created")
        _parent(item, planned, mistakes)
        _master(item, snapshot, planned, mistakes)
        check_sysctls(item, mistakes)


def _vlans(want: list[Item[str]], snapshot: Snapshot, planned: Planned, mistakes: Mistakes) -> None:
    """A VLAN of a parent can be only one interface."""
    others = set(planned.links) - {item.key for item in want} - planned.left_out
    taken = {
        (link.parent, link.data.get("IFLA_VLAN_ID")): link.name
        for link in snapshot.links.values()
        if link.kind == "vlan" and link.name in others
    }
    for item in want:
        if item.attributes.get("type") == "vlan":
            parent, number = item.attributes.get("parent"), item.attributes.get("vlan_id")
            other = taken.setdefault((parent, number), item.key)
            if other != item.key:
                mistakes.at(f"{item.place}.vlan_id", f"VLAN {number} of {parent} is already taken by {other}")


def _parent(item: Item[str], planned: Planned, mistakes: Mistakes) -> None:
    parent = item.attributes.get("parent")
    if not parent:
        return
    if parent not in planned.links:
        mistakes.at(f"{item.place}.parent", planned.no_link(parent))
    elif planned.down(parent) and item.attributes.get("state") == "up":
        mistakes.at(f"{item.place}.parent", f"{parent} will be down; a VLAN on it cannot be up")


def _master(item: Item[str], snapshot: Snapshot, planned: Planned, mistakes: Mistakes) -> None:
    vrf, bridge = item.attributes.get("vrf"), item.attributes.get("bridge")
    if vrf and vrf not in planned.tables:
        mistakes.at(f"{item.place}.vrf", f"there is no VRF {vrf}, and none is configured")
    if bridge and bridge not in planned.links:
        mistakes.at(f"{item.place}.bridge", planned.no_link(bridge))
    elif bridge and planned.links[bridge] not in ("bridge", None):
        mistakes.at(f"{item.place}.bridge", f"{bridge} is not a bridge")
    link = snapshot.links.get(item.key)
    if link and link.master and (vrf or bridge):
        kind = snapshot.links[link.master].kind
        if kind not in ("vrf", "bridge"):
            text = f"{item.key} is a member of {link.master} ({kind}) and will not be removed from it"
            mistakes.at(item.place, text)
