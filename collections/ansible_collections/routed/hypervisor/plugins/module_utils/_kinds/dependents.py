# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that the kernel deletes together with another one: what is on it, and its veth peer.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._engine.snapshot import Link, Snapshot, describe
from .._netlink import codec
from .._netlink.named_namespaces import OWN

# These report the link that they send through as IFLA_LINK, too, but survive it.
TUNNELS = {
    "gre",
    "gretap",
    "erspan",
    "ip6gre",
    "ip6gretap",
    "ip6erspan",
    "ipip",
    "sit",
    "ip6tnl",
    "vti",
    "vti6",
    "xfrm",
}
# In every namespace, from the moment that the kernel module of their kind is loaded
FALLBACKS = {"lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "sit0", "ip6tnl0", "ip6_vti0", "ip6gre0"}
Place = tuple[str, str]  # namespace ("" is the host's own) and name


def deleted_with(links: t.Iterable[Link], gone: t.Iterable[str]) -> dict[str, str]:
    """Maps the name of each link that is deleted with one of `gone`, all in one namespace, to the one that it is on.

    A link follows the one that it is on.
    """
    links = list(links)
    by_index = {link.index: link.name for link in links}
    above: dict[str, list[str]] = {}
    for link in links:
        below = by_index.get(link.data["IFLA_VXLAN_LINK"]) if "IFLA_VXLAN_LINK" in link.data else link.parent
        if below and link.kind not in TUNNELS:
            above.setdefault(below, []).append(link.name)
    queue = list(gone)
    found: dict[str, str] = {}
    roots = set(queue)
    while queue:
        below = queue.pop(0)
        for name in sorted(above.get(below, [])):
            if name not in found and name not in roots:
                found[name] = below
                queue.append(name)
    return found


class Elsewhere:
    """Links of other network namespaces, as seen from this one."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._links: dict[str, dict[str, codec.Link]] = {}

    def links(self, where: str) -> dict[str, codec.Link]:
        if where not in self._links:
            kernel = self.snapshot.kernel_in(where)
            self._links[where] = kernel.network.links() if kernel else {}
        return self._links[where]

    def described(self, where: str) -> list[Link]:
        found = self.links(where)
        names = {link.index: link.name for link in found.values()}
        return [describe(link, names) for link in found.values()]

    def on_host(self, where: str) -> dict[str, str]:
        """By the name of each link in a namespace that is on, or the peer of, a link of this one: the latter's name."""
        kernel = self.snapshot.kernel_in(where)
        found = self.links(where)
        if kernel is None or not any(link.peer_network is not None for link in found.values()):
            return {}
        own = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            number = kernel.network.number_of(own)
        finally:
            os.close(own)
        return {
            link.name: self.snapshot.names[link.peer]
            for link in found.values()
            if number is not None and link.peer_network == number and link.peer in self.snapshot.names
        }

    def under_host(self, where: str) -> dict[str, str]:
        """By the name of each link of this namespace that is on, or the peer of, one in `where`: the latter's name."""
        kernel = self.snapshot.kernel_in(where)
        own = self.snapshot.kernel.network
        number = own.number_of(kernel.fd) if kernel and kernel.fd is not None else None
        if number is None:
            return {}
        names = {link.index: link.name for link in self.links(where).values()}
        return {
            link.name: names[link.peer]
            for link in own.links().values()
            if link.peer_network == number and link.peer in names
        }


def named_processes(pids: t.Iterable[int]) -> list[str]:
    """Processes as text for a message, without those that have ended."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            found.append(f"{pid} ({file.read().strip()})")
    return found
