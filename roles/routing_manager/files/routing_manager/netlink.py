# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rtnetlink messages and sockets.

Written out here, because what this program needs of netlink is small and what it needs most is speed: packing a route
takes 5 µs here and 100 to 240 µs in pyroute2, which also has no notifications from all namespaces on one socket.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import typing as t

LINK, ADDRESS, ROUTE, NSID = 16, 20, 24, 88  # RTM_NEW of each; RTM_DEL is one more, RTM_GET two more
REQUEST, ACK, DUMP, DUMP_INTERRUPTED = 0x1, 0x4, 0x300, 0x10
REPLACE, CREATE = 0x100, 0x400
ERROR, DONE = 2, 3
GROUPS = {"link": 1, "address4": 5, "address6": 9, "route4": 7, "route6": 11, "nsid": 28}

SOL_NETLINK, ADD_MEMBERSHIP, NO_ENOBUFS, LISTEN_ALL_NSID, STRICT_CHECK = 270, 1, 5, 8, 12
SO_RCVBUFFORCE = 33
RECEIVE = 1 << 18
BATCH_BYTES = 1 << 15

HEADER = struct.Struct("=IHHII")
SLOT = struct.Struct("=HH")

Message = tuple[int, int, int, memoryview]  # type, flags, sequence number, body


class NetlinkError(OSError):
    """The kernel said no, in its own words."""


class Overrun(Exception):
    """Notifications were lost: what we know may be wrong."""


def slot(number: int, value: bytes) -> bytes:
    """An attribute."""
    return SLOT.pack(4 + len(value), number) + value + b"\0" * (-len(value) % 4)


def number_slot(number: int, value: int) -> bytes:
    return struct.pack("=HHI", 8, number, value & 0xFFFFFFFF)


def slots(body: memoryview, start: int) -> dict[int, memoryview]:
    """Attributes by number; of a number that is there twice the last."""
    found, end = {}, len(body)
    while start + 4 <= end:
        length, number = SLOT.unpack_from(body, start)
        if length < 4:
            break
        found[number & 0x3FFF] = body[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def messages(data: bytes) -> t.Iterator[Message]:
    view, start = memoryview(data), 0
    while start + 16 <= len(data):
        length, kind, flags, sequence, _port = HEADER.unpack_from(data, start)
        if length < 16:
            break
        yield kind, flags, sequence, view[start + 16 : start + length]
        start += (length + 3) & ~3


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    opened.bind((0, 0))
    return opened


class Requests:
    """A socket for questions and changes, in the network namespace of this process."""

    def __init__(self) -> None:
        self.socket = _open()
        self.socket.setsockopt(SOL_NETLINK, STRICT_CHECK, 1)  # or the kernel ignores filters of dumps
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.sequence = 0

    def _pack(self, kind: int, flags: int, body: bytes) -> bytes:
        self.sequence += 1
        return HEADER.pack(16 + len(body), kind, REQUEST | flags, self.sequence, 0) + body

    def ask(self, kind: int, body: bytes, flags: int = 0) -> list[memoryview]:
        """Bodies of the answers. Raises NetlinkError."""
        for _attempt in range(5):
            self.socket.send(self._pack(kind, flags | (0 if flags & DUMP else ACK), body))
            answers, interrupted = self._answers()
            if not interrupted:
                return answers
        raise NetlinkError(errno.EINTR, "the table changes faster than it can be read")

    def _answers(self) -> tuple[list[memoryview], bool]:
        """All answers to the last question, and whether the table changed while it was read."""
        answers, interrupted = [], False
        while True:
            for kind, flags, sequence, body in messages(self.socket.recv(RECEIVE)):
                if sequence != self.sequence:
                    continue  # of an earlier question, which failed
                interrupted |= bool(flags & DUMP_INTERRUPTED)
                if kind == DONE:
                    return answers, interrupted
                if kind == ERROR:
                    if number := -struct.unpack_from("=i", body)[0]:
                        raise NetlinkError(number, os.strerror(number))
                    return answers, interrupted
                answers.append(body)

    def change(self, requests: t.Sequence[tuple[int, int, bytes]]) -> list[int]:
        """Carries out (type, flags, body) in order, many at a time. Returns an error number each, 0 for done."""
        results = [0] * len(requests)
        start = 0
        while start < len(requests):
            first, chunk, size = self.sequence + 1, [], 0
            while start + len(chunk) < len(requests) and size < BATCH_BYTES:
                kind, flags, body = requests[start + len(chunk)]
                chunk.append(self._pack(kind, flags | ACK, body))
                size += len(chunk[-1])
            self.socket.send(b"".join(chunk))
            pending = len(chunk)
            while pending:
                for kind, _flags, sequence, answer in messages(self.socket.recv(RECEIVE)):
                    if kind == ERROR and sequence >= first:
                        results[start + sequence - first] = -struct.unpack_from("=i", answer)[0]
                        pending -= 1
            start += len(chunk)
        return results

    def namespace_id(self, path: str) -> int:
        """The number by which the kernel tells us about the network namespace at a path; given to it if it has none.

        Raises OSError, also where there is no network namespace at the path.
        """
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            which = b"\0\0\0\0" + number_slot(3, file)
            found = self._namespace_id(which)
            if found < 0:
                self.ask(NSID, which + number_slot(1, -1))
                found = self._namespace_id(which)
            return found
        finally:
            os.close(file)

    def _namespace_id(self, which: bytes) -> int:
        answer = self.ask(NSID + 2, which)[0]
        return struct.unpack_from("=i", slots(answer, 4)[1])[0]


class Notifications:
    """A socket on which the kernel tells what changed; with `everywhere` also in namespaces that have a number."""

    def __init__(self, groups: t.Iterable[str], everywhere: bool = False) -> None:
        self.socket = _open()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        if everywhere:
            self.socket.setsockopt(SOL_NETLINK, LISTEN_ALL_NSID, 1)
        for group in groups:
            self.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, GROUPS[group])

    def fileno(self) -> int:
        return self.socket.fileno()

    def read(self) -> t.Iterator[tuple[int | None, Message]]:
        """(number of the namespace, None for our own; message) until none is left. Raises Overrun."""
        while True:
            try:
                data, ancillary, _flags, _address = self.socket.recvmsg(RECEIVE, 64)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    raise Overrun from error
                raise
            where = next((struct.unpack("=i", raw)[0] for _l, kind, raw in ancillary if kind == LISTEN_ALL_NSID), None)
            for message in messages(data):
                yield where, message
