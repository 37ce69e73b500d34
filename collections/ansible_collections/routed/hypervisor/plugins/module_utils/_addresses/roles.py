# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an address or a prefix may be, by its role: the one table for intents and modules. Private to this collection.

The blocks are those of the IANA registries of special-purpose addresses (RFC 6890) that no router forwards or no host
may use. They are written out because `ipaddress` has predicates for single addresses only, while a prefix may also
contain a block, and because its `is_private`, `is_global` and `is_reserved` changed between Python versions. Blocks in
ordinary use are absent: private, shared (100.64.0.0/10), documentation, benchmarking, 6to4, Teredo, NAT64.
"""

from __future__ import annotations

import functools
import ipaddress
import typing as t

UNSPECIFIED, THIS_NETWORK, LOOPBACK, LINK_LOCAL = "unspecified", "this network", "loopback", "link-local"
MULTICAST, RESERVED, BROADCAST, IN_IPV6, DISCARD = "multicast", "reserved", "broadcast", "IPv4 in IPv6", "discard-only"

# A more specific block comes before one that contains it.
BLOCKS = tuple(
    (kind, ipaddress.ip_network(prefix))
    for kind, prefix in (
        (UNSPECIFIED, "0.0.0.0/32"),
        (THIS_NETWORK, "0.0.0.0/8"),
        (LOOPBACK, "127.0.0.0/8"),
        (LINK_LOCAL, "169.254.0.0/16"),  # BIRD neither imports nor announces routes to it
        (MULTICAST, "224.0.0.0/4"),
        (BROADCAST, "255.255.255.255/32"),
        (RESERVED, "240.0.0.0/4"),
        (UNSPECIFIED, "::/128"),
        (LOOPBACK, "::1/128"),
        (IN_IPV6, "::/96"),  # IPv4-compatible (RFC 4291, section 2.5.5.1)
        (IN_IPV6, "::ffff:0:0/96"),  # IPv4-mapped
        (DISCARD, "100::/64"),
        (LINK_LOCAL, "fe80::/10"),
        (MULTICAST, "ff00::/8"),
    )
)

_NOWHERE = frozenset((UNSPECIFIED, MULTICAST, BROADCAST))
_NOT_FORWARDED = _NOWHERE | {THIS_NETWORK, LOOPBACK, LINK_LOCAL, RESERVED, IN_IPV6, DISCARD}

_BLOCKS = {  # with their first and last addresses as numbers: objects are ten times slower to compare
    version: [
        (kind, block, int(block.network_address), int(block.broadcast_address))
        for kind, block in BLOCKS
        if block.version == version
    ]
    for version in (4, 6)
}


class Role(t.NamedTuple):
    refused: frozenset[str]
    right: str  # completes a message
    may_contain: bool = False  # whether a prefix may contain refused blocks, as a default route does


ROLES = {
    # prefixes
    "network": Role(_NOT_FORWARDED, "unicast addresses, which routers forward"),
    "destination": Role(_NOT_FORWARDED - {DISCARD}, "unicast addresses, which routers forward", True),
    # addresses
    "host": Role(_NOT_FORWARDED, "a unicast address, which routers forward"),
    "router id": Role(
        _NOWHERE | {LOOPBACK, RESERVED}, "a number in the form of a unicast address, for instance 192.0.2.1"
    ),
    # what the kernel accepts on an interface and as a gateway
    "interface": Role(_NOWHERE, "a unicast address"),
    "next hop": Role(_NOWHERE | {LOOPBACK}, "the unicast address of a router"),
}


@functools.lru_cache(maxsize=4096)
def refusal(text: str, role: str) -> str | None:
    """Why an address or a prefix cannot have a role, as the rest of a sentence that begins with it; else None."""
    network = ipaddress.ip_network(text, strict=False)
    first, last = int(network.network_address), int(network.broadcast_address)
    for kind, block, start, end in _BLOCKS[network.version]:
        if last < start or end < first or kind not in ROLES[role].refused:
            continue
        if start <= first and last <= end:
            return f"is {kind}" if network == block else f"is {kind} ({block})"
        if not ROLES[role].may_contain:
            return f"contains {kind} addresses ({block})"
    return None
