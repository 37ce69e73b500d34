"""What the routing manager installs of what a real gobgpd has learned, and what of others it leaves alone."""

from __future__ import annotations

import json
import signal

import pytest
from routing_steps import LEFT, LEFT6, RIGHT, RIGHT6, add, until_routes, withdraw
from support.routing_lab import address
from support.waiting import until


def test_routes_come_change_and_go(lab):
    add(lab, "left", "10.1.0.0/16")
    add(lab, "left", "2001:db8:aa::/48")
    until_routes(lab, {"10.1.0.0/16": {LEFT}, "2001:db8:aa::/48": {LEFT6}})
    said = lab.directory / "monitor"
    with said.open("wb") as file:
        monitor = lab.spaces["host"].start("ip", "monitor", "route", stdout=file)
    until(lambda: lab.spaces["host"].listens(monitor.pid), what="a monitor that listens")
    add(lab, "left", "10.1.0.0/16", "nexthop", "192.168.1.77")
    until_routes(lab, {"10.1.0.0/16": {"via 192.168.1.77 dev to-left"}, "2001:db8:aa::/48": {LEFT6}})
    until(lambda: "192.168.1.77" in said.read_text(), what="the change of the route in the monitor")
    monitor.terminate()
    monitor.wait()
    seen = said.read_text()
    assert "10.1.0.0/16" in seen and "Deleted 10.1.0.0/16" not in seen, seen
    withdraw(lab, "left", "10.1.0.0/16")
    withdraw(lab, "left", "2001:db8:aa::/48")
    until_routes(lab, {})


@pytest.mark.parametrize(
    ("prefix", "left", "right"), [("10.2.0.0/16", LEFT, RIGHT), ("2001:db8:bb::/48", LEFT6, RIGHT6)]
)
def test_two_ways_share_the_load(lab, prefix, left, right):
    add(lab, "left", prefix)
    add(lab, "right", prefix)
    until_routes(lab, {prefix: {left, right}})
    withdraw(lab, "left", prefix)
    until_routes(lab, {prefix: {right}})
    add(lab, "left", prefix)
    until_routes(lab, {prefix: {left, right}})
    lab.ip("right", "link set to-host down")  # no carrier at the host; BGP will notice much later
    until_routes(lab, {prefix: {left}})
    lab.ip("right", "link set to-host up")
    lab.ip("right", f"addr replace {address('right', 'ipv6-unicast', 2)}/64 dev to-host nodad")
    until_routes(lab, {prefix: {left, right}})


def test_a_worse_path_shares_nothing(lab):
    add(lab, "left", "10.2.0.0/16")
    add(lab, "right", "10.2.0.0/16", "med", "50")
    until_routes(lab, {"10.2.0.0/16": {LEFT}})
    assert lab.report()["out_of_step"] == []
    withdraw(lab, "left", "10.2.0.0/16")
    until_routes(lab, {"10.2.0.0/16": {RIGHT}})


def test_a_next_hop_behind_a_router_is_followed(lab):
    add(lab, "left", "10.5.0.0/16", "nexthop", "10.77.0.1")
    add(lab, "left", "10.77.0.0/16")  # learned by BGP: no way to a next hop
    until_routes(lab, {"10.77.0.0/16": {LEFT}})
    [wrong] = lab.report()["out_of_step"]
    assert "10.5.0.0/16 is not installed: next hop 10.77.0.1: no route to it" in wrong
    lab.ip("host", "route add 10.77.0.0/24 via 192.168.1.2")
    until_routes(lab, {"10.77.0.0/16": {LEFT}, "10.5.0.0/16": {LEFT}})
    lab.ip("host", "route replace 10.77.0.0/24 via 192.168.2.2")
    until_routes(lab, {"10.77.0.0/16": {LEFT}, "10.5.0.0/16": {RIGHT}})
    lab.ip("host", "route del 10.77.0.0/24")
    until_routes(lab, {"10.77.0.0/16": {LEFT}})


def test_a_route_of_the_administrator_stays(lab):
    lab.ip("host", "route add 10.6.0.0/16 via 192.168.2.2")
    lab.ip("host", "route add 10.7.0.0/16 via 192.168.2.2 metric 4096")
    lab.ip("host", "-6 route add 2001:db8:cc::/48 via 2001:db8:2::2 metric 4096")
    for prefix in ("10.6.0.0/16", "10.7.0.0/16", "2001:db8:cc::/48"):
        add(lab, "left", prefix)
    until(lambda: "10.7.0.0/16" in lab.rib("host") and "2001:db8:cc::/48" in lab.rib("host", "ipv6"))
    until_routes(lab, {"10.6.0.0/16": {LEFT}})
    report = lab.report()
    assert report["beside"] == ["10.6.0.0/16: someone else's route of protocol 3, metric 0, is beside ours"]
    assert "kernel: 10.7.0.0/16: a route of protocol 3 has its key (metric 4096)" in report["out_of_step"]
    assert "kernel: 2001:db8:cc::/48: a route of protocol 3 has its key (metric 4096)" in report["out_of_step"]
    lab.end_manager(signal.SIGKILL)
    lab.start_manager()
    lab.in_step()
    for prefix in ("10.6.0.0/16", "10.7.0.0/16", "2001:db8:cc::/48"):
        withdraw(lab, "left", prefix)
    until_routes(lab, {})
    for family, prefix in (("-4", "10.6.0.0/16"), ("-4", "10.7.0.0/16"), ("-6", "2001:db8:cc::/48")):
        found = json.loads(lab.ip("host", f"-json {family} route show {prefix}"))
        assert [route["dev"] for route in found] == ["to-right"]
        lab.ip("host", f"{family} route del {prefix}")


def test_a_route_that_someone_removed_or_changed_is_put_right(lab):
    add(lab, "left", "10.8.0.0/16")
    until_routes(lab, {"10.8.0.0/16": {LEFT}})
    lab.ip("host", "route del 10.8.0.0/16")
    until_routes(lab, {"10.8.0.0/16": {LEFT}})
    lab.ip("host", "route replace 10.8.0.0/16 via 192.168.2.2 metric 4096 proto 83")
    until_routes(lab, {"10.8.0.0/16": {LEFT}})
    lab.ip("host", "link set to-left down")
    until_routes(lab, {})
    lab.ip("host", "link set to-left up")
    lab.ip("host", f"addr replace {address('left', 'ipv6-unicast', 1)}/64 dev to-left nodad")
    until_routes(lab, {"10.8.0.0/16": {LEFT}})
