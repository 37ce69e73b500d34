# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of guests: which of them show that a guest runs behind its port, and questions to which it replies. Private
to this collection.

A port's carrier does not show it: a tap has one while QEMU waits for an incoming migration. A guest that has just been
resumed sends RARP within a millisecond, and whatever else it sends counts as well, if MAC and address are its own.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import typing as t

from .guests import Guest

ALL, ARP, RARP, IPV4, IPV6 = 0x0003, 0x0806, 0x8035, 0x0800, 0x86DD
SO_ATTACH_FILTER, PACKET_IGNORE_OUTGOING, SOL_PACKET = 26, 23, 263
OUTGOING = 4
LENGTH = 128  # as much of a frame as is looked at
ICMPV6, SOLICITATION, ADVERTISEMENT = 58, 135, 136
_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_FILTER = struct.Struct("=HBBI")


def is_from(frame: bytes, guest: Guest) -> bool:
    """Whether a frame was sent by a guest as itself: with its own MAC, and no address but its own."""
    if len(frame) < _ETHERNET.size:
        return False
    _to, sender, kind = _ETHERNET.unpack_from(frame)
    body = frame[_ETHERNET.size :]
    if sender != guest.mac:
        return False
    if kind in (ARP, RARP):
        if len(body) < _ARP.size:
            return False
        _hardware, _protocol, _length, _size, _operation, mac, address, *_target = _ARP.unpack_from(body)
        return mac == guest.mac and (address == bytes(4) or address in guest.addresses)
    if kind == IPV4:
        return len(body) >= 20 and (body[12:16] == bytes(4) or body[12:16] in guest.addresses)
    return kind == IPV6 and len(body) >= 40 and _is_ipv6_from(body, guest)


def _is_ipv6_from(body: bytes, guest: Guest) -> bool:
    def is_own(address: bytes) -> bool:
        return address in guest.addresses or address[:8] == b"\xfe\x80" + bytes(6)

    source, target = body[8:24], body[48:64]
    is_advertisement = body[6] == ICMPV6 and body[40:41] == bytes([ADVERTISEMENT])
    return (source == bytes(16) or is_own(source)) and (not is_advertisement or is_own(target))


def listen(name: str, guest: Guest) -> socket.socket:
    """A socket that receives what has the guest's MAC as its source on a port. OSError if the port is gone."""
    # Load the source MAC in two parts; accept the frame if both are the guest's.
    first, rest = struct.unpack("!IH", guest.mac)
    steps = [
        (0x20, 0, 0, 6),
        (0x15, 0, 3, first),
        (0x28, 0, 0, 10),
        (0x15, 0, 1, rest),
        (6, 0, 0, LENGTH),
        (6, 0, 0, 0),
    ]
    return socket_with(name, steps)


def socket_with(name: str, steps: t.Sequence[tuple[int, int, int, int]]) -> socket.socket:
    """A socket that receives what a filter accepts on an interface. OSError if the interface is gone."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    try:
        # Filtered before it is bound.
        code = ctypes.create_string_buffer(b"".join(_FILTER.pack(*step) for step in steps))
        program = struct.pack("@HP", len(steps), ctypes.addressof(code))
        made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        made.bind((name, ALL))
    except BaseException:
        made.close()
        raise
    return made


def receive(sock: socket.socket, guest: Guest, most: int) -> bool | None:
    """Whether a frame of the guest was among those that have arrived; None if there were only others, and more wait."""
    for _count in range(most):
        try:
            frame = sock.recv(LENGTH)
        except BlockingIOError:
            return False
        if is_from(frame, guest):
            return True
    return None


def questions(guest: Guest, gateways: tuple[bytes, ...]) -> list[bytes]:
    """Frames to which a guest replies, from its gateway."""
    own = bytes.fromhex(guest.port_mac.replace(":", ""))
    found = []
    for address in guest.addresses:
        gateway = next((one for one in gateways if len(one) == len(address)), None)
        if gateway is not None:
            make = _arp_request if len(address) == 4 else _solicitation
            found.append(make(guest.mac, own, gateway, address))
    return found


def _arp_request(to: bytes, own: bytes, source: bytes, target: bytes) -> bytes:
    return _ETHERNET.pack(to, own, ARP) + _ARP.pack(1, IPV4, 6, 4, 1, own, source, bytes(6), target)


def _solicitation(to: bytes, own: bytes, source: bytes, target: bytes) -> bytes:
    message = struct.pack("!BBHI16sBB6s", SOLICITATION, 0, 0, 0, target, 1, 1, own)
    return icmpv6(to, own, source, target, message)


def icmpv6(to: bytes, own: bytes, source: bytes, destination: bytes, message: bytes) -> bytes:
    """An Ethernet frame with an ICMPv6 message. The checksum, which is 0 in the given message, is filled in."""
    pseudo = source + destination + struct.pack("!II", len(message), ICMPV6)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255) + source + destination
    return _ETHERNET.pack(to, own, IPV6) + header + message


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
