"""How failures affect guests."""

from __future__ import annotations

import re

import pytest
from conftest import wait_for_answer
from support.waiting import seconds_until, until

FAMILIES = [
    ("4", "203.0.113.3", "198.51.100.102 198.51.100.202"),
    ("6", None, "2001:db8:c633:6400::2 2001:db8:c633:6401::2"),
]


def address_of(lab, guest):
    """The autoconfigured address of a guest."""
    found = lab.json(guest, "-6", "address", "show", "dev", "eth0", "scope", "global")
    return found[0]["addr_info"][0]["local"]


def prefix(lab, family, address):
    return f"{address or address_of(lab, 'vm3')}/{'32' if family == '4' else '128'}"


def has_both(lab, family, address, hops):
    return lab.nexthops("hv1", family, "public", prefix(lab, family, address)) == set(hops.split())


def test_a_cut_fabric_loses_few_packets_and_ecmp_returns(lab):
    """Fabric A is cut at hv1 under a ping every 50 ms from vm1 to vm3, which is behind hv2."""
    pings = {}
    for family, address, _hops in FAMILIES:
        target = address or address_of(lab, "vm3")
        pings[family] = lab.spawn("vm1", "ping", f"-{family}", "-n", "-i", "0.05", "-c", "200", "-W", "1", target)
    for ping in pings.values():
        wait_for_answer(ping)
    lab.run("hv1", "ip", "link", "set", "fabric-A", "down")
    lost = {}
    for family, process in pings.items():
        output, _ = process.communicate(timeout=60)
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", output).groups())
        lost[family] = sent - received
    print(f"fabric A cut at hv1: packets lost of 200, one every 50 ms: IPv4 {lost['4']}, IPv6 {lost['6']}")
    # BFD takes 1.5 s, and longer on a busy machine. Without it, the hold time of 9 s would pass.
    assert all(count < 120 for count in lost.values()), lost
    lab.run("hv1", "ip", "link", "set", "fabric-A", "up")
    for family, address, hops in FAMILIES:
        took = seconds_until(lambda f=family, a=address, h=hops: has_both(lab, f, a, h), 60, f"ECMP in IPv{family}")
        print(f"fabric A back at hv1: ECMP in IPv{family} after {took:.1f} s")


@pytest.fixture
def bird_of_hv1_stopped(lab):
    lab.run("hv1", "service", "bird", "stop")
    yield
    lab.run("hv1", "service", "bird", "start")
    until(lambda: len(lab.established("hv1")) == 6, 60, "all BGP sessions of hv1")


def test_a_hypervisor_without_bird_disappears_and_leaks_nothing(lab, bird_of_hv1_stopped):
    until(
        lambda: not lab.json("hv2", "-4", "route", "show", "vrf", "public", "203.0.113.1/32"),
        30,
        "the withdrawal of the route to vm1 on hv2",
    )
    # Its own guests are still reachable from it, the rest is unreachable in the VRF, and nothing uses the main table.
    answer = lab.run("hv1", "ip", "-json", "route", "get", "192.0.2.1", "vrf", "public", check=False)
    assert "gateway" not in answer
    main = lab.json("hv1", "-4", "route", "show", "table", "main")
    assert {route["dst"] for route in main} == {"203.0.113.1", "203.0.113.2"}
    until(lambda: lab.tried("vm1", "ping", "-c", "1", "-W", "2", "203.0.113.2")[0] == 0, 30, "an answer from vm2")


def test_verification_finds_a_port_without_source_validation(lab):
    """The firewall, which would drop these packets, is removed too if the kernel has nftables' inet family."""
    lab.run("hv1", "sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/vm1/rp_filter")
    without_firewall, _, _ = lab.tried("hv1", "nft", "delete", "table", "inet", "routed_hypervisor")
    # Long enough for what converges; what is wrong here stays wrong.
    run = lab.play("-e", "verify_deadline=10", playbook="playbooks/verify.yml")
    assert run.code != 0
    assert "got through" in run.output
    assert ("on TCP port 179 (IPv4): accepts a connection" in run.output) == (without_firewall == 0)
    repaired = {("hv1", "network")} | ({("hv1", "nftables")} if without_firewall == 0 else set())
    assert lab.play("--tags", "network,firewall", "--limit", "hv1").changed == repaired
    assert lab.run("hv1", "cat", "/proc/sys/net/ipv4/conf/vm1/rp_filter") == "1\n"
