# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes, in a form that both GoBGP and the kernel are compared in. Addresses are packed bytes. Private to this
collection."""

from __future__ import annotations

import socket
import typing as t

from ..._netlink.codec import address_text, family_of, packed

FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
LEARNED_PROTOCOL = 83  # ours: routes learned by BGP
LOCAL_PROTOCOL = 84  # ours: routes to containers of this host
OURS = (LEARNED_PROTOCOL, LOCAL_PROTOCOL)
LOCAL_METRIC = 32
ORDINARY = 100  # local preference of all routes but those to guests that move: see _agent/follow/seen.py

UNICAST = 1  # kind of route; others: 2 local, 3 broadcast, 6 blackhole, 7 unreachable, 8 prohibit
ANNOUNCEABLE = (1, 6, 7, 8)
GLOBAL_SCOPE, LINK_SCOPE = 0, 253


class Prefix(t.NamedTuple):
    address: bytes
    length: int

    def __str__(self) -> str:
        return f"{address_text(self.address)}/{self.length}"

    @property
    def family(self) -> int:
        return family_of(self.address)

    def contains(self, address: bytes) -> bool:
        if len(address) != len(self.address):
            return False
        shift = len(address) * 8 - self.length
        return int.from_bytes(address) >> shift == int.from_bytes(self.address) >> shift


class Hop(t.NamedTuple):
    """A way out: an interface, and the router there (none: the destination itself is on the link)."""

    gateway: bytes | None
    link: int
    weight: int = 1


class Route(t.NamedTuple):
    prefix: Prefix
    metric: int
    protocol: int
    hops: tuple[Hop, ...]  # sorted
    kind: int = UNICAST
    scope: int = GLOBAL_SCOPE
    prefsrc: bytes | None = None

    @property
    def key(self) -> tuple[Prefix, int]:
        """The kernel replaces a route with the same key, whoever wrote it."""
        return self.prefix, self.metric


def ordered(hops: t.Iterable[Hop]) -> tuple[Hop, ...]:
    """Without duplicates, in an order that does not depend on the source."""
    return tuple(sorted(set(hops), key=lambda hop: (hop.gateway or b"", hop.link, hop.weight)))


def prefix(written: str) -> Prefix:
    """A prefix from its text; bits behind its length are dropped. OSError or ValueError if it is not one."""
    address, _slash, length = written.partition("/")
    raw = packed(address)
    bits = int(length) if length else len(raw) * 8
    if not 0 <= bits <= len(raw) * 8:
        raise ValueError(f"{written}: prefix length out of range")
    rest = len(raw) * 8 - bits
    if rest:
        raw = (int.from_bytes(raw) >> rest << rest).to_bytes(len(raw))
    return Prefix(raw, bits)


def host_prefix(address: bytes) -> Prefix:
    return Prefix(address, len(address) * 8)
