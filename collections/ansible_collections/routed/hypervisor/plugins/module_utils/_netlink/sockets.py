# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink sockets: many requests in one system call, each with its own answer, and notifications. Private to this
collection.

pyroute2 has one request under way at a time (110 µs for a route next to 30 µs here, most of it the kernel's), a process
for each other network namespace, of which a run may span hundreds, and no notifications from all namespaces on one
socket. The protocol: netlink(7), include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import typing as t

from . import codec
from .codec import LINK, NSID, Link
from .namespaces import inside_network

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_DUMP_INTR, NLM_F_ACK_TLVS = 0x10, 0x200
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400  # flags of requests
NLMSGERR_ATTR_MSG = 1
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_LISTEN_ALL_NSID = 270, 1, 8
NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 10, 11, 12
SO_RCVBUFFORCE = 33
SIOCGIFINDEX = 0x8933
GROUPS = {"link": 1, "address4": 5, "address6": 9, "route4": 7, "route6": 11, "nsid": 28}  # RTNLGRP_*

# Requests of one system call. The kernel answers before it returns, and has to keep all answers in a receive buffer of
# 208 KB by default: even if every request fails, these are few enough.
AT_ONCE = 200
BYTES_AT_ONCE = 1 << 16  # they also have to fit into the send buffer, which is as large
DUMPS = 5  # attempts at a dump during which something changes
RECEIVE = 1 << 16  # the kernel puts at most 32 KB of a dump into one message
_HEADER = struct.Struct("=IHHII")

Request = tuple[int, int, bytes]  # message type, flags beside NLM_F_REQUEST and NLM_F_ACK, body
Message = tuple[int, int, int, bytes]  # message type, flags, sequence number, body
MayBe = t.Callable[[bytes, int], bool]  # whether an object at this position of the data is wanted


class KernelError(OSError):
    """The kernel refused a request; the text is its own explanation if it gave one."""

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(number, text or os.strerror(number))

    def __str__(self) -> str:
        return str(self.strerror)


class Overrun(Exception):
    """Notifications were lost."""


def messages_in(data: bytes, may_be: MayBe | None = None) -> t.Iterator[Message]:
    """Objects only if may_be returns true for the data and the position of the object in it."""
    start, end, header = 0, len(data), _HEADER.unpack_from
    while end - start >= 16:
        length, kind, flags, sequence, _port = header(data, start)
        if length < 16:
            break
        if may_be is None or kind in (NLMSG_DONE, NLMSG_ERROR) or flags & NLM_F_DUMP_INTR or may_be(data, start + 16):
            yield kind, flags, sequence, data[start + 16 : start + length]
        start += (length + 3) & ~3


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.bind((0, 0))
    return opened


class Network:
    """A socket for requests in the network namespace of a descriptor; without one, in that of the process."""

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            self.socket = _open()
        else:
            with inside_network(fd):
                self.socket = _open()
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK):
            self.socket.setsockopt(SOL_NETLINK, option, 1)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)  # dumps are filtered in the kernel, or refused
        self.socket.settimeout(60)
        self.sequence = 0

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *exception) -> None:
        self.socket.close()

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        self.sequence += 1
        return _HEADER.pack(len(body) + 16, kind, flags | NLM_F_REQUEST, self.sequence, 0) + body

    def _answers(self, may_be: MayBe | None = None) -> t.Iterator[Message]:
        while True:
            yield from messages_in(self.socket.recv(RECEIVE), may_be)

    def dump(
        self,
        kind: int,
        fields: dict[str, int] | None = None,
        attributes: codec.Attributes = (),
        may_be: MayBe | None = None,
    ) -> list:
        """All objects of a kind, parsed; filtered by the kernel where it can, and before they are parsed by may_be.

        Raises KernelError.
        """
        body = codec.pack(kind, fields or {}, attributes)
        return list(map(codec.PARSERS[kind], self.dump_bodies(kind, body, may_be)))

    def dump_bodies(self, kind: int, body: bytes, may_be: MayBe | None = None) -> list[bytes]:
        for _attempt in range(DUMPS):
            self.socket.send(self._message(kind + 2, NLM_F_DUMP, body))
            found, torn = [], False
            for answer, flags, sequence, content in self._answers(may_be):
                if sequence != self.sequence:
                    continue
                torn |= bool(flags & NLM_F_DUMP_INTR)
                if answer in (NLMSG_DONE, NLMSG_ERROR):
                    error = _error(flags, content) if len(content) >= 4 else None
                    if error:
                        raise error
                    break
                found.append(content)
            if not torn:
                break  # else something changed between two parts of the answer: it may lack or repeat an object
        return found

    def get(self, kind: int, fields: dict[str, int], attributes: codec.Attributes) -> t.Any:
        """One object, parsed. Raises KernelError."""
        self.socket.send(self._message(kind + 2, 0, codec.pack(kind, fields, attributes)))
        for answer, flags, sequence, content in self._answers():
            if sequence == self.sequence:
                error = _error(flags, content) if answer == NLMSG_ERROR else None
                if error:
                    raise error
                return codec.PARSERS[kind](content)
        raise OSError("the kernel gave no answer")

    def links(self, kind: str = "") -> dict[str, Link]:
        """All links of the namespace, or those of one kind, by name."""
        attributes: list[tuple[str, t.Any]] = [("IFLA_EXT_MASK", codec.RTEXT_FILTER_SKIP_STATS)]
        if kind:  # the kernel sends no others, unless it is an old one
            attributes.append(("IFLA_LINKINFO", [("IFLA_INFO_KIND", kind)]))
        return {link.name: link for link in self.dump(LINK, {}, attributes) if kind in ("", link.kind)}

    def link(self, name: str) -> Link:
        """Raises KernelError if there is none."""
        return self.get(LINK, {}, [("IFLA_IFNAME", name)])

    def index(self, name: str) -> int:
        """The index of a link; OSError if there is none. if_nametoindex would look in the process's namespace.

        Not for names that need not exist: the kernel starts modprobe for each.
        """
        request = struct.pack("16si20x", name.encode(), 0)
        try:
            return struct.unpack_from("i", fcntl.ioctl(self.socket, SIOCGIFINDEX, request), 16)[0]
        except OSError as error:
            raise OSError(error.errno, f"no interface {name}") from error

    def number_of(self, fd: int, assign: bool = False) -> int | None:
        """The number that this namespace uses for the namespace fd, in links with a peer there, in requests and in
        notifications; None if there is none, unless `assign` is set. Raises OSError, also for an fd that is not a
        network namespace."""
        found = self.get(NSID, {}, [("NETNSA_FD", fd)])
        if found is None and assign:
            request = codec.pack(NSID, {}, [("NETNSA_FD", fd), ("NETNSA_NSID", -1)])
            [error] = self.exchange([(NSID, 0, request)])
            if error and error.errno != errno.EEXIST:  # assigned in the meantime
                raise error
            found = self.get(NSID, {}, [("NETNSA_FD", fd)])
        return found

    def exchange(self, requests: t.Sequence[Request]) -> list[KernelError | None]:
        """Carries out requests in order, many per system call. A failure does not stop the later ones."""
        results: list[KernelError | None] = []
        for chunk in chunks(requests):
            first, last = self.sequence + 1, self.sequence + len(chunk)
            # The kernel always reports failures; success is acknowledged for the last only, which ends the answers.
            messages = [self._message(kind, flags, body) for kind, flags, body in chunk[:-1]]
            kind, flags, body = chunk[-1]
            messages.append(self._message(kind, flags | NLM_F_ACK, body))
            self.socket.send(b"".join(messages))
            failed: dict[int, KernelError | None] = {}
            for kind, flags, sequence, content in self._answers():
                if kind == NLMSG_ERROR and sequence >= first:
                    failed[sequence] = _error(flags, content)
                    if sequence == last:
                        break
            results += [failed.get(sequence) for sequence in range(first, last + 1)]
        return results


