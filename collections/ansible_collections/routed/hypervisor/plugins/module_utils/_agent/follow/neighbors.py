# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers neighbor solicitations on guests' ports where the kernel would need too many proxy entries. Private to this
collection.

As with proxy entries, a port answers for all guests of its segment but its own. So a guest's detection of duplicates
finds another guest's address, and never its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import struct
import typing as t

from . import frames
from .answering import Answers

RECEIVED = 1 << 16  # bytes that may wait on a port; more is dropped
FRAMES, ALL_FRAMES, PERIOD_S = 100, 400, 0.1  # most in each period: on one port, on all
AT_ONCE = 16
LENGTH = 256  # as much of a frame as is looked at
TARGET_LINK_ADDRESS = 2
SOLICITED, ROUTER = 0x40, 0x80
ALL_NODES, ALL_NODES_MAC = b"\xff\x02" + bytes(13) + b"\x01", b"\x33\x33\x00\x00\x00\x01"
UNSPECIFIED, SOLICITED_NODES = bytes(16), b"\xff\x02" + bytes(9) + b"\x01\xff"
_HEADERS = struct.Struct("!6s6sHIHBB16s16s")  # Ethernet and IPv6
_MESSAGE = struct.Struct("!BBHI16s")
# Load the type, the next header and the ICMPv6 type; accept the frame if it is a solicitation.
_FILTER = (
    (0x28, 0, 0, 12),
    (0x15, 0, 5, frames.IPV6),
    (0x30, 0, 0, 20),
    (0x15, 0, 3, frames.ICMPV6),
    (0x30, 0, 0, 54),
    (0x15, 0, 1, frames.SOLICITATION),
    (6, 0, 0, LENGTH),
    (6, 0, 0, 0),
)


@dataclasses.dataclass
class Port:
    name: str
    answers: Answers
    socket: socket.socket
    frames: int = 0  # in this period


class Responder:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.ports: dict[int, Port] = {}
        self.frames = 0  # in this period, on all ports
        self.waiting: set[int] = set()  # ports that have had enough for this period
        self.period: asyncio.TimerHandle | None = None

    def follow(self, wanted: t.Mapping[int, tuple[str, Answers]]) -> None:
        """Answers on these links, given with their names, and on no others."""
        for index in [index for index, port in self.ports.items() if wanted.get(index, ("",))[0] != port.name]:
            self._close(index)
        for index, (name, answers) in wanted.items():
            if index in self.ports:
                self.ports[index].answers = answers
            else:
                self._open(index, name, answers)

    def _open(self, index: int, name: str, answers: Answers) -> None:
        try:
            opened = frames.socket_with(name, _FILTER)
        except OSError:
            return  # the port is gone again, as its notification will say
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        self.ports[index] = Port(name, answers, opened)
        self.loop.add_reader(opened.fileno(), self._on_frames, index)

    def _close(self, index: int) -> None:
        port = self.ports.pop(index)
        self.waiting.discard(index)
        self.loop.remove_reader(port.socket.fileno())
        port.socket.close()

    def _on_frames(self, index: int) -> None:
        port = self.ports[index]
        if self.period is None:
            self.period = self.loop.call_later(PERIOD_S, self._begin)
        try:
            for _count in range(AT_ONCE):
                reply = answer(port.socket.recv(LENGTH), port.answers)
                port.frames += 1
                self.frames += 1
                if reply:
                    port.socket.send(reply)
        except BlockingIOError:
            pass
        except OSError:  # the port is down or gone
            self._close(index)
            return
        if port.frames >= FRAMES or self.frames >= ALL_FRAMES:
            self.waiting.add(index)
            self.loop.remove_reader(port.socket.fileno())

    def _begin(self) -> None:
        self.period, self.frames = None, 0
        for index, port in self.ports.items():
            port.frames = 0
            if index in self.waiting:
                self.loop.add_reader(port.socket.fileno(), self._on_frames, index)
        self.waiting.clear()


def answer(frame: bytes, answers: Answers) -> bytes | None:
    """The advertisement that a solicitation asks for; None if it asks for none of ours, or is not valid (RFC 4861)."""
    if len(frame) < _HEADERS.size + _MESSAGE.size:
        return None
    _to, sender, ethernet, _version, length, following, hops, source, destination = _HEADERS.unpack_from(frame)
    message = frame[_HEADERS.size : _HEADERS.size + length]
    number, code, _sum, _reserved, target = _MESSAGE.unpack_from(frame, _HEADERS.size)
    valid = (ethernet, following, hops, number, code) == (frames.IPV6, frames.ICMPV6, 255, frames.SOLICITATION, 0)
    valid = valid and len(message) == length >= _MESSAGE.size and length % 8 == 0
    # Somebody who looks for duplicates of an address sends to those who may have it.
    valid = valid and (source != UNSPECIFIED or destination[:13] == SOLICITED_NODES)
    if not valid or target not in answers.answered or target in answers.own:
        return None
    if frames.checksum(source + destination + struct.pack("!II", length, frames.ICMPV6) + message):
        return None
    return _advertisement(sender, source, target, answers)


def _advertisement(sender: bytes, source: bytes, target: bytes, answers: Answers) -> bytes:
    """Without the flag to override: if the guest itself answered as well, it would win."""
    detects = source == UNSPECIFIED  # duplicates of an address that it does not use yet
    flags = ROUTER if detects else ROUTER | SOLICITED
    message = _MESSAGE.pack(frames.ADVERTISEMENT, 0, 0, flags << 24, target)
    message += struct.pack("!BB6s", TARGET_LINK_ADDRESS, 1, answers.mac)
    to, destination = (ALL_NODES_MAC, ALL_NODES) if detects else (sender, source)
    return frames.icmpv6(to, answers.mac, answers.gateway, destination, message)
