"""Guests that move between hypervisors behind leaves with FRR, which are in other autonomous systems than they are."""

from __future__ import annotations

import json

import pytest
import yaml
from conftest import NOT_VERIFIED
from support.lab_guests import Guest, places, replies
from support.waiting import seconds_until, stays, until, until_equal

pytestmark = pytest.mark.long
SHARED = "203.0.113.100"
WEB1 = Guest("web1", "203.0.113.11", "52:54:00:12:34:01", SHARED)
WEB2 = Guest("web2", "203.0.113.12", "52:54:00:12:34:02", SHARED)
HOSTS, THIRD, LEAF = ("contiv1", "contiv2", "contiv3"), "contiv3", "switch1"  # the first and the third on one leaf
SYSTEMS = {"contiv1": 65002, "contiv2": 65002, "contiv3": 65003}
BFD = {"interval_ms": 300, "multiplier": 3}
SOON_S = 15


def intent(text):
    """Three hosts with BIRD, of which two share an AS, and guests that belong to none."""
    given = yaml.safe_load(text)
    given["lab"] = {"nodes": {name: {"init": "systemd"} for name in HOSTS}}
    given["bgp"] = {"as": 500, "peering": "configured", "bfd": BFD}
    del given["container_networks"]
    hosts = given["hypervisors"]
    for host in hosts.values():
        del host["container_networks"]
    hosts[THIRD] = {"id": 5, "fabrics": {"rack1": {}}, "neighbors": {LEAF: {}}}
    for name, number in SYSTEMS.items():
        hosts[name]["as"] = number
    segment = {"vrf": "main", "ipv4": "203.0.113.0/24", "gateway4": "203.0.113.254", "anycast": [SHARED]}
    given["segments"] = {"guests": segment}
    given["guests"] = {guest.name: guest.entry for guest in (WEB1, WEB2)}
    return yaml.safe_dump(given, sort_keys=False)


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("contiv_leaf", *NOT_VERIFIED, name="moving_leaves", edit=intent)


def ways(lab, leaf, address):
    """The next hops of a leaf's route to an address."""
    found = json.loads(lab.run(leaf, "vtysh", "-c", f"show ip route {address}/32 json") or "{}")
    hops = [hop for route in found.get(f"{address}/32", ()) for hop in route["nexthops"]]
    return {hop["ip"] for hop in hops if "ip" in hop and not hop.get("resolver")}


def address_of(lab, host):
    uplink = "fabric-rack2" if host == "contiv2" else "fabric-rack1"
    [link] = lab.json(host, "-4", "address", "show", "dev", uplink)
    return link["addr_info"][0]["local"]


def test_a_guest_is_reached_across_autonomous_systems(lab):
    WEB1.start(lab, "contiv1")
    seconds = seconds_until(lambda: replies(lab, THIRD, WEB1.ipv4), SOON_S, "web1 replies")
    print(f"started, and reached from a host in another AS after {seconds:.2f} s")
    until_equal(lambda: places(lab, "contiv2"), {"web1": "elsewhere"}, SOON_S)


def test_it_moves_to_a_host_behind_another_leaf_while_its_old_port_lingers(lab):
    before = WEB1.numbers(lab, "contiv1")
    WEB1.falls_silent(lab, "contiv1")
    WEB1.start(lab, "contiv2")
    seconds = seconds_until(
        lambda: WEB1.numbers(lab, "contiv1") == [] and replies(lab, THIRD, WEB1.ipv4), SOON_S, "moved"
    )
    print(f"moved, and reached after {seconds:.2f} s")
    assert WEB1.numbers(lab, "contiv2") == [before[0] + 1]
    until_equal(lambda: ways(lab, LEAF, WEB1.ipv4), {address_of(lab, "contiv2")}, SOON_S)
    stays(lambda: replies(lab, THIRD, WEB1.ipv4, 5), 2)


@pytest.mark.parametrize(("old", "new"), [("contiv2", "contiv1"), ("contiv1", THIRD)])
def test_the_latest_place_wins_while_the_agent_of_the_old_one_does_nothing(lab, old, new):
    """Another AS for the third host: MED is compared all the same."""
    [before] = WEB1.numbers(lab, old)
    lab.run(old, "systemctl", "kill", "-s", "STOP", "routed-hypervisor-run")
    WEB1.falls_silent(lab, old)
    if new == "contiv1":
        WEB1.stop(lab, new)  # its port has lingered there
        until_equal(lambda: "tap-web1" in lab.run(new, "ip", "link"), False, SOON_S)
    WEB1.start(lab, new)
    until_equal(lambda: WEB1.numbers(lab, new), [before + 1], SOON_S)
    until_equal(lambda: ways(lab, LEAF, WEB1.ipv4), {address_of(lab, new)}, SOON_S)
    assert WEB1.numbers(lab, old) == [before], "it still announces it"
    until(lambda: all(replies(lab, host, WEB1.ipv4) for host in HOSTS), SOON_S, "all hosts reach it, the old one, too")
    lab.run(old, "systemctl", "kill", "-s", "CONT", "routed-hypervisor-run")
    until_equal(lambda: WEB1.numbers(lab, old), [], SOON_S)


def test_a_host_that_loses_power_takes_its_guests_with_it_and_flows_go_to_the_rest(lab):
    WEB2.start(lab, "contiv1")
    until(lambda: replies(lab, "contiv2", WEB2.ipv4), SOON_S, "web2 replies")
    both = {address_of(lab, "contiv1"), address_of(lab, THIRD)}
    until_equal(lambda: ways(lab, LEAF, SHARED), both, SOON_S)
    ping = lab.spawn("contiv2", "ping", "-i", "0.1", "-W", "1", SHARED)
    assert any("bytes from" in line for line in ping.stdout)
    lose_power(lab, "contiv1")
    seconds = seconds_until(lambda: not ways(lab, "switch2", WEB2.ipv4), SOON_S, "no route to web2", 0.05)
    print(f"its hypervisor lost power: no route to it behind the other leaf after {seconds:.2f} s")
    assert seconds < BFD["interval_ms"] * BFD["multiplier"] / 1000 + 2, "it is BFD that finds out"
    until_equal(lambda: ways(lab, LEAF, SHARED), {address_of(lab, THIRD)}, SOON_S)
    until(lambda: replies(lab, "contiv2", SHARED), SOON_S)
    ping.terminate()
    WEB2.start(lab, "contiv2")
    until(lambda: replies(lab, THIRD, WEB2.ipv4), SOON_S, "web2 is started on another host")


def lose_power(lab, host):
    """Nothing of a host runs any more, and nothing that it has sent arrives."""
    [port] = [link["ifname"] for link in lab.json("switch-rack1", "link", "show") if host in link["ifname"]]
    lab.run("switch-rack1", "ip", "link", "set", port, "down")
    lab.tried(host, "sh", "-c", "kill -KILL -1")
