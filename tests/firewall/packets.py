"""Sockets in the namespaces of scenario.py: sending, listening, and finding out whether packets arrive."""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import struct
import time

WAIT = 0.9  # less than the second after which TCP repeats a SYN, which would count for the next attempt
LIBC = ctypes.CDLL(None, use_errno=True)
IP_TRANSPARENT, IPV6_FREEBIND = 19, 78  # to send from addresses of others


@contextlib.contextmanager
def inside(netns: str | None):
    """Sockets created inside belong to the namespace; None is that of the hypervisor."""
    if netns is None:
        yield
        return
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{netns}") as there:
        LIBC.setns(there.fileno(), 0)
        try:
            yield
        finally:
            LIBC.setns(home.fileno(), 0)


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def opened(netns, kind, address, bind=None, number=0):
    with inside(netns):
        sock = socket.socket(family(address), kind, number)
    if sock.family == socket.AF_INET6:
        if kind != socket.SOCK_RAW:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    if bind:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(bind)
    return sock


def target(address: str, port: int) -> tuple:
    if ":" not in address:
        return (address, port)
    # A guest's second link, after lo, is its only one.
    return (address, port, 0, 2 if address.startswith("fe80") else 0)


def tcp(netns: str | None, address: str, port: int, source: str | None = None) -> bool:
    """Whether a connection is established."""
    with opened(netns, socket.SOCK_STREAM, address, (source, 0) if source else None) as sock:
        sock.settimeout(WAIT)
        try:
            sock.connect(target(address, port))
        except OSError:
            return False
        return True


class Listeners:
    """UDP and raw sockets that listen, and what they receive."""

    def __init__(self):
        self.socks: dict[socket.socket, str] = {}

    def add(self, name: str, sock: socket.socket) -> None:
        self.socks[sock] = name

    def received(self, name: str, wanted: bytes) -> bool:
        """Whether WANTED arrives at the socket NAME within a second; anything else is discarded."""
        deadline, found = time.monotonic() + WAIT, False
        while not found and (left := deadline - time.monotonic()) > 0:
            for sock in select.select(list(self.socks), [], [], left)[0]:
                data = sock.recv(2048)
                found = found or (self.socks[sock] == name and wanted in data)
        return found


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def redirect(address: str, words: bytes) -> tuple[int, bytes]:
    """The protocol and the content of an ICMP redirect to ADDRESS that contains WORDS."""
    if ":" in address:
        # The kernel fills in the checksum.
        return socket.IPPROTO_ICMPV6, struct.pack("!BBHI16s16s", 137, 0, 0, 0, b"\1" * 16, b"\2" * 16) + words
    body = struct.pack("!BBHI", 5, 1, 0, 0) + words + b"." * (len(words) % 2)
    return socket.IPPROTO_ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:]
