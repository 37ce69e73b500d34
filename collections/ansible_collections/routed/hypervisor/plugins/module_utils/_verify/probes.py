# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes that other nodes answer: echo requests, connections, and packets that expire in transit.

Private to this collection. All probes of a node are sent together and share one wait. This does not use ping and
traceroute: user-mode Linux takes seconds to start a hundred of these programs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import selectors
import socket
import struct
import time
import typing as t

from .._netlink import namespaces

ECHO = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number (RFC 792, RFC 4443)
EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err
EXCEEDED = {socket.AF_INET: 11, socket.AF_INET6: 3}
REQUEST_AND_REPLY = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
ECHO_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
HOPS = {socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TTL), socket.AF_INET6: (41, socket.IPV6_UNICAST_HOPS)}
# IP_RECVERR in linux/in.h and linux/in6.h: queues errors with the address that reported them.
RECEIVE_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (41, 25)}
# Refusals by a local route or filter: unreachable, prohibit, blackhole, drop.
REFUSED = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL, errno.EPERM, errno.ECONNREFUSED}
TRACEROUTE_PORT = 33434
TRACEROUTE_BYTES = bytes(32)
NO_ANSWER = "*"  # in place of a hop's address


class Answer(t.NamedTuple):
    """`received` is None if nothing could be sent, which proves nothing."""

    received: bool | None
    text: str


class Report(t.NamedTuple):
    """An ICMP error and its sender."""

    sender: str
    kind: int
    reason: str


def address(to: str, port: int) -> tuple:
    """The address for connect, which takes the interface of a link-local address as a number."""
    host, _percent, interface = to.partition("%")
    return (host, port, 0, socket.if_nametoindex(interface)) if interface else (host, port)


def opened(family: int, kind: int, protocol: int = 0, namespace: str = "") -> socket.socket:
    """A socket in a namespace of this host, given by name."""
    with contextlib.ExitStack() as stack:
        if namespace:
            place = stack.enter_context(open(f"/run/netns/{namespace}", "rb"))
            stack.enter_context(namespaces.inside_network(place.fileno()))
        return socket.socket(family, kind, protocol)


class Probe:
    """A connected socket with one packet in flight."""

    def __init__(self, kind: int, protocol: int, to: str, port: int = 0, source: str = "", namespace: str = "") -> None:
        self.family = socket.AF_INET6 if ":" in to else socket.AF_INET
        self.to = to
        self.socket = opened(self.family, kind, protocol, namespace)
        self.refusal = ""
        self.socket.setblocking(False)
        self.socket.setsockopt(*RECEIVE_ERRORS[self.family], 1)
        if source:
            self._bind(source)
        self.address = address(to, port)

    def _bind(self, source: str) -> None:
        try:
            socket.inet_pton(self.family, source)
        except OSError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, source.encode())
        else:
            self.socket.bind((source, 0))

    def send(self, packet: bytes, hops: int = 0) -> None:
        if hops:
            self.socket.setsockopt(*HOPS[self.family], hops)
        try:
            self.socket.connect(self.address)
            self.socket.send(packet)
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            self.refusal = error.strerror

    def receive(self) -> bytes:
        try:
            return self.socket.recv(2048)
        except OSError:
            return b""

    def report(self) -> Report | None:
        """The ICMP error that came back, if any."""
        try:
            _data, ancillary, _flags, _address = self.socket.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        except OSError:
            return None
        for level, kind, data in ancillary:
            if (level, kind) == RECEIVE_ERRORS[self.family]:
                number, _origin, icmp, _code, _info, _data = EXTENDED_ERROR.unpack_from(data)
                start = EXTENDED_ERROR.size + (8 if self.family == socket.AF_INET6 else 4)
                size = 16 if self.family == socket.AF_INET6 else 4
                return Report(socket.inet_ntop(self.family, data[start : start + size]), icmp, os.strerror(number))
        return None


def echo(requests: list[dict], seconds: float) -> list[Answer]:
    """Sends echo requests. A request has `to`, and may have `source` (address or interface) and `namespace`."""
    answers = [Answer(False, f"no reply within {seconds:g} s")] * len(requests)
    with contextlib.ExitStack() as stack:
        waiting: dict[Probe, tuple[int, bytes]] = {}
        for index, request in enumerate(requests):
            family = socket.AF_INET6 if ":" in request["to"] else socket.AF_INET
            token = secrets.token_bytes(16)
            try:
                probe = Probe(
                    socket.SOCK_RAW,
                    ECHO_PROTOCOL[family],
                    request["to"],
                    source=request.get("source") or "",
                    namespace=request.get("namespace") or "",
                )
                stack.enter_context(probe.socket)
                probe.send(echo_request(family, token))
            except OSError as error:
                answers[index] = Answer(None, f"no request could be sent: {error}")
                continue
            if probe.refusal:
                answers[index] = Answer(False, probe.refusal)
            else:
                waiting[probe] = index, token
        for probe in arrivals(waiting, seconds):
            index, token = waiting[probe]
            if report := probe.report():
                answers[index] = Answer(False, f"{report.reason}, reported by {report.sender}")
            elif not is_reply(probe, token):
                continue
            else:
                answers[index] = Answer(True, "reply")
            del waiting[probe]
    return answers


