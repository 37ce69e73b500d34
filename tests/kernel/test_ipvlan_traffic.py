"""Traffic over ipvlan links: reachability in each mode and with each flag, and the designs that depend on it."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import sys
import time

import pytest
from ipvlan_host import FLAGS, MODES, Host, link
from support.waiting import until


@pytest.fixture
def interpreter():
    return sys.executable, None  # the kernel behaves the same with any pyroute2


@pytest.fixture
def host(namespace):
    return Host(namespace)


def echo_request(sequence):
    """An ICMP echo request with its checksum."""
    words = (0x0800, 0x5248, sequence)
    total = sum(words)
    return struct.pack("!BBHHH", 8, 0, ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF, *words[1:])


def pings(space, address, source="", count=3):
    """Sends echo requests, half a second apart; yields each answer's sender."""
    with space.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind((source, 0))
        for sequence in range(count):
            with contextlib.suppress(OSError):  # no route, no neighbor
                sock.sendto(echo_request(sequence), (address, 0))
            deadline = time.monotonic() + 0.7
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    packet, (sender, _port) = sock.recvfrom(2048)
                except OSError:
                    continue
                if packet[20:21] == b"\0" and struct.unpack_from("!HH", packet, 24) == (0x5248, sequence):
                    yield sender
                    break


def reaches(space, address, source="", count=30):
    """Whether a ping is answered: that takes a moment after a change, or on a busy machine."""
    return next(pings(space, address, source, count), None) is not None


def never_reaches(space, address):
    """Whether none of three pings is answered."""
    return not reaches(space, address, count=3)


def received(host, short, name="eth0"):
    return host.show(f"-statistics link show dev {name}", short)[0]["stats64"]["rx"]["packets"]


@pytest.mark.parametrize("mode", MODES)
def test_siblings_reach_each_other_only_with_flag_bridge(host, mode):
    for flag in FLAGS:
        host.changed([link(f"c{n}", f"10.10.1.{n}/24", mode=mode, flag=flag) for n in (2, 3)])
        expected = reaches if flag == "bridge" else never_reaches
        assert expected(host.container("c2"), "10.10.1.3"), flag


def test_a_broadcast_from_the_wire_arrives_only_in_l2(host):
    host.space.behind.ip("address add 10.10.1.9/24 dev fabric-left")
    for mode, arrives in (("l2", True), ("l3", False)):
        host.changed([link("c2", "10.10.1.2/24", mode=mode)])
        before = received(host, "c2")
        list(pings(host.space.behind, "10.10.1.255"))
        if arrives:
            until(lambda before=before: received(host, "c2") - before >= 3, what=mode)
        else:
            assert received(host, "c2") - before < 3, mode


def test_the_host_reaches_a_container_only_through_a_link_of_its_own(host):
    host.ip("address add 10.10.1.254/24 dev fabric-left")
    for mode in ("l2", "l3"):
        host.changed([link("c2", "10.10.1.2/24", mode=mode)], state="overridden")
        assert never_reaches(host.space, "10.10.1.2"), mode
        assert never_reaches(host.container("c2"), "10.10.1.254"), mode
        slave = link(None, "10.10.1.1/32", name="host-left", mode=mode)
        host.changed([link("c2", "10.10.1.2/24", mode=mode), slave], state="overridden")
        host.ip("route replace 10.10.1.2/32 dev host-left src 10.10.1.1")
        assert reaches(host.space, "10.10.1.2", "10.10.1.1"), mode
        assert reaches(host.container("c2"), "10.10.1.1"), mode


def test_links_in_a_vrf_with_two_uplinks_and_proxy_arp(host, interpreter):
    """Slaves of a dummy in the VRF, a link on the host with the gateway address, and routes to the containers."""
    space = host.space
    for number, side in enumerate(("left", "right")):
        space.behind.ip(f"address add 192.0.2.{number * 4 + 2}/30 dev fabric-{side}")
    space.behind.sysctl("ipv4/ip_forward", 1)
    space.behind.ip("address add 198.51.100.1/32 dev lo")
    space.behind.ip("link set lo up")
    hops = " ".join(f"nexthop via 192.0.2.{number * 4 + 1}" for number in range(2))
    space.behind.ip(f"route add 10.10.1.0/24 {hops}")
    containers = {n: host.container(f"c{n}") for n in (2, 3)}
    watch = {"ipv4": {"ignore_routes_with_linkdown": 1}}  # stands in for the routing daemon
    config = {
        "sysctls": [{"name": "net.ipv4.ip_forward", "value": 1}],
        "vrfs": [{"name": "public", "table": 90}],
        "interfaces": [
            {"name": "fabric-left", "vrf": "public", "addresses": [{"address": "192.0.2.1/30"}], "sysctls": watch},
            {"name": "fabric-right", "vrf": "public", "addresses": [{"address": "192.0.2.5/30"}], "sysctls": watch},
            {"name": "web", "type": "dummy", "vrf": "public", "sysctls": {"ipv4": {"rp_filter": 0}}},
        ],
        "ipvlan_links": [
            {
                "name": "host-web",
                "master": "web",
                "mode": "l2",
                "vrf": "public",
                "addresses": [{"address": "10.10.1.1/32", "scope": "link"}],
            },
            *(
                {
                    "name": "eth0",
                    "namespace": container.name,
                    "master": "web",
                    "mode": "l2",
                    "addresses": [{"address": f"10.10.1.{number}/24"}],
                    "routes": [{"prefix": "0.0.0.0/0", "gateway": "10.10.1.1"}],
                }
                for number, container in containers.items()
            ),
        ],
        "proxy_arp": [{"interface": "host-web", "proxy_arp": True, "delay": 0}],
        "routes": [
            *(
                {"prefix": f"10.10.1.{number}/32", "vrf": "public", "interface": "host-web", "scope": "link"}
                for number in containers
            ),
            {
                "prefix": "198.51.100.0/24",
                "vrf": "public",
                "nexthops": [
                    {"gateway": "192.0.2.2", "interface": "fabric-left"},
                    {"gateway": "192.0.2.6", "interface": "fabric-right"},
                ],
            },
        ],
    }
    assert space.changed("network", config=config, state="overridden")
    assert space.changed("network", config=config, state="overridden") == []
    assert reaches(containers[2], "10.10.1.1"), "the gateway"
    assert reaches(containers[2], "10.10.1.3"), "a container next to it"
    assert reaches(containers[2], "198.51.100.1"), "the world"
    assert reaches(space.behind, "10.10.1.3", "198.51.100.1"), "from the world"
    for side in ("left", "right"):  # either uplink is enough
        space.behind.ip(f"link set fabric-{side} down")
        assert reaches(containers[3], "198.51.100.1"), f"the world without fabric-{side}"
        space.behind.ip(f"link set fabric-{side} up")
        space.behind.ip(f"route replace 10.10.1.0/24 {hops}")
    assert "lladdr" in containers[2].ip("neighbor show 10.10.1.1")


def test_modes_and_flags_as_ip_shows_them_from_the_host(host):
    for mode, flag in itertools.product(MODES, FLAGS):
        changes = host.changed([{"name": "slave", "master": "fabric-left", "mode": mode, "flag": flag}])
        assert changes, (mode, flag)
        [shown] = host.show("link show dev slave")
        assert shown["linkinfo"] == {"info_kind": "ipvlan", "info_data": {"mode": mode, flag: True}}
