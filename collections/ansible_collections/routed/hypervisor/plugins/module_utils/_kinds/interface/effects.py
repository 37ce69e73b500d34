# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Side effects of changes of interfaces. Private to this collection."""

from __future__ import annotations

import ipaddress
import typing as t

from ..._engine.change import Change, Item
from ..._engine.kind import Have
from ..._engine.planned import Planned


def replace_children(changes: list[Change[str]], have: Have[str], want: list[Item[str]]) -> None:
    """A VLAN is deleted together with its parent: if the parent is replaced, the VLAN is replaced, too."""
    going = {change.item.key for change in changes if change.op in ("delete", "replace")}
    planned = {change.item.key: change for change in changes}
    for item in want:  # parents come first
        old = have.get(item.key)
        if old is None or not old.owned or old.attributes.get("parent") not in going or item.key in going:
            continue
        change = planned.get(item.key)
        if change is None:
            changes.append(Change("interfaces", "replace", old.label, "goes with its parent", have=old, want=old))
        else:
            change.op, change.why = "replace", "goes with its parent"
        going.add(item.key)


def disturb(planned: Planned, changes: list[Change[str]], have: Have[str]) -> None:
    """Records what interfaces lose by their own changes and by those of their VRFs, and what is to be restored."""
    causes = planned.vrf_changes + changes
    planned.disturbed = _disturbed(changes, have, planned.freed)
    by_name = {change.item.key: change for change in changes}
    planned.remade = {name for name, change in by_name.items() if change.op in ("create", "replace", "delete")}
    planned.without_ipv4 = {name for name, change in by_name.items() if without_ipv4(change)}
    for change in changes:
        planned.lose_addresses(change)
    for cause in causes:
        cause.restores = []
    for name in sorted(planned.disturbed | planned.without_ipv4):
        own = by_name.get(name)
        if name in have and name not in planned.remade and causes:
            (own or causes[0]).restores.append(own.want if own and own.want else have[name])
    for change in changes:
        removed = set(change.before.get("addresses", {})) - set(change.after.get("addresses", {}))
        if change.op == "change" and removed and not change.restores:
            change.restores = [change.item]  # with the first address of a subnet the others of it are removed


def _disturbed(changes: list[Change[str]], have: Have[str], loose: set[str]) -> set[str]:
    """Names of links that lose their routes, proxy entries and IPv6 addresses: replaced, deleted, set down, moved
    between VRFs (the kernel takes them down for a moment), those in `loose`, and the VLANs on any of these."""
    names = set(loose)
    for change in changes:
        if change.op in ("delete", "replace") or change.after.get("state") == "down" or "vrf" in change.after:
            names.add(change.item.key)
    children: dict[str, list[str]] = {}
    for item in have.values():
        if item.attributes.get("parent"):
            children.setdefault(item.attributes["parent"], []).append(item.key)
    queue = list(names)
    while queue:
        for child in children.get(queue.pop(), []):
            if child not in names:
                names.add(child)
                queue.append(child)
    return names


def without_ipv4(change: Change[t.Any]) -> bool:
    """Whether an interface is for a moment without any IPv4 address: the kernel then drops its IPv4 routes.

    The first address of a subnet takes the others of the subnet with it (promote_secondaries is off by default)."""
    gone = [ipaddress.ip_interface(text) for text in change.before.get("addresses", {})]
    gone = [address for address in gone if address.version == 4]
    if not gone or change.op != "change":
        return False
    lost = {address.network for address in gone}
    stay = (ipaddress.ip_interface(text) for text in change.item.attributes["addresses"])
    return all(address.version != 4 or address.network in lost for address in stay)
