# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends neighbour solicitations for an IPv6 address (RFC 4861). Private to this collection.

A proxy answers from its own address, not from the target: ndisc6 ignores such an answer, the kernel accepts it. The
kernel might answer from its cache, so the solicitation is sent as a packet.
"""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import IPv6Address

SOLICITATION, ADVERTISEMENT = 135, 136
SOURCE_LINK_LAYER, TARGET_LINK_LAYER = 1, 2
# type, code, checksum (filled in by the kernel), reserved or flags, target
MESSAGE = struct.Struct("!BBHI16s")
ICMP6_FILTER = 1
SOLICITED_NODE = int(IPv6Address("ff02::1:ff00:0"))


def solicit(interface, target, seconds):
    """Returns the MAC addresses in the first advertisement for the target that arrives within the time."""
    wanted = IPv6Address(target)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as question:
        question.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        # Neighbours drop packets that may have been forwarded.
        question.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        question.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, _only(ADVERTISEMENT))
        with open(f"/sys/class/net/{interface}/address", encoding="ascii") as address:
            own = bytes.fromhex(address.read().strip().replace(":", ""))
        message = MESSAGE.pack(SOLICITATION, 0, 0, 0, wanted.packed) + bytes([SOURCE_LINK_LAYER, 1]) + own
        group = IPv6Address(SOLICITED_NODE | int(wanted) & 0xFFFFFF)
        question.sendto(message, (str(group), 0, 0, socket.if_nametoindex(interface)))
        return _answers(question, wanted, time.monotonic() + seconds)


def _answers(question, wanted, end):
    while (left := end - time.monotonic()) > 0:
        question.settimeout(left)
        try:
            answer = question.recv(1500)
        except TimeoutError:
            break
        if len(answer) >= MESSAGE.size and MESSAGE.unpack_from(answer)[4] == wanted.packed:
            return _link_layer_addresses(answer[MESSAGE.size :])
    return []


def _link_layer_addresses(options):
    """The target link-layer addresses among the options: type, length in units of 8 bytes, value."""
    found = []
    while len(options) >= 8 and options[1]:
        if options[0] == TARGET_LINK_LAYER:
            found.append(options[2:8].hex(":"))
        options = options[options[1] * 8 :]
    return found


def _only(kind):
    """A filter that passes one type of ICMPv6 message: a set bit blocks."""
    words = [0xFFFFFFFF] * 8
    words[kind >> 5] &= ~(1 << (kind & 31))
    return struct.pack("=8I", *words)
