"""Contiv's L3 mode: the routing tables of its documentation, and the failures of its own BGP tests."""

from __future__ import annotations

import json
import re

import pytest
from conftest import NOT_VERIFIED, wait_for_answer
from support.waiting import seconds_until, until

LEAVES = ("switch1", "switch2")
GOBGP = ("gobgp", "--target", "unix:///run/routed-hypervisor-gobgp/main.sock")
LINK = "fabric-rack1"  # contiv1's
# `show ip route` of both switches in that documentation; FRR 8.4 has no lines for a router's own addresses.
TABLES = {
    "switch1": {
        "50.1.1.0/24": "connected Vlan1",
        "60.1.1.0/24": "ospf [110/20] 80.1.1.2 Ethernet1-44",
        "80.1.1.0/24": "connected Ethernet1-44",
        "192.168.1.1/32": "bgp [20/0] 50.1.1.1 Vlan1",
        "192.168.1.2/32": "bgp [200/0] 60.1.1.3 via 80.1.1.2 Ethernet1-44",
        "192.168.1.3/32": "bgp [20/0] 50.1.1.1 Vlan1",
    },
    "switch2": {
        "50.1.1.0/24": "ospf [110/20] 80.1.1.1 Ethernet1-44",
        "60.1.1.0/24": "connected Vlan1",
        "80.1.1.0/24": "connected Ethernet1-44",
        "192.168.1.1/32": "bgp [200/0] 50.1.1.1 via 80.1.1.1 Ethernet1-44",
        "192.168.1.2/32": "bgp [20/0] 60.1.1.3 Vlan1",
        "192.168.1.3/32": "bgp [200/0] 50.1.1.1 via 80.1.1.1 Ethernet1-44",
    },
}
ON_CONTIV1 = {"192.168.1.1/32", "192.168.1.3/32"}


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("contiv_leaf", *NOT_VERIFIED)


@pytest.fixture(autouse=True)
def _whole(lab):
    """Every test starts with all routes in place."""
    until_whole(lab)


def until_whole(lab) -> float:
    return seconds_until(
        lambda: (
            all(table(lab, leaf) == TABLES[leaf] for leaf in LEAVES)
            and has_route(lab)
            and all(has_route(lab, "contiv2", prefix.removesuffix("/32")) for prefix in ON_CONTIV1)
        ),
        60,
        "all routes",
    )


def table(lab, leaf) -> dict[str, str]:
    """Each selected route, in readable form."""
    found = {}
    for prefix, entries in json.loads(lab.run(leaf, "vtysh", "-c", "show ip route json") or "{}").items():
        for entry in entries:
            if not entry.get("selected"):
                continue
            hops = entry["nexthops"]
            received = " ".join(hop["ip"] for hop in hops if "ip" in hop and not hop.get("resolver"))
            used = " ".join(
                f"{'via ' + hop['ip'] + ' ' if hop.get('resolver') else ''}{hop['interfaceName']}"
                for hop in hops
                if "interfaceName" in hop
            )
            cost = "" if entry["protocol"] == "connected" else f"[{entry['distance']}/{entry['metric']}] {received} "
            found[prefix] = f"{entry['protocol']} {cost}{used}"
    return found


def has_route(lab, node="contiv1", prefix="192.168.1.2") -> bool:
    return bool(lab.json(node, "route", "show", prefix, "proto", "83"))


def session(lab, leaf, neighbor) -> dict:
    found = json.loads(lab.run(leaf, "vtysh", "-c", "show bgp ipv4 unicast summary json"))
    return found.get("peers", {}).get(neighbor, {})


def up(lab, leaf, neighbor) -> bool:
    return session(lab, leaf, neighbor).get("state") == "Established"


def announced_by(lab, leaf, prefix) -> str:
    """The AS path of the best path."""
    paths = json.loads(lab.run(leaf, "vtysh", "-c", f"show bgp ipv4 unicast {prefix} json")).get("paths", [])
    return " ".join(path["aspath"]["string"] for path in paths if path.get("bestpath"))


def withdrawn_from_both(lab) -> bool:
    return not any(ON_CONTIV1 & table(lab, leaf).keys() for leaf in LEAVES)


def test_both_tables_are_those_of_the_documentation(lab):
    for leaf in LEAVES:
        assert table(lab, leaf) == TABLES[leaf]
        assert {announced_by(lab, leaf, prefix) for prefix in ("192.168.1.2/32", "192.168.1.3/32")} == {"65002"}


@pytest.mark.parametrize(("target", "ttl"), [("192.168.1.2", 62), ("80.1.1.2", 63)], ids=["web2", "far leaf"])
def test_web1_reaches(lab, target, ttl):
    """Two routers are between the containers, one is before the far leaf. (Switches start at TTL 255, Linux at 64.)"""
    output = lab.run("contiv1", "ip", "netns", "exec", "web1", "ping", "-c", "5", "-i", "0.2", "-W", "2", target)
    assert "5 received" in output and set(re.findall(r"ttl=(\d+)", output)) == {str(ttl)}, output


