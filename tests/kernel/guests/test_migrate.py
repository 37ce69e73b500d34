"""Live migrations of virtual machines between hypervisors with BIRD: packets lost, next to QEMU's own gap."""

from __future__ import annotations

import statistics

import pytest
from support.following import WEB1
from support.moving import BORDER, HOSTS, OLD, PLAIN, Kind, Pinger
from support.virtual_machines import BOOT_S, Transfer, VirtualMachine
from support.waiting import until

ROUNDS = 10  # there and back
KINDS = {
    "plain": PLAIN,
    "firewall": Kind(firewall=True),
    "both fabrics": Kind(fabrics=("A", "B")),
    "a hypervisor without the new configuration": Kind(has_old=True),
    "GoBGP": Kind(with_gobgp=HOSTS),
}
LINGER_S = 3  # of the source's QEMU after each: its port must not win


@pytest.fixture
def machines(fabric, tmp_path):
    made = []

    def make(number, incoming=False):
        host = fabric.hosts[HOSTS[number % 2]]
        made.append(VirtualMachine(host, tmp_path, "web1", f"m{number}", incoming))
        return made[-1]

    yield make
    for one in made:
        one.remove()


class Crashed(Exception):
    """QEMU has broken the guest: without KVM it now and then migrates memory that a device has just written."""


def third(fabric):
    """The place that the guest is used from: a namespace, and a VRF in it or None."""
    return (fabric.spaces[OLD], fabric.vrf) if fabric.kind.has_old else (fabric.spaces[BORDER], None)


def boot(fabric, machines, number):
    here = machines(number)
    until(here.is_ready, BOOT_S, "the guest has booted")
    until(lambda: fabric.sees(WEB1[0]), 30, f"it is reached: {fabric.hosts[HOSTS[number % 2]].said()}")
    return here


def migrate(fabric, here, there, place, linger):
    """(QEMU's own gap, the longest gap of pings, packets lost)"""

    def goes_on(count):
        first = len(pinger.sent) + count
        until(lambda: max(pinger.received, default=0) >= first or there.has_crashed(), 60, "it goes on replying")
        if there.has_crashed():
            raise Crashed

    space, vrf = third(fabric)
    with Pinger(space, WEB1[0], 0.02, vrf) as pinger:
        until(lambda: len(pinger.received) > 20, 30)
        own = here.migrates_to(there)
        until(lambda: fabric.place("web1") == [place] or there.has_crashed(), 30, "it is known where it is")
        try:
            goes_on(int(linger / 0.02))
            here.command("quit")
            goes_on(10)
        except AssertionError as error:
            pytest.fail(f"{error}\n{state_of(fabric, there)}")
    return own, pinger.longest_gap(), pinger.lost()


def migrations(fabric, machines, rounds, linger):
    """(QEMU's own gap, the longest gap of pings, packets lost) of each migration; the longest gap of TCP."""
    space, vrf = third(fabric)
    here, number, crashes = boot(fabric, machines, 0), 0, 0
    found = []
    transfer = Transfer(space, WEB1[0], vrf)
    while len(found) < 2 * rounds:
        number += 1
        there = machines(number, incoming=True)
        until(lambda there=there: there.command("query-status")["status"] == "inmigrate", 30)
        try:
            found.append(migrate(fabric, here, there, HOSTS[number % 2], linger))
        except Crashed:
            crashes += 1
            assert crashes <= rounds, "QEMU breaks every guest"
            transfer.end()
            there.remove()
            here.remove()
            number += 1
            here = boot(fabric, machines, number)
            transfer = Transfer(space, WEB1[0], vrf)
            continue
        here.remove()
        here = there
    gap = transfer.end()
    assert not transfer.failure, transfer.failure
    print(f"QEMU broke the guest {crashes} times")
    return found, gap


def state_of(fabric, machine):
    """Whether the guest does not run, or packets do not reach it."""
    lines = [f"QEMU: {machine.command('query-status')}", fabric.spaces[BORDER].ip(f"route get {WEB1[0]}")]
    for name in HOSTS:
        space = fabric.spaces[name]
        lines += [f"{name}:", space.ip(f"route show table {fabric.hosts[name].table} {WEB1[0]}")]
        links = [link["ifname"] for link in space.show("link show")]
        if "tap-web1" in links:
            lines.append(space.ip("-statistics link show tap-web1"))
            lines.append(space.ip("neighbor show dev tap-web1"))
    lines.append(machine.console()[-2000:])
    return "\n".join(lines)


def shown(found, gap):
    own, gaps, lost = zip(*found, strict=True)
    return (
        f"{len(found)} migrations: QEMU's own gap median {statistics.median(own) * 1000:.0f} ms, worst"
        f" {max(own) * 1000:.0f} ms; pings every 20 ms: longest gap median {statistics.median(gaps) * 1000:.0f} ms,"
        f" worst {max(gaps) * 1000:.0f} ms, lost median {statistics.median(lost):g}, worst {max(lost)};"
        f" TCP: longest gap {gap * 1000:.0f} ms"
    )


def test_a_virtual_machine_migrates_there_and_back(fabric, machines):
    found, gap = migrations(fabric, machines, 1, LINGER_S)
    print(shown(found, gap))
    [number] = [number for host in HOSTS for number in fabric.hosts[host].numbers(WEB1[0])]
    assert number >= 103


@pytest.mark.long
@pytest.mark.parametrize("fabric", KINDS.values(), ids=KINDS, indirect=True)
def test_ten_migrations_there_and_back_lose_little_more_than_qemu_itself(fabric, machines):
    found, gap = migrations(fabric, machines, ROUNDS, 1)
    print(shown(found, gap))
    space, vrf = third(fabric)
    where = f"vrf {vrf}" if vrf else ""
    hops = space.show(f"route show {where} {WEB1[0]}")[0].get("nexthops", [{}])
    assert len(hops) == len(fabric.kind.fabrics)
    if fabric.kind.firewall:
        [place] = fabric.place("web1")
        assert "tap-web1" in fabric.firewall(place)
    own, gaps, _lost = zip(*found, strict=True)
    # A busy machine slows the guest itself, and so does a lab kernel. Each announcement of GoBGP is a command.
    assert statistics.median(gaps) < 2 * statistics.median(own) + (0.3 if fabric.kind.with_gobgp else 0.1)
