# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to rtnetlink as bytes, from fields and attributes by name. Private to this collection.

A run may have thousands of them, and pyroute2's encoder, with which a test compares this one, takes ten times as long.
The names are those of include/uapi/linux/{if_link,if_addr,rtnetlink,neighbour,fib_rules}.h and of pyroute2.
"""

from __future__ import annotations

import socket
import struct
import typing as t

# RTM_NEW of each kind; RTM_DEL is one more, RTM_GET two more.
LINK, ADDRESS, ROUTE, NEIGHBOR, RULE = 16, 20, 24, 28, 32

HEADERS: dict[int, tuple[struct.Struct, tuple[str, ...]]] = {
    LINK: (struct.Struct("=BxHiII"), ("family", "ifi_type", "index", "flags", "change")),
    ADDRESS: (struct.Struct("=BBBBI"), ("family", "prefixlen", "flags", "scope", "index")),
    ROUTE: (
        struct.Struct("=BBBBBBBBI"),
        ("family", "dst_len", "src_len", "tos", "table", "proto", "scope", "type", "flags"),
    ),
    NEIGHBOR: (struct.Struct("=BxxxiHBB"), ("family", "ifindex", "state", "flags", "ndm_type")),
    RULE: (
        struct.Struct("=BBBBBBBBI"),
        ("family", "dst_len", "src_len", "tos", "table", "res1", "res2", "action", "flags"),
    ),
}
NEXT_HOP = struct.Struct("=HBBi")


def _u8(value: int) -> bytes:
    return bytes((value,))


def _u16(value: int) -> bytes:
    return struct.pack("=H", value)


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


def _ip(value: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in value else socket.AF_INET, value)


def _nested(value: dict) -> bytes:
    return encode_attributes(value["attrs"])


def _peer(value: dict) -> bytes:
    return HEADERS[LINK][0].pack(0, 0, 0, 0, 0) + encode_attributes(value["attrs"])


def _next_hops(value: list[dict]) -> bytes:
    parts = []
    for hop in value:
        attributes = encode_attributes(hop["attrs"])
        header = NEXT_HOP.pack(NEXT_HOP.size + len(attributes), hop["flags"], hop["hops"], hop["oif"])
        parts.append(header + attributes)
    return b"".join(parts)


ATTRIBUTES: dict[str, tuple[int, t.Callable[[t.Any], bytes]]] = {
    "IFLA_ADDRESS": (1, _mac),
    "IFLA_IFNAME": (3, _text),
    "IFLA_MTU": (4, _u32),
    "IFLA_LINK": (5, _u32),
    "IFLA_MASTER": (10, _u32),
    "IFLA_LINKINFO": (18, _nested),
    "IFLA_IFALIAS": (20, _text),
    "IFLA_GROUP": (27, _u32),
    "IFLA_NET_NS_FD": (28, _u32),
    "IFLA_INFO_KIND": (1, _text),
    "IFLA_INFO_DATA": (2, _nested),
    "IFLA_BR_VLAN_FILTERING": (7, _u8),
    "IFLA_IPVLAN_MODE": (1, _u16),
    "IFLA_IPVLAN_FLAGS": (2, _u16),
    "IFLA_VLAN_ID": (1, _u16),
    "IFLA_VRF_TABLE": (1, _u32),
    "VETH_INFO_PEER": (1, _peer),
    "IFA_ADDRESS": (1, _ip),
    "IFA_LOCAL": (2, _ip),
    "IFA_FLAGS": (8, _u32),
    "IFA_PROTO": (11, _u8),
    "RTA_DST": (1, _ip),
    "RTA_OIF": (4, _u32),
    "RTA_GATEWAY": (5, _ip),
    "RTA_PRIORITY": (6, _u32),
    "RTA_PREFSRC": (7, _ip),
    "RTA_METRICS": (8, _nested),
    "RTA_MULTIPATH": (9, _next_hops),
    "RTA_TABLE": (15, _u32),
    "RTAX_MTU": (2, _u32),
    "NDA_DST": (1, _ip),
    "NDA_PROTOCOL": (12, _u8),
    "FRA_DST": (1, _ip),
    "FRA_SRC": (2, _ip),
    "FRA_IIFNAME": (3, _text),
    "FRA_PRIORITY": (6, _u32),
    "FRA_FWMARK": (10, _u32),
    "FRA_SUPPRESS_PREFIXLEN": (14, _u32),
    "FRA_TABLE": (15, _u32),
    "FRA_FWMASK": (16, _u32),
    "FRA_OIFNAME": (17, _text),
    "FRA_L3MDEV": (19, _u8),
    "FRA_PROTOCOL": (21, _u8),
}


def encode_attributes(attributes: t.Iterable[tuple[str, t.Any]]) -> bytes:
    """Those that are None are left out. A name that is not known is a KeyError, not dropped without a word."""
    parts = []
    for name, value in attributes:
        if value is not None:
            number, encode = ATTRIBUTES[name]
            data = encode(value)
            parts.append(struct.pack("=HH", len(data) + 4, number) + data + bytes(-len(data) % 4))
    return b"".join(parts)


def encode(kind: int, fields: dict[str, int], attributes: t.Iterable[tuple[str, t.Any]]) -> bytes:
    """The body of a request: what follows the header that all netlink messages have."""
    header, names = HEADERS[kind]
    unknown = set(fields) - set(names)
    if unknown:
        raise KeyError(f"no such field: {', '.join(sorted(unknown))}")
    return header.pack(*(fields.get(name, 0) for name in names)) + encode_attributes(attributes)
