# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what the kernel has learned from router advertisements when this host becomes a router.

A host that forwards IPv6 ignores router advertisements unless accept_ra is 2, and switching forwarding on, even on one
interface, drops all learned default routes at once (addrconf_fixup_forwarding). Private to this collection.
"""

from __future__ import annotations

import socket
import typing as t

from .._engine.change import Change, Item
from .._engine.snapshot import Snapshot
from .._kinds.interface.kind import PERMANENT
from .._netlink.codec import ROUTE
from .._netlink.kernel import read_sysctl

ROUTER_ADVERTISEMENT = 9  # RTPROT_RA
WHY = "router advertisements are in use on {}; a host that forwards IPv6 accepts them only with 2"


def changes_to_keep(
    changes: t.Iterable[Change[t.Any]], wanted: dict[str, list[Item[t.Any]]], snapshot: Snapshot
) -> list[Change[t.Any]]:
    """accept_ra becomes 2 where router advertisements are in use and the configuration leaves it open."""
    if not any(_starts_forwarding(change) for change in changes):
        return []
    decided = {
        item.key
        for item in wanted.get("interfaces", ())
        if "guest" in item.hints or "ipv6.accept_ra" in item.attributes.get("sysctls", {})
    }
    decided |= {item.key.split("/")[2] for item in wanted.get("sysctls", ()) if item.key.endswith("/accept_ra")}
    found = []
    for name in sorted(_learning(snapshot) - decided):
        path, label = f"ipv6/conf/{name}/accept_ra", f"net.ipv6.conf.{name.replace('.', '/')}.accept_ra"
        if snapshot.links[name].port is None and read_sysctl(path) == "1":
            have, want = Item(path, label, {"value": "1"}), Item(path, label, {"value": "2"})
            why = WHY.format(name)
            found.append(Change("sysctls", "change", label, why, have.attributes, want.attributes, have, want))
    return found


def _starts_forwarding(change: Change[t.Any]) -> bool:
    if change.kind == "sysctls":
        key: str = change.item.key
        return bool(key.startswith("ipv6/conf/") and key.endswith("/forwarding") and change.after.get("value") != "0")
    return bool((change.after.get("sysctls") or {}).get("ipv6.forwarding", "0") != "0")


def starts_forwarding(wanted: dict[str, list[Item[t.Any]]]) -> bool:
    """Whether the configuration makes this host a router for IPv6."""
    return any(
        item.key.startswith("ipv6/conf/") and item.key.endswith("/forwarding") and item.attributes["value"] != "0"
        for item in wanted.get("sysctls", ())
    ) or any(
        item.attributes.get("sysctls", {}).get("ipv6.forwarding", "0") != "0" for item in wanted.get("interfaces", ())
    )


def _learning(snapshot: Snapshot) -> set[str]:
    """Interfaces with routes or addresses from router advertisements."""
    routes = snapshot.kernel.dump(ROUTE, {"family": socket.AF_INET6, "proto": ROUTER_ADVERTISEMENT})
    links = {hop.link for route in routes if route.protocol == ROUTER_ADVERTISEMENT for hop in route.hops}
    links |= {entry.index for entry in snapshot.addresses if len(entry.address) == 16 and not entry.flags & PERMANENT}
    return {snapshot.names[link] for link in links if link in snapshot.names}
