# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports to guests. A hypervisor's own tools create and remove them; we only configure them. Private to this collection.

A port that we configure is in a link group of ours (marks.py). When its guest leaves the configuration, the mark shows
what to take back. The port is then closed, not just released: its guest may still be running.
"""

from __future__ import annotations

import typing as t

from ..._engine import options
from ..._engine.change import Item
from ..._engine.snapshot import Link, Snapshot
from ..._netlink.kernel import read_sysctl
from ..link_members import sysctl_path

# Nothing is forwarded or answered for the guest. The firewall drops the rest by the link group.
CLOSED = {"ipv4.forwarding": "0", "ipv4.proxy_arp": "0", "ipv6.proxy_ndp": "0", "ipv6.disable_ipv6": "1"}


def parse_guest(item: Item[str], guest: str, mistakes: options.Mistakes) -> None:
    if item.creates:
        mistakes.at(f"{item.place}.guest", "is only for an interface that someone else creates; leave out its type")
    item.hints["guest"] = guest
    item.attributes["port"] = "open"


def observe_wanted_port(found: Item[str], wanted: Item[str], link: Link) -> None:
    """A port in a group of someone else stays there: it is configured like any other, without our mark."""
    if "guest" in wanted.hints and link.group and link.port is None:
        found.attributes["port"] = "open"
    if link.port == "closed":
        wanted.attributes.setdefault("sysctls", {}).setdefault("ipv6.disable_ipv6", "0")
        found.attributes["sysctls"]["ipv6.disable_ipv6"] = read_sysctl(sysctl_path(found.key, "ipv6.disable_ipv6"))


def prepare_release(item: Item[str], snapshot: Snapshot, state: str) -> None:
    """Records what to take back from an interface of others that is no longer wanted."""
    vrf = item.attributes["vrf"]
    if not item.configured:
        if vrf and snapshot.links[vrf].owned and item.marked["addresses"]:
            item.hints["released"] = {"vrf": None}
        return
    released: dict[str, t.Any] = {"vrf": None if vrf and snapshot.links[vrf].owned else vrf}
    if state == "deleted":  # the host is given back
        released["port"] = None
        wanted = {key: read_sysctl(sysctl_path("default", key)) for key in CLOSED}
    else:
        released["port"] = "closed"
        wanted = dict(CLOSED)
    observed = {key: read_sysctl(sysctl_path(item.key, key)) for key in wanted}
    item.attributes["sysctls"] = {key: value for key, value in observed.items() if value is not None}
    released["sysctls"] = {key: wanted[key] for key in item.attributes["sysctls"]}
    item.hints["released"] = released
