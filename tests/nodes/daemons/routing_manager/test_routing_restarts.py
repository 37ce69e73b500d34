"""The routing manager and gobgpd are restarted, run once, or get another configuration, and nothing is lost."""

from __future__ import annotations

import json
import signal

import pytest
from routing_steps import LEFT, add, until_routes, withdraw
from support.routing_lab import SUBNET4, many
from support.waiting import until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_manager_loses_nothing(lab, number):
    lab.ip("left", "addr add 10.1.0.1/16 dev lo")
    add(lab, "left", "10.1.0.0/16")
    add(lab, "left", "10.3.0.0/16")
    add(lab, "left", "10.4.0.0/16")
    space = lab.container("10.20.1.5/24")
    until_routes(lab, {"10.1.0.0/16": {LEFT}, "10.3.0.0/16": {LEFT}, "10.4.0.0/16": {LEFT}})
    until(lambda: "10.20.1.5/32" in lab.rib("left"))
    with lab.pings("10.1.0.1") as result:
        lab.end_manager(number)
        withdraw(lab, "left", "10.3.0.0/16")
        add(lab, "left", "10.4.0.0/16", "nexthop", "192.168.1.77")
        space.remove()
        lab.container("10.20.1.6/24")
        assert "10.20.1.5/32" in lab.rib("left")
        lab.start_manager()
        until_routes(lab, {"10.1.0.0/16": {LEFT}, "10.4.0.0/16": {"via 192.168.1.77 dev to-left"}})
        until(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.4.0.0/16", "10.20.1.6/32"})
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
    until_routes(lab, {"10.1.0.0/16": {LEFT}, "10.3.0.0/16": {LEFT}})
    until(lambda: "10.20.1.5/32" in lab.rib("left"))
    since = len(lab.log.read_text())
    with lab.pings("10.1.0.1") as result:
        lab.kill_gobgpd("host", number)
        until(lambda: lab.logged("its learned routes (2) are kept", since))
        withdraw(lab, "left", "10.3.0.0/16")
        lab.start_gobgpd("host")
        if number == signal.SIGKILL:  # without a word to its neighbours: they keep what it announced
            until(lambda: kept(lab, "10.20.1.5/32") and lab.logged("in step, learned routes: 1", since), 60)
        until(lambda: lab.logged("in step, learned routes: 1", since), 60)
        assert lab.routes() == {"10.1.0.0/16": {LEFT}}
        until(lambda: "10.20.1.5/32" in lab.rib("left"))
    lab.ip("left", "addr del 10.1.0.1/16 dev lo")
    print(f"{number.name} of gobgpd: {result[0]} pings, {result[0] - result[1]} lost")
    assert result[0] == result[1] > 100


def test_a_restart_of_both_at_once_loses_nothing(lab):
    lab.ip("left", "addr add 10.1.0.1/16 dev lo")
    for prefix in ("10.1.0.0/16", "10.3.0.0/16"):
        add(lab, "left", prefix)
    until_routes(lab, {"10.1.0.0/16": {LEFT}, "10.3.0.0/16": {LEFT}})
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
    until(lambda: len(lab.routes()) == 5000, 30)
    since = len(lab.log.read_text())
    lab.kill_gobgpd("host", signal.SIGTERM)
    until(lambda: lab.logged("its learned routes (5000) are kept", since))
    assert len(lab.routes()) == 5000
    lab.start_gobgpd("host")
    until(lambda: lab.logged("in step, learned routes: 5000", since), 60)
    assert len(lab.routes()) == 5000


def test_once_and_dry_run(lab):
    lab.end_manager()
    add(lab, "left", "10.1.0.0/16")
    lab.ip("host", "route add 10.9.0.0/16 via 192.168.1.2 proto 83 metric 4096")
    lab.ip("host", f"route add unreachable {SUBNET4} proto 82")
    until(lambda: "10.1.0.0/16" in lab.rib("host"))
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
    until_routes(lab, {"10.1.0.0/16": {LEFT}})
    until(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.20.1.5/32"})
    lab.write_config(networks=[{"name": "other", "prefixes": ["10.30.1.0/24"], "interface": None}])
    lab.manager.send_signal(signal.SIGHUP)
    until(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.30.1.5/32"})
    lab.write_config(families=["ipv5"], vfr="x")
    since = len(lab.log.read_text())
    lab.manager.send_signal(signal.SIGHUP)
    until(lambda: lab.logged("the old one stays in effect", since))
    assert lab.logged('instances[0].families[0]: "ipv5" is neither ipv4 nor ipv6', since)
    assert lab.manager.poll() is None
    bad = lab.manage("run")
    assert bad.returncode == 2
    assert "instances[0].vfr: unknown" in bad.stderr
    lab.write_config()
    lab.manager.send_signal(signal.SIGHUP)
    until(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.20.1.5/32"})
    assert lab.routes() == {"10.1.0.0/16": {LEFT}}
