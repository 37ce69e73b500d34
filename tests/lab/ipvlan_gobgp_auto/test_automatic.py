"""Containers behind GoBGP with automatic peering: they come and go, daemons fail, hosts are added and removed."""

from __future__ import annotations

import json
import re
import time

import pytest
from conftest import NOT_VERIFIED, wait_for_answer
from support.waiting import seconds_until, until

ADMINISTRATORS = ["192.0.2.0/24", "via", "192.168.250.254"]
ADDED_HOST = """
  host3:
    id: 3
    fabrics: {right: {}}
    container_networks:
      web:
        fabric: right
        ipv4: 10.10.3.0/24
        ipv6: 2001:db8:10:3::/64
        containers: {c7: {ipv4: 10.10.3.7}}
"""


@pytest.fixture(scope="module")
def lab(bring_up):
    made = bring_up("ipvlan_gobgp_auto", *NOT_VERIFIED)
    made.run("host1", "ip", "route", "add", *ADMINISTRATORS)
    return made


def has_route(lab, node, prefix):
    return bool(lab.json(node, "-6" if ":" in prefix else "-4", "route", "show", prefix))


def address_of(lab, host, container, family):
    found = lab.json(host, f"-{family}", "-n", container, "address", "show", "dev", "eth0", "scope", "global")
    return found[0]["addr_info"][0]["local"]


@pytest.mark.parametrize(
    ("host", "fabric", "other", "prefix", "length"),
    [
        ("host1", "fabric-left", "host2", "10.10.1.99", 32),
        ("host2", "fabric-right", "host1", "2001:db8:10:2::99", 128),
    ],
)
def test_a_container_that_comes_and_goes_is_announced_and_withdrawn(lab, host, fabric, other, prefix, length):
    """A container created outside the project: a namespace with an ipvlan link, as container runtimes make it."""
    made = [
        "ip netns add web1",
        f"ip link add link {fabric} name eth0 netns web1 type ipvlan mode l3",
        f"ip -n web1 address add {prefix}/{24 if length == 32 else 64} dev eth0 nodad",
        "ip -n web1 link set eth0 up",
    ]
    script = " && ".join(made).replace(" nodad", "" if length == 32 else " nodad")
    lab.run(host, "sh", "-c", script)
    up = seconds_until(lambda: has_route(lab, other, f"{prefix}/{length}"), 20, f"the route to {prefix}")
    lab.run(host, "ip", "netns", "delete", "web1")
    down = seconds_until(lambda: not has_route(lab, other, f"{prefix}/{length}"), 20, f"the withdrawal of {prefix}")
    print(f"container on {host}: route on {other} {up:.2f} s after it was up, gone {down:.2f} s after it was deleted")


def pinged(lab, action):
    """Losses of a ping every 50 ms from c1 to c4 during ACTION, per family: {family: (lost, sent)}."""
    running = {}
    for family in "46":
        target = address_of(lab, "host2", "c4", family)
        argv = ["ip", "netns", "exec", "c1", "ping", f"-{family}", "-n", "-i", "0.05", "-c", "200", "-W", "1", target]
        running[family] = lab.spawn("host1", *argv)
    for ping in running.values():
        wait_for_answer(ping)
    action()
    found = {}
    for family, process in running.items():
        output, _ = process.communicate(timeout=90)
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", output).groups())
        found[family] = (sent - received, sent)
    return found


def has_all_neighbors(lab, node):
    """All sessions are up, and the kernel is in step with them."""
    code, output, _errors = lab.tried(node, "routed-hypervisor", "status", "--json")
    return code == 0 and not any(report["neighbors_away"] for report in json.loads(output)["routing"])


def restarted(lab, node, service):
    lab.run(node, "service", service, "restart")


def killed(lab, node, service):
    pid = lab.run(node, "cat", f"/run/{service}.pid").strip()
    lab.run(node, "kill", "-9", pid)
    time.sleep(1)  # it is down for a second
    lab.run(node, "service", service, "start")


@pytest.mark.parametrize("action", [restarted, killed])
@pytest.mark.parametrize("service", ["routed-hypervisor-run", "gobgpd-main"])
@pytest.mark.parametrize("node", ["host1", "host2"])
def test_traffic_continues_when_a_daemon_restarts(lab, node, service, action):
    lost = pinged(lab, lambda: action(lab, node, service))
    text = ", ".join(f"IPv{family} {count} of {sent}" for family, (count, sent) in lost.items())
    print(f"{service} on {node} {action.__name__}: packets lost, one every 50 ms: {text}")
    # The routing manager's routes remain in the kernel. A restarted GoBGP has 5 s to receive all routes before its
    # neighbours drop the rest; on a busy machine this can take longer, and the rest then arrives late.
    allowed = 0 if service == "routed-hypervisor-run" else 60
    assert all(count <= allowed for count, _sent in lost.values()), text
    # The next test begins with all sessions and routes, too.
    for host in ("host1", "host2"):
        until(lambda h=host: has_all_neighbors(lab, h), 90, f"the routing manager of {host} in step")
    assert has_route(lab, "host1", ADMINISTRATORS[0]), "the administrator's route is gone"


def test_adding_a_host_peers_it_with_everyone_and_removing_it_ends_its_sessions(lab):
    text = lab.intent.read_text()
    lab.intent.write_text(text.rstrip("\n") + ADDED_HOST)
    run = lab.play(*NOT_VERIFIED)
    assert run.code == 0, run.output
    for node in ("host1", "host2", "router"):
        until(lambda n=node: has_route(lab, n, "10.10.3.7/32"), 30, f"the route to c7 on {node}")
    lab.intent.write_text(text)
    run = lab.play(*NOT_VERIFIED)
    assert run.code == 0, run.output
    for node in ("host1", "host2", "router"):
        until(lambda n=node: not has_route(lab, n, "10.10.3.7/32"), 60, f"the route to c7 leaving {node}")
    command = ("gobgp", "--target", "unix:///run/routed-hypervisor-gobgp/main.sock", "neighbor")
    until(lambda: "192.168.251.3" not in lab.run("host1", *command), 30, "the end of the neighbor")
    assert "192.168.251.1" in lab.run("host1", *command)