def _error(flags: int, content: bytes) -> KernelError | None:
    number = -struct.unpack_from("=i", content)[0]
    if number == 0:
        return None
    # The header of the request that failed comes first.
    found = codec.attributes_in(content, 20) if flags & NLM_F_ACK_TLVS else {}
    return KernelError(number, codec.text_in(found.get(NLMSGERR_ATTR_MSG)))


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


class Notifications:
    """A socket for notifications of changes; with `everywhere` also from namespaces that have a number."""

    def __init__(self, groups: t.Iterable[str], everywhere: bool = False) -> None:
        self.socket = _open()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        if everywhere:
            self.socket.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        for group in groups:
            self.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, GROUPS[group])

    def fileno(self) -> int:
        return self.socket.fileno()

    def read(self) -> t.Iterator[tuple[int | None, int, bytes]]:
        """(number of the namespace, None for our own; message type; body) until none is left. Raises Overrun."""
        while True:
            try:
                data, ancillary, _flags, _address = self.socket.recvmsg(RECEIVE, 64)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    raise Overrun from error
                raise
            where = None
            for _level, kind, raw in ancillary:
                if kind == NETLINK_LISTEN_ALL_NSID:
                    where = struct.unpack("=i", raw)[0]
            for kind, _flags, _sequence, body in messages_in(data):
                yield where, kind, body