def connect(requests: list[dict], seconds: float) -> list[Answer]:
    """Sends SYNs, which are answered by accepting or refusing. A request has `to` and `port`, and may have
    `namespace`."""
    answers = [Answer(False, f"no answer within {seconds:g} s")] * len(requests)
    end = time.monotonic() + seconds
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for index, request in enumerate(requests):
            family = socket.AF_INET6 if ":" in request["to"] else socket.AF_INET
            try:
                probe = stack.enter_context(
                    opened(family, socket.SOCK_STREAM, namespace=request.get("namespace") or "")
                )
            except OSError as error:
                answers[index] = Answer(None, f"no request could be sent: {error}")
                continue
            probe.setblocking(False)
            try:
                code = probe.connect_ex(address(request["to"], request["port"]))
            except OSError:  # there is no such interface
                code = errno.ENODEV
            if code in (0, errno.ECONNREFUSED):
                answers[index] = _answer_to_syn(code)
            elif code == errno.EINPROGRESS:
                selector.register(probe, selectors.EVENT_WRITE, index)
            else:
                answers[index] = Answer(None, f"no request could be sent: {os.strerror(code)}")
        while selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, _events in selector.select(left):
                answers[key.data] = _answer_to_syn(key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                selector.unregister(key.fileobj)
    return answers


def _answer_to_syn(code: int) -> Answer:
    return Answer(True, "accepts a connection" if code == 0 else os.strerror(code))


def trace(targets: list[tuple[str, int]], seconds: float) -> list[list[str]]:
    """The address of each hop towards each (address, maximum of hops), "*" for no answer, up to the destination."""
    found = [[NO_ANSWER] * hops for _to, hops in targets]
    ends = [hops for _to, hops in targets]
    with contextlib.ExitStack() as stack:
        waiting: dict[Probe, tuple[int, int]] = {}
        for index, (to, hops) in enumerate(targets):
            for hop in range(hops):
                probe = Probe(socket.SOCK_DGRAM, 0, to, TRACEROUTE_PORT + hop)
                stack.enter_context(probe.socket)
                probe.send(TRACEROUTE_BYTES, hops=hop + 1)
                if not probe.refusal:
                    waiting[probe] = index, hop
        for probe in arrivals(waiting, seconds):
            index, hop = waiting[probe]
            if report := probe.report():
                found[index][hop] = report.sender
                if report.kind != EXCEEDED[probe.family]:
                    ends[index] = min(ends[index], hop + 1)
                del waiting[probe]
            else:
                probe.receive()
    return [hops[:end] for hops, end in zip(found, ends, strict=True)]


def arrivals(waiting: dict[Probe, t.Any], seconds: float) -> t.Iterator[Probe]:
    """Yields probes for which something has arrived, until none is waiting or the time is over."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for probe in waiting:
            selector.register(probe.socket, selectors.EVENT_READ, probe)
        while waiting and (left := end - time.monotonic()) > 0:
            for key, _events in selector.select(left):
                yield key.data
                if key.data not in waiting:
                    selector.unregister(key.fileobj)


def echo_request(family: int, token: bytes) -> bytes:
    request = REQUEST_AND_REPLY[family][0]
    identifier = secrets.randbelow(1 << 16)
    packet = ECHO.pack(request, 0, 0, identifier, 1) + token
    # The kernel computes the ICMPv6 checksum, which covers addresses.
    return ECHO.pack(request, 0, checksum(packet) if family == socket.AF_INET else 0, identifier, 1) + token


def checksum(packet: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def is_reply(probe: Probe, token: bytes) -> bool:
    data = probe.receive()
    # IPv4 packets include the IP header.
    start = (data[0] & 15) * 4 if data and probe.family == socket.AF_INET else 0
    reply = REQUEST_AND_REPLY[probe.family][1]
    return data[start : start + 1] == bytes([reply]) and data[start + ECHO.size :] == token
