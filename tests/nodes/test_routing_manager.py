"""The routing manager with real gobgpds: what it announces, what it installs, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from routing_lab import ROUTER_AS, ROUTERS, SUBNET4, RoutingLab, address, many, wait

SPEAKER = Path(__file__).resolve().parents[1] / "plain_speaker.py"

LEFT, RIGHT = "via 192.168.1.2 dev to-left", "via 192.168.2.2 dev to-right"
LEFT6, RIGHT6 = "via 2001:db8:1::2 dev to-left", "via 2001:db8:2::2 dev to-right"


@pytest.fixture(scope="module")
def lab(lab_image, tmp_path_factory):
    if os.geteuid():
        pytest.skip("needs root, for network namespaces")
    lab = RoutingLab(lab_image, tmp_path_factory.mktemp("routing"))
    try:
        lab.build()
        lab.start_manager()
        lab.connected()
        lab.in_step()
        yield lab
    finally:
        lab.remove()
        if lab.log.exists():
            print(lab.log.read_text(encoding="utf-8")[-8000:])


@pytest.fixture(autouse=True)
def clean(lab):
    """Every test leaves the host and the routers as it found them."""
    yield
    for node in ROUTERS:
        for family in ("ipv4", "ipv6"):
            lab.gobgp(node, f"global rib -a {family} del all")
    for name in lab.containers:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    lab.containers.clear()
    lab.write_config()
    wait(lambda: not lab.routes())
    wait(lambda: not lab.rib("left") and not lab.rib("left", "ipv6"))


def add(lab, node, *words):
    prefix = words[0]
    lab.gobgp(node, f"global rib -a {'ipv6' if ':' in prefix else 'ipv4'} add {' '.join(words)}")


def withdraw(lab, node, prefix):
    lab.gobgp(node, f"global rib -a {'ipv6' if ':' in prefix else 'ipv4'} del {prefix}")


def until(lab, expected, protocol=83):
    """Waits until these are the routes; shows the difference if they never are."""
    deadline = time.monotonic() + 10
    while (now := lab.routes(protocol)) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert now == expected


# out


def test_subnets_of_ours_are_announced_and_nothing_else(lab):
    lab.ip("host", f"route add unreachable {SUBNET4} proto 82")
    lab.ip("host", "route add 10.10.1.128/25 dev to-left proto 82")
    lab.ip("host", "-6 route add 2001:db8:10:1::/64 dev to-left proto 82")
    lab.ip("host", "route add 10.10.1.7/32 dev to-left proto static")
    lab.ip("host", "route add 10.11.0.0/24 dev to-left proto 82")
    wait(lambda: len(lab.rib("left")) == 2 and lab.rib("left", "ipv6"))
    assert lab.rib("left") == {SUBNET4: ["192.168.1.1"], "10.10.1.128/25": ["192.168.1.1"]}
    assert lab.rib("right") == {SUBNET4: ["192.168.2.1"], "10.10.1.128/25": ["192.168.2.1"]}
    assert lab.rib("left", "ipv6") == {"2001:db8:10:1::/64": ["2001:db8:1::1"]}
    assert not lab.routes(), "our own announcements came back as routes"
    for route in ("10.10.1.128/25", SUBNET4, "10.10.1.7/32", "10.11.0.0/24"):
        lab.ip("host", f"route del {route}")
    lab.ip("host", "-6 route del 2001:db8:10:1::/64")
    wait(lambda: not lab.rib("left") and not lab.rib("left", "ipv6"))


def test_a_container_is_announced_while_it_is_up(lab):
    space = lab.container("10.20.1.5/24", "2001:db8:20:1::5/64", "10.99.9.9/24")
    started = time.monotonic()
    wait(lambda: lab.rib("left") == {"10.20.1.5/32": ["192.168.1.1"]}, pause=0)
    print(f"container up to route at the neighbour: {time.monotonic() - started:.2f} s, with a look every 30 ms")
    wait(lambda: lab.rib("left", "ipv6") == {"2001:db8:20:1::5/128": ["2001:db8:1::1"]})
    lab.run("-n", space, "address", "add", "10.20.1.6/24", "dev", "eth0")
    wait(lambda: set(lab.rib("left")) == {"10.20.1.5/32", "10.20.1.6/32"})
    lab.run("-n", space, "link", "set", "eth0", "down")
    wait(lambda: not lab.rib("left") and not lab.rib("left", "ipv6"))
    lab.run("-n", space, "link", "set", "eth0", "up")
    wait(lambda: set(lab.rib("left")) == {"10.20.1.5/32", "10.20.1.6/32"})
    lab.run("-n", space, "address", "del", "10.20.1.6/24", "dev", "eth0")
    wait(lambda: set(lab.rib("left")) == {"10.20.1.5/32"})


@pytest.mark.parametrize("end", ["link", "netns", "unmounted with its process"])
def test_a_container_that_is_gone_is_withdrawn(lab, end):
    space = lab.container("10.20.1.8/24")
    process = subprocess.Popen(["ip", "netns", "exec", space, "sleep", "60"])
    wait(lambda: "10.20.1.8/32" in lab.rib("left"))
    if end == "link":
        lab.run("-n", space, "link", "del", "eth0")
    elif end == "netns":
        process.kill()
        process.wait()
        lab.run("netns", "delete", space)
    else:  # the namespace lives on for a moment, as with a runtime that first unmounts
        lab.run("netns", "delete", space)
    wait(lambda: not lab.rib("left"))
    process.kill()
    process.wait()


def test_containers_that_follow_one_another_at_once_are_not_confused(lab):
    space = f"rt-{lab.id}-again"
    lab.containers.append(space)
    for number in range(10):
        subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)
        lab.run("netns", "add", space)
        batch = (
            f"link add eth0 type veth peer name peer\naddress add 10.20.1.{number + 1}/24 dev eth0\nlink set eth0 up\n"
        )
        subprocess.run(["ip", "-n", space, "-batch", "-"], input=batch, text=True, check=True)
    wait(lambda: set(lab.rib("left")) == {"10.20.1.10/32"})
    time.sleep(0.3)
    assert set(lab.rib("left")) == {"10.20.1.10/32"}


def test_an_address_on_lo_does_not_count_and_one_in_two_containers_counts_once(lab):
    first, second = lab.container("10.20.1.9/24"), lab.container("10.20.1.9/24")
    lab.run("-n", first, "address", "add", "10.20.1.10/32", "dev", "lo")
    lab.run("-n", first, "link", "set", "lo", "up")
    wait(lambda: "10.20.1.9/32" in lab.rib("left"))
    wait(lambda: lab.logged(f"10.20.1.9 is in /run/netns/{min(first, second)} and in"))
    lab.run("netns", "delete", first)
    time.sleep(0.3)
    assert set(lab.rib("left")) == {"10.20.1.9/32"}


def test_the_host_has_a_route_to_each_container_of_a_network_with_an_interface(lab):
    lab.container("10.20.2.5/24", "2001:db8:20:2::5/64")
    wait(lambda: "10.20.2.5/32" in lab.rib("left"))
    assert not lab.routes(84)
    assert "interface host-app is missing" in lab.manage("status").stdout
    lab.ip("host", "link add host-app type veth peer name other")
    lab.ip("host", "link set host-app up")
    until(lab, {"10.20.2.5": {"dev host-app"}, "2001:db8:20:2::5": {"dev host-app"}}, 84)
    lab.ip("host", "route del 10.20.2.5")
    until(lab, {"10.20.2.5": {"dev host-app"}, "2001:db8:20:2::5": {"dev host-app"}}, 84)
    lab.run("netns", "delete", lab.containers.pop())
    until(lab, {}, 84)
    lab.ip("host", "link del host-app")


# in


def test_routes_come_change_and_go(lab):
    add(lab, "left", "10.1.0.0/16")
    add(lab, "left", "2001:db8:aa::/48")
    until(lab, {"10.1.0.0/16": {LEFT}, "2001:db8:aa::/48": {LEFT6}})
    monitor = subprocess.Popen(
        ["ip", "-n", lab.space("host"), "monitor", "route"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    time.sleep(0.2)
    add(lab, "left", "10.1.0.0/16", "nexthop", "192.168.1.77")
    until(lab, {"10.1.0.0/16": {"via 192.168.1.77 dev to-left"}, "2001:db8:aa::/48": {LEFT6}})
    monitor.terminate()
    seen = monitor.communicate()[0]
    assert "10.1.0.0/16" in seen and "Deleted 10.1.0.0/16" not in seen, seen
    withdraw(lab, "left", "10.1.0.0/16")
    withdraw(lab, "left", "2001:db8:aa::/48")
    until(lab, {})


@pytest.mark.parametrize(
    ("prefix", "left", "right"), [("10.2.0.0/16", LEFT, RIGHT), ("2001:db8:bb::/48", LEFT6, RIGHT6)]
)
def test_two_ways_share_the_load(lab, prefix, left, right):
    add(lab, "left", prefix)
    add(lab, "right", prefix)
    until(lab, {prefix: {left, right}})
    withdraw(lab, "left", prefix)
    until(lab, {prefix: {right}})
    add(lab, "left", prefix)
    until(lab, {prefix: {left, right}})
    lab.ip("right", "link set to-host down")  # no carrier at the host; BGP will notice much later
    until(lab, {prefix: {left}})
    lab.ip("right", "link set to-host up")
    lab.ip("right", f"addr replace {address('right', 'ipv6-unicast', 2)}/64 dev to-host nodad")
    until(lab, {prefix: {left, right}})


def test_a_worse_path_shares_nothing(lab):
    add(lab, "left", "10.2.0.0/16")
    add(lab, "right", "10.2.0.0/16", "med", "50")
    until(lab, {"10.2.0.0/16": {LEFT}})
    assert lab.manage("status").returncode == 0
    withdraw(lab, "left", "10.2.0.0/16")
    until(lab, {"10.2.0.0/16": {RIGHT}})


def test_a_next_hop_behind_a_router_is_followed(lab):
    add(lab, "left", "10.5.0.0/16", "nexthop", "10.77.0.1")
    add(lab, "left", "10.77.0.0/16")  # learned by BGP: no way to a next hop
    until(lab, {"10.77.0.0/16": {LEFT}})
    status = lab.manage("status")
    assert status.returncode == 1
    assert "10.5.0.0/16 is not installed: next hop 10.77.0.1: no route to it" in status.stdout
    lab.ip("host", "route add 10.77.0.0/24 via 192.168.1.2")
    until(lab, {"10.77.0.0/16": {LEFT}, "10.5.0.0/16": {LEFT}})
    lab.ip("host", "route replace 10.77.0.0/24 via 192.168.2.2")
    until(lab, {"10.77.0.0/16": {LEFT}, "10.5.0.0/16": {RIGHT}})
    lab.ip("host", "route del 10.77.0.0/24")
    until(lab, {"10.77.0.0/16": {LEFT}})


def test_a_route_of_the_administrator_stays(lab):
    lab.ip("host", "route add 10.6.0.0/16 via 192.168.2.2")
    lab.ip("host", "route add 10.7.0.0/16 via 192.168.2.2 metric 4096")
    lab.ip("host", "-6 route add 2001:db8:cc::/48 via 2001:db8:2::2 metric 4096")
    for prefix in ("10.6.0.0/16", "10.7.0.0/16", "2001:db8:cc::/48"):
        add(lab, "left", prefix)
    until(lab, {"10.6.0.0/16": {LEFT}})
    status = lab.manage("status").stdout
    assert "10.6.0.0/16: someone else's route of protocol 3, metric 0, is beside ours" in status
    assert "10.7.0.0/16: a route of protocol 3 has the place (metric 4096)" in status
    assert "2001:db8:cc::/48: a route of protocol 3 has the place (metric 4096)" in status
    lab.end_manager(signal.SIGKILL)
    lab.start_manager()
    lab.in_step()
    for prefix in ("10.6.0.0/16", "10.7.0.0/16", "2001:db8:cc::/48"):
        withdraw(lab, "left", prefix)
    until(lab, {})
    for family, prefix in (("-4", "10.6.0.0/16"), ("-4", "10.7.0.0/16"), ("-6", "2001:db8:cc::/48")):
        found = json.loads(lab.ip("host", f"-json {family} route show {prefix}"))
        assert [route["dev"] for route in found] == ["to-right"]
        lab.ip("host", f"{family} route del {prefix}")


def test_a_route_that_someone_removed_or_changed_is_put_right(lab):
    add(lab, "left", "10.8.0.0/16")
    until(lab, {"10.8.0.0/16": {LEFT}})
    lab.ip("host", "route del 10.8.0.0/16")
    until(lab, {"10.8.0.0/16": {LEFT}})
    lab.ip("host", "route replace 10.8.0.0/16 via 192.168.2.2 metric 4096 proto 83")
    until(lab, {"10.8.0.0/16": {LEFT}})
    lab.ip("host", "link set to-left down")
    until(lab, {})
    lab.ip("host", "link set to-left up")
    lab.ip("host", f"addr replace {address('left', 'ipv6-unicast', 1)}/64 dev to-left nodad")
    until(lab, {"10.8.0.0/16": {LEFT}})


# restarts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_manager_loses_nothing(lab, number):
    lab.ip("left", "addr add 10.1.0.1/16 dev lo")
    add(lab, "left", "10.1.0.0/16")
    add(lab, "left", "10.3.0.0/16")
    add(lab, "left", "10.4.0.0/16")
    space = lab.container("10.20.1.5/24")
    until(lab, {"10.1.0.0/16": {LEFT}, "10.3.0.0/16": {LEFT}, "10.4.0.0/16": {LEFT}})
    wait(lambda: "10.20.1.5/32" in lab.rib("left"))
    with lab.pings("10.1.0.1") as result:
        lab.end_manager(number)
        withdraw(lab, "left", "10.3.0.0/16")
        add(lab, "left", "10.4.0.0/16", "nexthop", "192.168.1.77")
        lab.run("netns", "delete", space)
        lab.container("10.20.1.6/24")
        assert "10.20.1.5/32" in lab.rib("left")
        lab.start_manager()
        until(lab, {"10.1.0.0/16": {LEFT}, "10.4.0.0/16": {"via 192.168.1.77 dev to-left"}})
        wait(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.4.0.0/16", "10.20.1.6/32"})
        lab.in_step()
    lab.ip("left", "addr del 10.1.0.1/16 dev lo")
    print(f"{number.name} of the manager: {result[0]} pings, {result[0] - result[1]} lost")
    assert result[0] == result[1] > 20


def kept(lab, prefix):
    assert prefix in lab.rib("left")
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_gobgpd_loses_nothing(lab, number):
    lab.ip("left", "addr add 10.1.0.1/16 dev lo")
    for prefix in ("10.1.0.0/16", "10.3.0.0/16"):
        add(lab, "left", prefix)
    lab.container("10.20.1.5/24")
    until(lab, {"10.1.0.0/16": {LEFT}, "10.3.0.0/16": {LEFT}})
    wait(lambda: "10.20.1.5/32" in lab.rib("left"))
    since = len(lab.log.read_text())
    with lab.pings("10.1.0.1") as result:
        lab.kill_gobgpd("host", number)
        wait(lambda: lab.logged("its 2 routes stay", since))
        withdraw(lab, "left", "10.3.0.0/16")
        lab.start_gobgpd("host")
        if number == signal.SIGKILL:  # without a word to its neighbours: they keep what it announced
            wait(lambda: kept(lab, "10.20.1.5/32") and lab.logged("in step, 1 routes", since), 60)
        wait(lambda: lab.logged("in step, 1 routes", since), 60)
        assert lab.routes() == {"10.1.0.0/16": {LEFT}}
        wait(lambda: "10.20.1.5/32" in lab.rib("left"))
    lab.ip("left", "addr del 10.1.0.1/16 dev lo")
    print(f"{number.name} of gobgpd: {result[0]} pings, {result[0] - result[1]} lost")
    assert result[0] == result[1] > 100


def test_a_restart_of_both_at_once_loses_nothing(lab):
    lab.ip("left", "addr add 10.1.0.1/16 dev lo")
    for prefix in ("10.1.0.0/16", "10.3.0.0/16"):
        add(lab, "left", prefix)
    until(lab, {"10.1.0.0/16": {LEFT}, "10.3.0.0/16": {LEFT}})
    with lab.pings("10.1.0.1") as result:
        lab.end_manager(signal.SIGKILL)
        lab.kill_gobgpd("host")
        withdraw(lab, "left", "10.3.0.0/16")
        lab.start_gobgpd("host")
        lab.start_manager()
        lab.in_step()
        assert lab.routes() == {"10.1.0.0/16": {LEFT}}
    lab.ip("left", "addr del 10.1.0.1/16 dev lo")
    print(f"SIGKILL of both: {result[0]} pings, {result[0] - result[1]} lost")
    assert result[0] == result[1] > 100


def test_a_gobgpd_that_takes_leave_of_many_routes_does_not_take_them_along(lab):
    routes = many(5000)
    lab.inject("left", routes, "192.168.1.2")
    wait(lambda: len(lab.routes()) == 5000, 30)
    since = len(lab.log.read_text())
    lab.kill_gobgpd("host", signal.SIGTERM)
    wait(lambda: lab.logged("its 5000 routes stay", since))
    assert len(lab.routes()) == 5000
    lab.start_gobgpd("host")
    wait(lambda: lab.logged("in step, 5000 routes", since), 60)
    assert len(lab.routes()) == 5000


# the command


def test_once_and_dry_run(lab):
    lab.end_manager()
    add(lab, "left", "10.1.0.0/16")
    lab.ip("host", "route add 10.9.0.0/16 via 192.168.1.2 proto 83 metric 4096")
    lab.ip("host", f"route add unreachable {SUBNET4} proto 82")
    wait(lambda: "10.1.0.0/16" in lab.rib("host"))
    dry = lab.manage("run", "--dry-run")
    assert dry.returncode == 0, dry
    assert set(dry.stdout.splitlines()) == {
        "main: would: removed route 10.9.0.0/16 via 192.168.1.2 dev to-left",
        "main: would: route 10.1.0.0/16 via 192.168.1.2 dev to-left",
        f"main: would: announce {SUBNET4}",
    }
    assert lab.routes() == {"10.9.0.0/16": {LEFT}}
    assert lab.manage("status").returncode == 1
    once = lab.manage("run", "--once")
    assert once.returncode == 0, once
    assert lab.routes() == {"10.1.0.0/16": {LEFT}}
    assert SUBNET4 in lab.rib("left")
    assert lab.manage("run", "--once").stdout == ""
    status = lab.manage("status", "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)[0]["announced"] == [SUBNET4]
    lab.ip("host", f"route del {SUBNET4}")
    lab.manage("run", "--once")
    assert SUBNET4 not in lab.rib("left")
    lab.start_manager()
    lab.in_step()


def test_a_new_configuration_is_read_without_a_restart(lab):
    add(lab, "left", "10.1.0.0/16")
    lab.container("10.20.1.5/24", "10.30.1.5/24")
    until(lab, {"10.1.0.0/16": {LEFT}})
    wait(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.20.1.5/32"})
    lab.write_config(networks=[{"name": "other", "prefixes": ["10.30.1.0/24"], "interface": None}])
    lab.manager.send_signal(signal.SIGHUP)
    wait(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.30.1.5/32"})
    lab.write_config(families=["ipv5"], vfr="x")
    since = len(lab.log.read_text())
    lab.manager.send_signal(signal.SIGHUP)
    wait(lambda: lab.logged("the old one holds", since))
    assert lab.logged('instances[0].families[0]: "ipv5" is neither ipv4 nor ipv6', since)
    assert lab.manager.poll() is None
    bad = lab.manage("run")
    assert bad.returncode == 2
    assert "instances[0].vfr: unknown" in bad.stderr
    lab.write_config()
    lab.manager.send_signal(signal.SIGHUP)
    wait(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.20.1.5/32"})
    assert lab.routes() == {"10.1.0.0/16": {LEFT}}


def test_an_announcement_of_the_administrator_stays(lab):
    lab.gobgp("host", "global rib add 10.20.1.5/32 community 64512:7")
    lab.gobgp("host", "global rib add 10.66.0.0/16")
    lab.container("10.20.1.5/24")
    wait(lambda: len(lab.rib("host").get("10.20.1.5/32", [])) == 2)
    lab.run("netns", "delete", lab.containers.pop())
    wait(lambda: len(lab.rib("host")["10.20.1.5/32"]) == 1)
    assert set(lab.rib("left")) == {"10.20.1.5/32", "10.66.0.0/16"}
    lab.end_manager(signal.SIGKILL)
    lab.start_manager()
    lab.in_step()
    assert set(lab.rib("left")) == {"10.20.1.5/32", "10.66.0.0/16"}
    lab.gobgp("host", "global rib del all")


def test_without_gobgpd_routes_go_after_the_time_that_was_set(lab_image, tmp_path):
    lab = RoutingLab(lab_image, tmp_path, stale_s=2)
    try:
        lab.build()
        lab.ip("host", "route add 10.9.0.0/16 via 192.168.1.2 proto 83 metric 4096")
        lab.kill_gobgpd("host")
        lab.start_manager()
        time.sleep(1)
        assert lab.routes() == {"10.9.0.0/16": {LEFT}}
        until(lab, {})
        lab.configure("host", 64512, [(address("left", "ipv4-unicast", 2), ROUTER_AS, "ipv4-unicast")])
        lab.start_gobgpd("host")
        lab.connected(1)
        add(lab, "left", "10.1.0.0/16")
        until(lab, {"10.1.0.0/16": {LEFT}})
    finally:
        lab.remove()


@pytest.fixture
def plain_neighbour(lab_image, tmp_path):
    """A host, its only neighbour, that has no graceful restart and is started by a function, and what that heard."""
    lab = RoutingLab(lab_image, tmp_path, stale_s=2)
    heard = tmp_path / "heard"
    started = []

    def start():
        listen = address("left", "ipv4-unicast", 2)
        argv = ["ip", "netns", "exec", lab.space("left"), sys.executable, SPEAKER, listen, str(ROUTER_AS)]
        with heard.open("wb") as file:
            started.append(subprocess.Popen(argv, stdout=file))

    try:
        lab.build()
        for name in ("host", *ROUTERS):
            lab.kill_gobgpd(name)
        lab.configure("host", 64512, [(address("left", "ipv4-unicast", 2), ROUTER_AS, "ipv4-unicast")])
        lab.start_gobgpd("host")
        yield lab, start, lambda: heard.read_text().split()
    finally:
        for process in started:
            process.kill()
            process.wait()
        lab.remove()


def test_gobgp_forgets_a_neighbour_without_graceful_restart(plain_neighbour):
    """Why the routing manager speaks for it. Should this fail, GoBGP has been mended: take that out."""
    lab, start, heard = plain_neighbour
    wait((lab.directory / "host.sock").exists)
    add(lab, "host", "10.20.0.0/16")
    start()
    lab.connected(1)
    time.sleep(6)  # GoBGP's deferral is 5 s
    assert heard() == []


@pytest.mark.parametrize("late", [False, True], ids=["together", "late"])
def test_a_neighbour_without_graceful_restart_is_told_all(plain_neighbour, late):
    lab, start, heard = plain_neighbour
    lab.ip("host", f"route add unreachable {SUBNET4} proto 82")
    lab.start_manager()
    if late:
        time.sleep(4)  # the time that was set has passed: the manager takes the RIB for complete
    start()
    wait(lambda: heard() == [SUBNET4], 15)


def test_a_neighbour_that_is_taken_out_takes_its_routes_along(lab_image, tmp_path):
    lab = RoutingLab(lab_image, tmp_path)
    try:
        lab.build()
        lab.start_manager()
        lab.connected()
        lab.in_step()
        add(lab, "left", "10.1.0.0/16")
        add(lab, "left", "10.2.0.0/16")
        add(lab, "right", "10.3.0.0/16")
        until(lab, {"10.1.0.0/16": {LEFT}, "10.2.0.0/16": {LEFT}, "10.3.0.0/16": {RIGHT}})
        lab.gobgp("host", f"neighbor del {address('right', 'ipv4-unicast', 2)}")
        until(lab, {"10.1.0.0/16": {LEFT}, "10.2.0.0/16": {LEFT}})
        started = time.monotonic()
        withdraw(lab, "left", "10.2.0.0/16")
        until(lab, {"10.1.0.0/16": {LEFT}})
        assert time.monotonic() - started < 1.5, "it is still waited for gobgpd to end"
    finally:
        lab.remove()
