# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""Messages about links, as much of them as cables need: create a veth pair, change, delete; what a dump says.

Written by hand, as importing pyroute2 costs nearly a second in user-mode Linux. The protocol: rtnetlink(7),
include/uapi/linux/if_link.h.
"""

from __future__ import annotations

import socket
import struct
import typing as t
from dataclasses import dataclass, field

RTM_NEWLINK, RTM_DELLINK = 16, 17
NLM_F_EXCL, NLM_F_CREATE = 0x200, 0x400
ATTRIBUTE = struct.Struct("=HH")
NLA_TYPE_MASK = 0x3FFF
NLA_F_NESTED = 0x8000

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_GROUP = 18, 20, 27
IFLA_AF_SPEC, IFLA_NET_NS_FD, IFLA_LINK_NETNSID = 26, 28, 37
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFF_UP = 1
# Where a link's own settings are: address family, attribute, place in a list of numbers
PROXY_ARP, PROXY_NDP = (socket.AF_INET, 1, 2), (socket.AF_INET6, 2, 22)


@dataclass
class Link:
    """A link as the kernel shows it. peer: index of the link it hangs on; peer_network: the kernel's number, as seen
    from this namespace, of the namespace that one is in, None for this one."""

    index: int
    name: str
    kind: str
    alias: str
    group: int
    mac: str
    mtu: int
    up: bool
    peer: int
    peer_network: int | None
    master: int = 0  # index
    data: dict[int, bytes] = field(default_factory=dict)  # what only its kind has, undecoded
    families: bytes = b""  # its settings, undecoded


def attribute(kind: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def attributes_in(data: bytes) -> dict[int, bytes]:
    found, start, size = {}, 0, len(data)
    while size - start >= 4:
        length, kind = ATTRIBUTE.unpack_from(data, start)
        if length < 4:
            break
        found[kind & NLA_TYPE_MASK] = data[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def number(value: bytes | None) -> int | None:
    return struct.unpack("=i", value)[0] if value is not None else None


def text(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0").decode(errors="replace")


def link_header(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def parse_link(body: bytes) -> Link:
    index, flags = struct.unpack_from("=4xiI", body)
    found = attributes_in(body[16:])
    info = attributes_in(found.get(IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=text(found.get(IFLA_IFNAME)),
        kind=text(info.get(IFLA_INFO_KIND)),
        alias=text(found.get(IFLA_IFALIAS)),
        group=number(found.get(IFLA_GROUP)) or 0,
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=number(found.get(IFLA_MTU)) or 0,
        up=bool(flags & IFF_UP),
        peer=number(found.get(IFLA_LINK)) or 0,
        peer_network=number(found.get(IFLA_LINK_NETNSID)),
        master=number(found.get(IFLA_MASTER)) or 0,
        data=attributes_in(info.get(IFLA_INFO_DATA, b"")),
        families=found.get(IFLA_AF_SPEC, b""),
    )


def setting(families: bytes, which: tuple[int, int, int]) -> int:
    """One of a link's settings, as its file below /proc/sys/net has it; 0 where the link has none of the family."""
    family, kind, place = which
    numbers = attributes_in(attributes_in(families).get(family, b"")).get(kind, b"")
    return struct.unpack_from("=i", numbers, place * 4)[0] if len(numbers) > place * 4 else 0


# A request: message type, flags beside REQUEST and ACK, body.
Request = tuple[int, int, bytes]


def create_veth(group: int, mtu: int | None, ends: t.Sequence[tuple[int, str, str | None]]) -> Request:
    """A pair of which each end (namespace, name, MAC or None) is made in its namespace. It is down."""

    def describe(end: tuple[int, str, str | None]) -> bytes:
        network, name, mac = end
        parts = [attribute(IFLA_IFNAME, name), attribute(IFLA_NET_NS_FD, network), attribute(IFLA_GROUP, group)]
        if mac:
            parts.append(attribute(IFLA_ADDRESS, mac_bytes(mac)))
        if mtu:
            parts.append(attribute(IFLA_MTU, mtu))
        return b"".join(parts)

    peer = attribute(VETH_INFO_PEER | NLA_F_NESTED, link_header() + describe(ends[1]))
    info = nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, "veth"), nested(IFLA_INFO_DATA, peer))
    return RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header() + describe(ends[0]) + info


def change_link(
    name: str,
    *,
    up: bool = False,
    alias: str | None = None,
    mac: str | None = None,
    mtu: int | None = None,
    group: int | None = None,
) -> Request:
    parts = [attribute(IFLA_IFNAME, name)]
    if alias is not None:
        parts.append(attribute(IFLA_IFALIAS, alias.encode()))
    if mac is not None:
        parts.append(attribute(IFLA_ADDRESS, mac_bytes(mac)))
    if mtu is not None:
        parts.append(attribute(IFLA_MTU, mtu))
    if group is not None:
        parts.append(attribute(IFLA_GROUP, group))
    return RTM_NEWLINK, 0, link_header(flags=IFF_UP if up else 0, change=IFF_UP if up else 0) + b"".join(parts)


def delete_group(group: int) -> Request:
    """All links of a group at once: the kernel waits for its readers once, not once for each link."""
    return RTM_DELLINK, 0, link_header() + attribute(IFLA_GROUP, group)
