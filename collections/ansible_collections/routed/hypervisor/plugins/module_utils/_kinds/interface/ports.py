# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports to guests. A hypervisor's own tools create and remove them; we only configure them. Private to this collection.

A port that we configure is in a link group of ours (marks.py), by which it is recognized when its guest has left the
configuration. The port is then closed: its guest may still be running. What it had before it was first configured is
restored only when the host is given back.
"""

from __future__ import annotations

from ..._engine import options
from ..._engine.change import Item
from ..._engine.snapshot import Link, Snapshot
from ..._netlink.kernel import read_sysctl
from ..link_members import sysctl_path

# Nothing is forwarded or answered for the guest. The firewall drops the rest by the link group.
ANSWERS = {"ipv4.arp_ignore": "8", "ipv6.disable_ipv6": "1"}  # ARP is answered for no address
CLOSED = {"ipv4.forwarding": "0", "ipv4.proxy_arp": "0", "ipv6.proxy_ndp": "0", **ANSWERS}


def parse_guest(item: Item[str], guest: str, mistakes: options.Mistakes) -> None:
    if item.creates:
        mistakes.at(f"{item.place}.guest", "is only for an interface that someone else creates; leave out its type")
    item.hints["guest"] = guest
    item.attributes["port"] = "open"


def observe_wanted_port(found: Item[str], wanted: Item[str], link: Link) -> None:
    """A port in a group of someone else stays there: it is configured like any other, without our mark."""
    if "guest" in wanted.hints and link.group and link.port is None:
        found.attributes["port"] = "open"
    for key in ANSWERS if link.port == "closed" else ():
        default = read_sysctl(sysctl_path("default", key))
        if default is not None:
            wanted.attributes.setdefault("sysctls", {}).setdefault(key, default)
            found.attributes["sysctls"][key] = read_sysctl(sysctl_path(found.key, key))


def prepare_release(item: Item[str], snapshot: Snapshot, state: str) -> None:
    """Records what to take back from an interface of others that is no longer wanted."""
    vrf = item.attributes["vrf"]
    if vrf and snapshot.links[vrf].owned and "vrf" not in item.former and item.has_mark():
        item.hints["released"] = {"vrf": None}
    if not item.configured:
        return
    released = item.hints.setdefault("released", {})
    if state == "deleted":  # the host is given back
        released["port"] = None
        return
    released["port"] = "closed"
    observed = {key: read_sysctl(sysctl_path(item.key, key)) for key in CLOSED}
    item.attributes["sysctls"] = {key: value for key, value in observed.items() if value is not None}
    released["sysctls"] = {key: CLOSED[key] for key in item.attributes["sysctls"]}
