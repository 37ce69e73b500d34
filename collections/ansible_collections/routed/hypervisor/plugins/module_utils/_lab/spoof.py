# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends packets with forged sources from one lab node to another. Private to this collection."""

from __future__ import annotations

import secrets
import socket
import struct
import time

# The first honest packet warms up the path; a forged one that gets through arrives between the two honest ones.
ARRIVAL_LIMIT_S = 3.0
# If an honest packet is lost, as when a busy machine's BFD session ends, everything is sent again.
ATTEMPTS = 3
GRACE_S = 0.3
FORGED_PACKETS = 3
UDP_HEADER = struct.Struct("!HHHH")
IPV4_HEADER = struct.Struct("!BBHHHBBH4s4s")


def verify_spoof(expected, socket_in):
    """Returns (passed, what was seen): forged packets must not arrive, honest ones before and after them must.

    socket_in(node, family, type, protocol) returns a socket in the network namespace of a node.
    """
    with (
        socket_in(expected["to_name"], socket.AF_INET, socket.SOCK_DGRAM, 0) as listener,
        socket_in(expected["node"], socket.AF_INET, socket.SOCK_DGRAM, 0) as honest,
        socket_in(expected["node"], socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as forger,
    ):
        listener.bind((expected["to"], 0))
        target = listener.getsockname()
        forged = secrets.token_bytes(8)
        for _attempt in range(ATTEMPTS):
            first = _first_arrival(honest, listener, target, forged)
            if first not in (None, forged):
                for _number in range(FORGED_PACKETS):
                    forger.sendto(ipv4_udp(expected["from"], target, forged), target)
                first = _first_arrival(honest, listener, target, forged)
            if first == forged or (first and _arrival(listener, (forged,), GRACE_S)):
                return False, f"a packet from {expected['from']} got through"
            if first:
                return True, f"{FORGED_PACKETS} packets from {expected['from']} were stopped"
    return False, "a packet with the honest source did not arrive, so this proves nothing"


def _first_arrival(sender, listener, target, forged):
    """The payload of an honest packet sent now, or FORGED if that arrives before it; None if neither does."""
    token = secrets.token_bytes(8)
    sender.sendto(token, target)
    return _arrival(listener, (token, forged), ARRIVAL_LIMIT_S)


def _arrival(listener, payloads, limit_s):
    end = time.monotonic() + limit_s
    while (left := end - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            payload = listener.recv(64)
        except TimeoutError:
            return None
        if payload in payloads:
            return payload
    return None


def ipv4_udp(source, target, payload):
    """An IPv4 packet with a UDP datagram (RFC 768; checksum 0: none). The kernel adds the length and IP checksum."""
    datagram = UDP_HEADER.pack(target[1], target[1], UDP_HEADER.size + len(payload), 0) + payload
    header = IPV4_HEADER.pack(
        (4 << 4) | 5, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0, socket.inet_aton(source), socket.inet_aton(target[0])
    )
    return header + datagram
