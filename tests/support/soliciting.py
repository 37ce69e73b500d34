"""Guests that send neighbor solicitations, and the proxy entries of a hypervisor."""

from __future__ import annotations

import socket
import time

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow import frames
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import packed

from .following import FollowingHost, GuestMachine, raw
from .waiting import until

SOON_S, WAIT_S = 60, 0.5


def address(number: int) -> str:
    return f"2001:db8:cb00:7100::{number:x}"


def mac(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def ask(machine: GuestMachine, number: int, targets: list[int]) -> list[float | None]:
    """How long an answer takes for each of many addresses; None if there is none soon."""
    took: list[float | None] = []
    with machine.space.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(frames.IPV6)) as own:
        own.bind(("eth0", frames.IPV6))
        own.settimeout(WAIT_S)
        for target in targets:
            wanted = packed(address(target))
            to = b"\x33\x33\xff" + wanted[-3:]
            nodes = b"\xff\x02" + bytes(9) + b"\x01\xff" + wanted[-3:]
            message = bytes([frames.SOLICITATION]) + bytes(7) + wanted + b"\x01\x01" + raw(machine.mac)
            frame = frames.icmpv6(to, raw(machine.mac), packed(address(number)), nodes, message)
            start = time.monotonic()
            own.send(frame)
            took.append(None)
            while took[-1] is None and time.monotonic() < start + WAIT_S:
                try:
                    got = own.recv(256)
                except TimeoutError:
                    break
                if got[20] == frames.ICMPV6 and got[54] == frames.ADVERTISEMENT and got[62:78] == wanted:
                    took[-1] = time.monotonic() - start
    return took


def answers(machine: GuestMachine, number: int, target: int) -> bool:
    return ask(machine, number, [target]) != [None]


def entries(host: FollowingHost) -> int:
    return host.space.ip("-6 neighbor show proxy").count("\n")


def accepts(machine: GuestMachine, number: int, solicitations: int = 1) -> bool:
    """Whether a guest may use an address, after its detection of duplicates.

    It sends a solicitation each second, and ends with the first answer.
    """
    machine.space.sysctl("ipv6/conf/eth0/dad_transmits", solicitations)
    machine.space.ip(f"-6 address add {address(number)}/128 dev eth0")

    def state() -> dict:
        [link] = machine.space.show("-6 address show dev eth0")
        return next(entry for entry in link["addr_info"] if entry.get("local") == address(number))

    until(lambda: not state().get("tentative") or state().get("dadfailed"), SOON_S, "the detection ends")
    return not state().get("dadfailed")
