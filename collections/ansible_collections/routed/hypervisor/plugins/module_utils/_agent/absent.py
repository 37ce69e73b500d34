# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be applied while links of others are absent. Private to this collection."""

from __future__ import annotations

import dataclasses
import socket
import time
import typing as t

POLL_S = 0.05
Config = dict[str, t.Any]


@dataclasses.dataclass
class Present:
    """A network without the objects that need an absent link. Places stay those of the whole network."""

    config: Config
    left_out: set[str]  # places, such as `routes[3]`
    ports: list[str]  # absent links: of guests
    uplinks: list[str]  # absent links: all others


def external(config: Config) -> list[str]:
    """The links that something else creates."""
    return [entry["name"] for entry in config.get("interfaces") or () if not entry.get("type")]


def uplinks(config: Config) -> list[str]:
    """Those that exist without guests."""
    ports = {entry["name"] for entry in config.get("interfaces") or () if entry.get("guest")}
    return [name for name in external(config) if name not in ports]


def wait(names: t.Collection[str], seconds: float) -> float:
    """Waits until all links exist, up to a deadline: udev may rename late. The time it took."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        present = {name for _index, name in socket.if_nameindex()}
        if present.issuperset(names):
            break
        time.sleep(POLL_S)
    return time.monotonic() - start


def present(config: Config, links: t.Collection[str]) -> Present:
    """`links`: the names of those that exist."""
    absent = {name for name in external(config) if name not in links}
    found = Present(dict(config), set(), [], [])
    if not absent:
        return found
    hosts_own = set(uplinks(config))
    found.ports = sorted(absent - hosts_own)
    found.uplinks = sorted(absent & hosts_own)
    missing = _with_dependents(config, absent, links)
    for kind, keys in (("interfaces", ("name",)), ("ipvlan_links", ("master",)), ("proxy_arp", ("interface",))):
        for number, entry in enumerate(config.get(kind) or ()):
            if any(entry.get(key) in missing for key in keys):
                found.left_out.add(f"{kind}[{number}]")
    if config.get("routes"):  # an empty list would remove routes that nobody asked about
        found.config["routes"] = [
            _route(entry, f"routes[{number}]", missing, found.left_out) for number, entry in enumerate(config["routes"])
        ]
    return found


def _with_dependents(config: Config, absent: set[str], links: t.Collection[str]) -> set[str]:
    """The absent links, and those that cannot be created without them."""
    missing, before = set(absent), 0
    while len(missing) > before:
        before = len(missing)
        missing |= {
            entry["name"]
            for entry in config.get("interfaces") or ()
            if entry["name"] not in links and {entry.get("parent"), entry.get("bridge")} & missing
        }
    return missing


def _route(entry: Config, place: str, missing: set[str], left_out: set[str]) -> Config:
    hops = entry.get("nexthops")
    if entry.get("interface") in missing:
        left_out.add(place)
    elif hops:
        kept = [hop for hop in hops if hop.get("interface") not in missing]
        if not kept:
            left_out.add(place)
        return {**entry, "nexthops": kept}
    return entry
