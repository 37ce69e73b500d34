# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""Netlink sockets in any network namespace: many requests in one system call, each with its own answer.

A run may span hundreds of namespaces. A plain socket opened in a namespace costs microseconds; pyroute2 costs a process
for each. The protocol: netlink(7), include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import typing as t

from .link_messages import (
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    Link,
    Request,
    attribute,
    attributes_in,
    link_header,
    nested,
    number,
    parse_link,
    text,
)
from .namespaces import inside_network

RTM_GETLINK, RTM_GETNSID = 18, 90
IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS = 29, 8
NETNSA_NSID, NETNSA_FD = 1, 3
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_DUMP_INTR, NLM_F_ACK_TLVS = 0x10, 0x200
NLMSGERR_ATTR_MSG = 1
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
SIOCGIFINDEX = 0x8933

# Requests of one system call. The kernel answers before it returns, and has to keep all answers in a receive buffer of
# 208 KB by default: even if every request fails, these are few enough.
AT_ONCE = 200
BYTES_AT_ONCE = 1 << 16  # they also have to fit into the send buffer, which is as large
DUMPS = 5  # attempts at a dump that something else disturbs


class Refusal(Exception):
    """The kernel's answer to a request that it did not carry out: the error's number, and its own words if any."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"{os.strerror(code)}{f' ({said})' if said else ''}")
        self.code = code
        self.said = said


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
        sock.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)  # dumps are filtered in the kernel, or refused
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
        """Messages as they come: type, flags, sequence number, the whole message."""
        while True:
            data = self.socket.recv(1 << 17)
            start = 0
            while len(data) - start >= 16:
                length, kind, flags, sequence = struct.unpack_from("=IHHI", data, start)
                yield kind, flags, sequence, data[start : start + length]
                start += (length + 3) & ~3

    @staticmethod
    def _error(flags: int, message: bytes) -> Refusal | None:
        code = -struct.unpack_from("=i", message, 16)[0]
        if code == 0:
            return None
        said = ""
        if flags & NLM_F_ACK_TLVS:
            # The request that failed comes first, capped to its header.
            said = text(attributes_in(message[36:]).get(NLMSGERR_ATTR_MSG))
        return Refusal(code, said)

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """All objects that a request of type `kind` asks for, as whole messages. Raises Refusal."""
        for _attempt in range(DUMPS):
            self.socket.send(self._message(kind, NLM_F_DUMP, body))
            found, torn = [], False
            for answer, flags, sequence, message in self._replies():
                if sequence != self.sequence:
                    continue
                torn |= bool(flags & NLM_F_DUMP_INTR)
                if answer in (NLMSG_DONE, NLMSG_ERROR):
                    refusal = self._error(flags, message) if len(message) >= 20 else None
                    if refusal:
                        raise refusal
                    break
                found.append(message)
            if not torn:
                break  # else something changed between two parts of the answer: it may lack or repeat an object
        return found

    def get(self, kind: int, body: bytes) -> bytes:
        """The one object that a request of type `kind` asks for, as a whole message. Raises Refusal."""
        self.socket.send(self._message(kind, 0, body))
        for answer, flags, sequence, message in self._replies():
            if sequence == self.sequence:
                refusal = self._error(flags, message) if answer == NLMSG_ERROR else None
                if refusal:
                    raise refusal
                return message
        raise OSError("the kernel gave no answer")

    def links(self, kind: str = "") -> dict[str, Link]:
        """All links of the namespace, or those of one kind, by name."""
        request = link_header() + attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
        if kind:  # the kernel sends no others, unless it is an old one
            request += nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, kind))
        try:
            found = self.dump(RTM_GETLINK, request)
        except Refusal as refusal:
            raise OSError(f"cannot list links: {refusal}") from refusal
        links = (parse_link(message[16:]) for message in found)
        return {link.name: link for link in links if kind in ("", link.kind)}

    def link(self, name: str) -> Link:
        """One link. Raises Refusal where there is none."""
        return parse_link(self.get(RTM_GETLINK, link_header() + attribute(IFLA_IFNAME, name))[16:])

    def index(self, name: str) -> int:
        """The index of a link; OSError where there is none. if_nametoindex would look in the process's namespace.

        Not for names that need not exist: the kernel starts modprobe for each.
        """
        request = struct.pack("16si20x", name.encode(), 0)
        try:
            return struct.unpack_from("i", fcntl.ioctl(self.socket, SIOCGIFINDEX, request), 16)[0]
        except OSError as error:
            raise OSError(error.errno, f"no interface {name}") from error

    def number_of(self, fd: int) -> int | None:
        """The number by which links in this namespace name the namespace fd as their peer's; None if none does."""
        self.socket.send(self._message(RTM_GETNSID, 0, struct.pack("=Bxxx", 0) + attribute(NETNSA_FD, fd)))
        kind, flags, _sequence, message = next(self._replies())
        if kind == NLMSG_ERROR:
            raise OSError(f"cannot tell a namespace's number: {self._error(flags, message)}")
        found = number(attributes_in(message[20:]).get(NETNSA_NSID))
        return None if found is None or found < 0 else found

    def ask(self, requests: t.Sequence[Request]) -> list[str | None]:
        """Carries out requests in order, many per system call. For each: None, or the kernel's error."""
        return [str(refusal) if refusal else None for refusal in self.exchange(requests)]

    def exchange(self, requests: t.Sequence[Request]) -> list[Refusal | None]:
        """As `ask`, with the error's number. A request that fails does not keep the later ones from being done."""
        results: list[Refusal | None] = []
        for chunk in chunks(requests):
            first, last = self.sequence + 1, self.sequence + len(chunk)
            # The kernel tells of failures in any case; of success only the last one, after which nothing can come.
            messages = [self._message(kind, flags, body) for kind, flags, body in chunk[:-1]]
            kind, flags, body = chunk[-1]
            messages.append(self._message(kind, flags | NLM_F_ACK, body))
            self.socket.send(b"".join(messages))
            failed: dict[int, Refusal | None] = {}
            for kind, flags, sequence, message in self._replies():
                if kind == NLMSG_ERROR and sequence >= first:
                    failed[sequence] = self._error(flags, message)
                    if sequence == last:
                        break
            results += [failed.get(sequence) for sequence in range(first, last + 1)]
        return results


def chunks(requests: t.Sequence[Request]) -> t.Iterator[t.Sequence[Request]]:
    """As many as go into one system call, at a time."""
    start, size = 0, 0
    for end, (_kind, _flags, body) in enumerate(requests):
        size += len(body) + 16
        if end > start and (end - start == AT_ONCE or size > BYTES_AT_ONCE):
            yield requests[start:end]
            start, size = end, len(body) + 16
    if start < len(requests):
        yield requests[start:]
