"""The routing manager and gobgpd are restarted, run once, or get another configuration, and nothing is lost."""

from __future__ import annotations

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


def test_status_shows_what_a_manager_that_does_not_run_has_not_done(lab):
    lab.end_manager()
    add(lab, "left", "10.1.0.0/16")
    lab.ip("host", "route add 10.9.0.0/16 via 192.168.1.2 proto 83 metric 4096")
    lab.ip("host", f"route add unreachable {SUBNET4} proto 82")
    until(lambda: "10.1.0.0/16" in lab.rib("host"))
    status = lab.status()
    assert set(status["routing"][0]["out_of_step"]) == {
        "kernel: to be removed: removed route 10.9.0.0/16 via 192.168.1.2 dev to-left",
        "kernel: missing or different: route 10.1.0.0/16 via 192.168.1.2 dev to-left",
        f"GoBGP: does not announce {SUBNET4}",
    }
    assert status["differences"] == [f"main: {line}" for line in status["routing"][0]["out_of_step"]]
    assert status["problems"] == ["GoBGP and the kernel are not kept in step: routed-hypervisor-run is not running"]
    assert lab.routes() == {"10.9.0.0/16": {LEFT}}
    lab.start_manager()
    lab.in_step()
    until_routes(lab, {"10.1.0.0/16": {LEFT}})
    until(lambda: SUBNET4 in lab.rib("left"))
    status = lab.status()
    assert status["problems"] == status["differences"] == []
    assert status["routing"][0]["announced"] == [SUBNET4]
    lab.ip("host", f"route del {SUBNET4}")
    until(lambda: SUBNET4 not in lab.rib("left"))


def test_new_settings_are_read_without_a_restart(lab):
    add(lab, "left", "10.1.0.0/16")
    lab.container("10.20.1.5/24", "10.30.1.5/24")
    until_routes(lab, {"10.1.0.0/16": {LEFT}})
    until(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.20.1.5/32"})
    lab.store(networks=[{"name": "other", "prefixes": ["10.30.1.0/24"], "interface": None}])
    until(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.30.1.5/32"})
    since = len(lab.log.read_text())
    lab.store(families=["ipv5"])
    until(lambda: lab.logged("the one before stays in effect", since))
    assert lab.manager.poll() is None
    lab.store()
    until(lambda: set(lab.rib("left")) == {"10.1.0.0/16", "10.20.1.5/32"})
    assert lab.routes() == {"10.1.0.0/16": {LEFT}}


def test_nothing_is_left_of_a_gobgp_that_is_not_wanted_any_more(lab):
    add(lab, "left", "10.1.0.0/16")
    until_routes(lab, {"10.1.0.0/16": {LEFT}})
    lab.ip("host", "route add 192.168.1.0/24 dev to-left table 99")
    lab.store(table=99)
    until(lambda: not lab.routes() and "10.1.0.0/16" in lab.ip("host", "route show table 99 proto 83"))
    lab.store_settings({})
    until(lambda: not lab.ip("host", "route show table all proto 83"))
    lab.ip("host", "route flush table 99")
