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
from ..._engine.snapshot import Link
from ..dependents import deleted_with


def replace_children(
    changes: list[Change[str]], have: Have[str], want: list[Item[str]], links: t.Iterable[Link]
) -> dict[str, str]:
    """Replaces VLANs of ours that the kernel deletes with their parent, if that is created again.

    Returns the links that are deleted with others and not created again, each with the one that it is on.
    """
    planned = {change.item.key: change for change in changes}
    wanted = {item.key for item in want}
    gone = deleted_with(links, [name for name, change in planned.items() if change.op in ("delete", "replace")])
    replaced = {name for name, change in planned.items() if change.op == "replace"}
    for name, below in list(gone.items()):  # parents come first
        old, change = have.get(name), planned.get(name)
        if old is None or not old.owned or not (name in wanted or (below in replaced and _is_vlan(old))):
            continue
        if change is None:
            changes.append(Change("interfaces", "replace", old.label, "is deleted with its parent", have=old, want=old))
        else:
            change.op, change.why = "replace", "is deleted with its parent"
        replaced.add(name)
        del gone[name]
    return gone


def _is_vlan(item: Item[str]) -> bool:
    return item.attributes.get("type") == "vlan"


def rejoin_bridges(changes: list[Change[str]], have: Have[str], want: list[Item[str]]) -> None:
    """Puts wanted ports into their bridge again if that is replaced."""
    replaced = {change.item.key for change in changes if change.op == "replace"}
    changed = {change.item.key for change in changes}
    for item in want:
        bridge, old = item.attributes.get("bridge"), have.get(item.key)
        if bridge in replaced and old and old.attributes.get("bridge") == bridge and item.key not in changed:
            why, lost = "its bridge is replaced", {"bridge": None}
            changes.append(Change("interfaces", "change", old.label, why, lost, {"bridge": bridge}, old, old))


def disturb(planned: Planned, changes: list[Change[str]], have: Have[str]) -> None:
    """Records what interfaces lose through their own changes and those of their VRFs, and what to restore."""
    causes = planned.vrf_changes + changes
    planned.disturbed = _disturbed(changes, have, planned.freed)
    by_name = {change.item.key: change for change in changes}
    planned.remade = {name for name, change in by_name.items() if change.op in ("create", "replace", "delete")}
    planned.remade |= set(planned.gone)
    planned.without_ipv4 = {name for name, change in by_name.items() if without_ipv4(change)}
    for change in changes:
        planned.lose_addresses(change)
    for cause in causes:
        cause.addresses_to_restore = []
    for name in sorted(planned.disturbed | planned.without_ipv4):
        own = by_name.get(name)
        if name in have and name not in planned.remade and causes:
            (own or causes[0]).addresses_to_restore.append(own.want if own and own.want else have[name])
    for change in changes:
        removed = set(change.before.get("addresses", {})) - set(change.after.get("addresses", {}))
        if change.op == "change" and removed and not change.addresses_to_restore:
            change.addresses_to_restore = [change.item]  # removing a subnet's first address removes its others


def _disturbed(changes: list[Change[str]], have: Have[str], freed: set[str]) -> set[str]:
    """Names of links that lose their routes, proxy entries and IPv6 addresses: links that are replaced, deleted, set
    down or moved between VRFs (the kernel sets them down briefly), those in `freed`, and the VLANs on any of these."""
    names = set(freed)
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
    """Whether an interface is briefly without any IPv4 address: the kernel then drops its IPv4 routes.

    Removing the first address of a subnet removes the others, too (promote_secondaries is off by default)."""
    removed = [ipaddress.ip_interface(text) for text in change.before.get("addresses", {})]
    removed = [address for address in removed if address.version == 4]
    if not removed or change.op != "change":
        return False
    lost = {address.network for address in removed}
    remaining = (ipaddress.ip_interface(text) for text in change.item.attributes["addresses"])
    return all(address.version != 4 or address.network in lost for address in remaining)
