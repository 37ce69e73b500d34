"""Neighbours that go, or know no graceful restart, and a gobgpd that stays away: each with a lab of its own."""

from __future__ import annotations

import sys
import time

import pytest
from routing_steps import LEFT, RIGHT, add, until_routes, withdraw
from support import plain_speaker
from support.routing_lab import ROUTER_AS, ROUTERS, SUBNET4, RoutingLab, address
from support.waiting import stays, until

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.gobgpd import END_S


def test_without_gobgpd_routes_go_after_the_time_that_was_set(lab_image, tmp_path):
    lab = RoutingLab(lab_image, tmp_path, stale_s=2)
    try:
        lab.build()
        lab.ip("host", "route add 10.9.0.0/16 via 192.168.1.2 proto 83 metric 4096")
        lab.kill_gobgpd("host")
        started = time.monotonic()
        lab.start_manager()
        until_routes(lab, {"10.9.0.0/16": {LEFT}})
        until_routes(lab, {})
        assert time.monotonic() - started >= 2
        lab.configure("host", 64512, [(address("left", "ipv4-unicast", 2), ROUTER_AS, "ipv4-unicast")])
        lab.start_gobgpd("host")
        lab.connected(1)
        add(lab, "left", "10.1.0.0/16")
        until_routes(lab, {"10.1.0.0/16": {LEFT}})
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
        with heard.open("wb") as file:
            started.append(
                lab.spaces["left"].start(sys.executable, plain_speaker.__file__, listen, ROUTER_AS, stdout=file)
            )

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
    until(lambda: lab.is_configured("host"))
    add(lab, "host", "10.20.0.0/16")
    start()
    lab.connected(1)
    stays(lambda: heard() == [], 6, "nothing heard")  # GoBGP's deferral is 5 s


@pytest.mark.parametrize("late", [False, True], ids=["together", "late"])
def test_a_neighbour_without_graceful_restart_is_told_all(plain_neighbour, late):
    lab, start, heard = plain_neighbour
    lab.ip("host", f"route add unreachable {SUBNET4} proto 82")
    lab.start_manager()
    if late:
        lab.in_step()  # the time that was set has passed: the manager takes the RIB for complete
    start()
    until(lambda: set(heard()) == {SUBNET4})  # it may be told again


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
        until_routes(lab, {"10.1.0.0/16": {LEFT}, "10.2.0.0/16": {LEFT}, "10.3.0.0/16": {RIGHT}})
        lab.gobgp("host", f"neighbor del {address('right', 'ipv4-unicast', 2)}")
        until_routes(lab, {"10.1.0.0/16": {LEFT}, "10.2.0.0/16": {LEFT}})
        started = time.monotonic()
        withdraw(lab, "left", "10.2.0.0/16")
        until_routes(lab, {"10.1.0.0/16": {LEFT}})
        assert time.monotonic() - started < END_S, "it is still waited for gobgpd to end"
    finally:
        lab.remove()
