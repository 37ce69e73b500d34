"""The agent answers neighbor solicitations by itself where the kernel would need too many proxy entries."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from support.following import GuestMachine, raw, table
from support.soliciting import SOON_S, accepts, address, answers, entries, mac
from support.waiting import stays, until

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow import frames
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import packed

GUESTS, FEW = 10_000, 3


def guests(vrf: str | None, ports: int) -> dict:
    """The first ones may run here; there are others elsewhere."""
    given = table(vrf, {})
    given["ports"]["guests"]["neighbors"] = [address(number) for number in range(1, GUESTS + 1)]
    for number in range(1, ports + 1):
        facts = {"kind": "guests", "mac": mac(number), "port": f"tap{number}", "port_mac": f"fe{mac(number)[2:]}"}
        given["guests"][f"guest{number}"] = {**facts, "addresses": [f"203.0.113.{number}", address(number)]}
    return given


@pytest.fixture
def machines(host):
    made: list[GuestMachine] = []

    def make(count: int) -> list[GuestMachine]:
        for number in range(1, count + 1):
            made.append(GuestMachine(host, f"guest{number}", f"tap{number}", mac(number)))
            made[-1].runs((f"203.0.113.{number}", address(number)))
        return made

    yield make
    for one in made:
        one.remove()


def test_above_many_entries_the_agent_answers_and_below_them_the_kernel(host, machines):
    host.store_table(guests(host.vrf, FEW))
    host.start()
    first, _second, third = machines(FEW)
    until(lambda: answers(first, 1, GUESTS), SOON_S, f"an answer for a guest elsewhere {host.said()}")
    until(lambda: "by the agent" in host.said() and entries(host) == 0, SOON_S, host.said())
    until(lambda: answers(third, 3, 1), SOON_S, "a guest is on another port here")
    assert not answers(first, 1, GUESTS + 1), "no such guest"
    stays(lambda: not answers(first, 1, 1), 0.2, "its own address is its own")
    assert first.reaches(address(2)), "and packets go there"
    # Detection of duplicates: its own address is free, and another guest's is not.
    first.space.ip(f"-6 address delete {address(1)}/64 dev eth0")
    assert accepts(first, 1)
    assert not accepts(first, 2, solicitations=10)
    for port in ("tap2", "tap3"):
        host.space.ip(f"link delete {port}")
    until(lambda: "by the kernel" in host.said(), SOON_S, "one port is left")
    until(lambda: answers(first, 1, GUESTS), SOON_S, "the kernel answers")
    until(lambda: entries(host) == GUESTS - 1, SOON_S)


@pytest.mark.long
def test_a_guest_that_asks_all_the_time_costs_little(host, machines):
    host.store_table(guests(host.vrf, FEW))
    host.start()
    first, second, _third = machines(FEW)
    until(lambda: answers(second, 2, GUESTS), SOON_S, "an answer")
    before, start = processor(host.process.pid), time.monotonic()
    with first.space.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as own:
        own.bind(("eth0", 0))
        wanted = packed(address(GUESTS))
        message = bytes([frames.SOLICITATION]) + bytes(7) + wanted
        frame = frames.icmpv6(b"\x33\x33\xff" + wanted[-3:], raw(first.mac), packed(address(1)), wanted, message)
        while time.monotonic() < start + 2:
            own.send(frame)
    share = (processor(host.process.pid) - before) / (time.monotonic() - start)
    print(f"one guest asks all the time: the agent takes {share:.0%} of a processor")
    assert share < 0.5
    until(lambda: answers(second, 2, GUESTS), SOON_S, "another guest is answered all the same")


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
