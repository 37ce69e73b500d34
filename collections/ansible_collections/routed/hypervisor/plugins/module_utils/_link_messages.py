# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module utility is private to this collection.

"""Links through netlink, as much of it as cables need: dump, create a veth pair, change, delete.

Cables span hundreds of namespaces in one call. A plain socket opened in a namespace costs microseconds; pyroute2 costs
a process for each namespace, and nearly a second of import time in user-mode Linux. The protocol: netlink(7),
rtnetlink(7), include/uapi/linux/if_link.h.
"""

from __future__ import annotations

import os
import socket
import struct
import typing as t
from dataclasses import dataclass

from ._namespaces import inside_network

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_GETNSID = 16, 17, 18, 90
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_EXCL, NLM_F_CREATE = 0x200, 0x400
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200

SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
NLMSGERR_ATTR_MSG = 1
NLA_TYPE_MASK = 0x3FFF
NLA_F_NESTED = 0x8000

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK = 1, 3, 4, 5
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_GROUP = 18, 20, 27
IFLA_NET_NS_FD, IFLA_EXT_MASK, IFLA_LINK_NETNSID = 28, 29, 37
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
RTEXT_FILTER_SKIP_STATS = 8
NETNSA_NSID, NETNSA_FD = 1, 3
IFF_UP = 1

AT_ONCE = 200  # the replies to so many requests fit into the default receive buffer


@dataclass(frozen=True)
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


def attribute(kind: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def attributes_in(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & NLA_TYPE_MASK] = data[4:length]
        data = data[(length + 3) & ~3 :]
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
    )


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


class Network:
    """A netlink socket in the network namespace of a descriptor; without one, in that of the module."""

    def __init__(self, fd: int | None = None):
        if fd is None:
            self.socket = self._open()
        else:
            with inside_network(fd):
                self.socket = self._open()
        self.sequence = 0

    @staticmethod
    def _open() -> socket.socket:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        sock.settimeout(60)
        sock.bind((0, 0))
        return sock

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *exception) -> None:
        self.socket.close()

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        self.sequence += 1
        return struct.pack("=IHHII", len(body) + 16, kind, flags | NLM_F_REQUEST, self.sequence, 0) + body

    def _replies(self) -> t.Iterator[tuple[int, int, int, bytes]]:
        """Messages as they come: type, flags, sequence number, body."""
        while True:
            data = self.socket.recv(1 << 17)
            while len(data) >= 16:
                length, kind, flags, sequence = struct.unpack_from("=IHHI", data)
                yield kind, flags, sequence, data[16:length]
                data = data[(length + 3) & ~3 :]

    @staticmethod
    def _error(flags: int, body: bytes) -> str | None:
        code = -struct.unpack_from("=i", body)[0]
        if code == 0:
            return None
        said = ""
        if flags & NLM_F_ACK_TLVS:
            # The request that failed comes first, capped to its header.
            said = text(attributes_in(body[20:]).get(NLMSGERR_ATTR_MSG))
        return f"{os.strerror(code)}{f' ({said})' if said else ''}"

    def links(self) -> dict[str, Link]:
        """All links of the namespace by name."""
        request = link_header() + attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
        self.socket.send(self._message(RTM_GETLINK, NLM_F_DUMP, request))
        found = {}
        for kind, flags, sequence, body in self._replies():
            if kind == NLMSG_DONE:
                break
            if kind == NLMSG_ERROR:
                raise OSError(f"cannot list links: {self._error(flags, body)}")
            if kind == RTM_NEWLINK and sequence == self.sequence:
                link = parse_link(body)
                found[link.name] = link
        return found

    def number_of(self, fd: int) -> int | None:
        """The number by which links in this namespace name the namespace fd as their peer's; None if none does."""
        self.socket.send(self._message(RTM_GETNSID, 0, struct.pack("=Bxxx", 0) + attribute(NETNSA_FD, fd)))
        kind, flags, _sequence, body = next(self._replies())
        if kind == NLMSG_ERROR:
            raise OSError(f"cannot tell a namespace's number: {self._error(flags, body)}")
        found = number(attributes_in(body[4:]).get(NETNSA_NSID))
        return None if found is None or found < 0 else found

    def ask(self, requests: t.Sequence[Request]) -> list[str | None]:
        """Carries out requests in order, many per system call. For each: None, or the kernel's error."""
        results: list[str | None] = []
        for start in range(0, len(requests), AT_ONCE):
            chunk = requests[start : start + AT_ONCE]
            first = self.sequence + 1
            self.socket.send(b"".join(self._message(kind, flags | NLM_F_ACK, body) for kind, flags, body in chunk))
            answers: dict[int, str | None] = {}
            for kind, flags, sequence, body in self._replies():
                if kind == NLMSG_ERROR and sequence >= first:
                    answers[sequence] = self._error(flags, body)
                if len(answers) == len(chunk):
                    break
            results += [answers[sequence] for sequence in range(first, first + len(chunk))]
        return results
