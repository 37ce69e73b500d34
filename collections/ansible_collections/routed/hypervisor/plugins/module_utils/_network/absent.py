# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of others that are absent: left out, with all that depends on them. Private to this collection.

A port is absent while its guest does not run. An absent uplink is a mistake, but not at boot, where nobody can correct
it.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing as t

from .._engine.change import Item
from .._engine.planned import Planned

Wanted = dict[str, list[Item[t.Any]]]
LISTED = 10  # ports in one warning
SIMILAR = 0.8  # of two names; tap-web1 and tap-wbe1 have 0.875


def leave_out(wanted: Wanted, planned: Planned, uplinks: bool = False) -> None:
    """Removes absent ports, and what depends on them, from `wanted`, and records them in `planned`.

    Called when the names of all links that will exist are known. `uplinks`: whether absent ones are left out, too.
    """
    for item in wanted.get("interfaces", ()):
        if item.creates or item.key in planned.links or item.key in planned.snapshot.altnames:
            continue
        if "guest" in item.hints:
            planned.absent[item.key] = item.hints["guest"]
        elif uplinks:
            planned.absent_uplinks.append(item.key)
    gone = {*planned.absent, *planned.absent_uplinks}
    if not gone:
        return
    for item in wanted["interfaces"]:  # parents come first
        if item.key in planned.snapshot.links:  # as long as its parent has another name, or is in another namespace
            continue
        if item.attributes.get("parent") in gone or item.attributes.get("bridge") in gone:
            gone.add(item.key)
            planned.links.pop(item.key, None)
    for name, belongs in BELONGS.items():
        if name in wanted:
            wanted[name] = [item for item in wanted[name] if not belongs(item, gone)]
    if "routes" in wanted:
        wanted["routes"] = [route for item in wanted["routes"] if (route := _without(item, gone)) is not None]


def _of_sysctl(item: Item[t.Any], gone: set[str]) -> bool:
    parts = item.key.split("/")  # ipv4/conf/NAME/forwarding
    return len(parts) == 4 and parts[1] in ("conf", "neigh") and parts[2] in gone


BELONGS: dict[str, t.Callable[[Item[t.Any], set[str]], bool]] = {
    "sysctls": _of_sysctl,
    "interfaces": lambda item, gone: item.key in gone,
    "ipvlan_links": lambda item, gone: item.attributes.get("master") in gone,
    "proxy_arp": lambda item, gone: item.key in gone,
}


def _without(route: Item[t.Any], gone: set[str]) -> Item[t.Any] | None:
    """A route without its next hops through absent ports; None if none are left."""
    hops = route.attributes["nexthops"]
    left = [hop for hop in hops if hop.get("interface") not in gone]
    if len(left) == len(hops):
        return route
    return dataclasses.replace(route, attributes={**route.attributes, "nexthops": left}) if left else None


def warnings(wanted: Wanted, planned: Planned, known: t.Collection[str] | None) -> list[str]:
    """Absent ports whose names may be mistyped, because no earlier run has configured them.

    `known` are ports that an earlier run has configured: their guests have just stopped. None if that is not recorded.
    """
    claimed = {item.key for item in wanted.get("interfaces", ())}
    free = [name for name, link in planned.snapshot.links.items() if name not in claimed and not link.owned]
    unknown = {name: guest for name, guest in planned.absent.items() if name not in (known or ())}
    found, unseen = [], []
    for name, guest in unknown.items():
        similar = difflib.get_close_matches(name, free, 1, SIMILAR)
        if similar:
            found.append(f"there is no port {name} of guest {guest}; did you mean {similar[0]}?")
        else:
            unseen.append(f"{name} of guest {guest}")
    if unseen and known is not None:
        more = f" and {len(unseen) - LISTED} others" if len(unseen) > LISTED else ""
        names = ", ".join(unseen[:LISTED]) + more
        found.append(f"no run has seen these ports yet; if their guests are running, the names are wrong: {names}")
    return found


def shown(planned: Planned) -> list[dict[str, str]]:
    return [{"interface": name, "guest": guest} for name, guest in planned.absent.items()]