def test_a_link_goes_down_and_comes_up(lab):
    lab.run("contiv1", "ip", "link", "set", LINK, "down")
    gone = seconds_until(lambda: withdrawn_from_both(lab), 30, "the withdrawal of contiv1's containers from the leaves")
    until(lambda: not has_route(lab), 30, "the removal of contiv1's learned routes")
    assert "192.168.1.2/32" in table(lab, "switch1"), "the other host's containers have disappeared too"
    lab.run("contiv1", "ip", "link", "set", LINK, "up")
    print(f"link down: routes gone from both leaves after {gone:.1f} s; up: back after {until_whole(lab):.1f} s")
    run = lab.play(*NOT_VERIFIED)
    assert run.code == 0 and run.changed == {("contiv1", "network")}, run.output  # its default route went with the link


def test_a_neighbor_is_configured_before_its_link_is_up(lab):
    lab.run("contiv1", "ip", "link", "set", LINK, "down")
    lab.run("contiv1", "service", "gobgpd-main", "restart")
    lab.run("switch1", "service", "frr", "restart")
    until(lambda: table(lab, "switch1").get("192.168.1.2/32"), 60, "the return of switch1")
    until(lambda: withdrawn_from_both(lab), 60, "the withdrawal of contiv1's containers from the leaves")
    assert not up(lab, "switch1", "50.1.1.1")
    lab.run("contiv1", "ip", "link", "set", LINK, "up")
    print(f"a link that comes up after its neighbor was configured: all routes after {until_whole(lab):.1f} s")
    lab.run("contiv1", "ip", "route", "replace", "default", "via", "50.1.1.2", "proto", "82")


def test_a_container_comes_and_goes_during_a_session(lab):
    before = session(lab, "switch1", "50.1.1.1")["peerUptimeEstablishedEpoch"]
    script = (
        f"ip netns add web9 && ip link add link {LINK} name eth0 netns web9 type ipvlan mode l3"
        " && ip -n web9 address add 192.168.1.9/24 dev eth0 && ip -n web9 link set eth0 up"
    )
    lab.run("contiv1", "sh", "-c", script)
    came = seconds_until(lambda: all("192.168.1.9/32" in table(lab, leaf) for leaf in LEAVES), 30, "the route to web9")
    assert table(lab, "switch2")["192.168.1.9/32"].startswith("bgp [200/0] 50.1.1.1 ")
    until(lambda: has_route(lab, "contiv2", "192.168.1.9"), 30, "contiv2's route to web9")
    lab.run("contiv1", "ip", "netns", "delete", "web9")
    print(f"container: on both leaves after {came:.1f} s, gone after {until_whole(lab):.1f} s")
    assert abs(session(lab, "switch1", "50.1.1.1")["peerUptimeEstablishedEpoch"] - before) <= 1


@pytest.mark.parametrize(
    ("node", "service", "allowed"),
    [("contiv1", "routed-hypervisor-run", 0), ("contiv1", "gobgpd-main", 60), ("switch1", "frr", 400)],
)
def test_an_agent_restarts(lab, node, service, allowed):
    """Hosts keep forwarding, with leaves as graceful restart helpers. A leaf that restarts loses its routes."""
    argv = ["ip", "netns", "exec", "web1", "ping", "-n", "-i", "0.05", "-c", "400", "-W", "1", "192.168.1.2"]
    ping = lab.spawn("contiv1", *argv)
    wait_for_answer(ping)
    lab.run(node, "service", service, "restart")
    output, _ = ping.communicate(timeout=120)
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", output).groups())
    print(f"{service} on {node} restarted: {sent - received} of {sent} packets lost, one every 50 ms")
    assert sent - received <= allowed, output
    until_whole(lab)


def test_a_wrong_remote_as_is_repaired(lab):
    """The leaf's file is edited by hand and loaded; a run restores it and changes nothing else."""
    script = "sed -i 's/^ neighbor 50.1.1.1 remote-as 65002/ neighbor 50.1.1.1 remote-as 65009/' /etc/frr/frr.conf"
    lab.run("switch1", "sh", "-c", f"{script} && /usr/lib/frr/frr-reload.py --reload /etc/frr/frr.conf")
    until(lambda: not up(lab, "switch1", "50.1.1.1"), 30, "the end of the session")
    until(lambda: withdrawn_from_both(lab), 30, "the withdrawal of contiv1's containers from the leaves")
    run = lab.play(*NOT_VERIFIED)
    assert run.code == 0 and run.changed == {("switch1", "daemon")}, run.output
    until(lambda: up(lab, "switch1", "50.1.1.1"), 60, "the return of the session")


def test_a_neighbor_is_deleted_and_added(lab):
    text = lab.intent.read_text()
    without = text.replace("    neighbors: {switch1: {}}\n", "")
    assert without != text
    lab.intent.write_text(without)
    run = lab.play("--tags", "routing")
    assert run.code == 0, run.output
    until(lambda: withdrawn_from_both(lab) and not has_route(lab), 30, "the withdrawal of its routes everywhere")
    assert session(lab, "switch1", "50.1.1.1") == {}
    until(lambda: "50.1.1.2" not in lab.run("contiv1", *GOBGP, "neighbor"), 30, "the end of the neighbor")
    until(lambda: lab.run("contiv2", "ip", "route", "show", "192.168.1.3").strip() == "", 30, "contiv2's withdrawal")
    lab.intent.write_text(text)
    run = lab.play("--tags", "routing")
    assert run.code == 0, run.output
    until_whole(lab)
