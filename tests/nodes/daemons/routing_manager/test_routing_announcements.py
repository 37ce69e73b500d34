"""What the routing manager announces by way of a real gobgpd, and what of others it leaves alone."""

from __future__ import annotations

import signal
import time

import pytest
from routing_steps import until_routes
from support.routing_lab import SUBNET4
from support.waiting import stays, until, until_equal


def test_subnets_of_ours_are_announced_and_nothing_else(lab):
    lab.ip("host", f"route add unreachable {SUBNET4} proto 82")
    lab.ip("host", "route add 10.10.1.128/25 dev to-left proto 82")
    lab.ip("host", "-6 route add 2001:db8:10:1::/64 dev to-left proto 82")
    lab.ip("host", "route add 10.10.1.7/32 dev to-left proto static")
    lab.ip("host", "route add 10.11.0.0/24 dev to-left proto 82")
    until(lambda: len(lab.rib("left")) == 2 and lab.rib("left", "ipv6"))
    assert lab.rib("left") == {SUBNET4: ["192.168.1.1"], "10.10.1.128/25": ["192.168.1.1"]}
    until_equal(lambda: lab.rib("right"), {SUBNET4: ["192.168.2.1"], "10.10.1.128/25": ["192.168.2.1"]})
    assert lab.rib("left", "ipv6") == {"2001:db8:10:1::/64": ["2001:db8:1::1"]}
    assert not lab.routes(), "our own announcements came back as routes"
    for route in ("10.10.1.128/25", SUBNET4, "10.10.1.7/32", "10.11.0.0/24"):
        lab.ip("host", f"route del {route}")
    lab.ip("host", "-6 route del 2001:db8:10:1::/64")
    until(lambda: not lab.rib("left") and not lab.rib("left", "ipv6"))


def test_a_container_is_announced_while_it_is_up(lab):
    space = lab.container("10.20.1.5/24", "2001:db8:20:1::5/64", "10.99.9.9/24")
    started = time.monotonic()
    until(lambda: lab.rib("left") == {"10.20.1.5/32": ["192.168.1.1"]}, pause=0)
    print(f"container up to route at the neighbour: {time.monotonic() - started:.2f} s, with a look every 30 ms")
    until(lambda: lab.rib("left", "ipv6") == {"2001:db8:20:1::5/128": ["2001:db8:1::1"]})
    space.ip("address add 10.20.1.6/24 dev eth0")
    until(lambda: set(lab.rib("left")) == {"10.20.1.5/32", "10.20.1.6/32"})
    space.ip("link set eth0 down")
    until(lambda: not lab.rib("left") and not lab.rib("left", "ipv6"))
    space.ip("link set eth0 up")
    until(lambda: set(lab.rib("left")) == {"10.20.1.5/32", "10.20.1.6/32"})
    space.ip("address del 10.20.1.6/24 dev eth0")
    until(lambda: set(lab.rib("left")) == {"10.20.1.5/32"})


@pytest.mark.parametrize("end", ["link", "netns", "unmounted with its process"])
def test_a_container_that_is_gone_is_withdrawn(lab, end):
    space = lab.container("10.20.1.8/24")
    process = space.start("sleep", "60")
    until(lambda: "10.20.1.8/32" in lab.rib("left"))
    if end == "link":
        space.ip("link del eth0")
    elif end == "netns":
        process.kill()
        process.wait()
        space.remove()
    else:  # the namespace lives on for a moment, as with a runtime that first unmounts
        space.remove()
    until(lambda: not lab.rib("left"))
    process.kill()
    process.wait()


def test_containers_that_follow_one_another_at_once_are_not_confused(lab):
    space = lab.bare_container()
    for number in range(10):
        space.remove()
        space.made(space.name).batch(
            f"link add eth0 type veth peer name peer\naddress add 10.20.1.{number + 1}/24 dev eth0\nlink set eth0 up\n"
        )
    until(lambda: set(lab.rib("left")) == {"10.20.1.10/32"})
    stays(lambda: set(lab.rib("left")) == {"10.20.1.10/32"}, 0.3, "the last one alone")


def test_an_address_on_lo_does_not_count_and_one_in_two_containers_counts_once(lab):
    first, second = lab.container("10.20.1.9/24"), lab.container("10.20.1.9/24")
    first.ip("address add 10.20.1.10/32 dev lo")
    first.ip("link set lo up")
    until(lambda: "10.20.1.9/32" in lab.rib("left"))
    until(lambda: lab.logged(f"10.20.1.9 is in /run/netns/{min(first.name, second.name)} and in"))
    first.remove()
    stays(lambda: set(lab.rib("left")) == {"10.20.1.9/32"}, 0.3, "the address of the other")


@pytest.mark.parametrize("is_first", [False, True])
def test_an_address_that_another_host_announces_too_is_reported(lab, is_first):
    """GoBGP does not say what has changed if its own path stays the best, or becomes it."""
    since = len(lab.log.read_text())
    if is_first:
        lab.gobgp("left", "global rib add 10.20.1.5/32")
        until(lambda: lab.routes() == {"10.20.1.5": {"via 192.168.1.2 dev to-left"}})
    space = lab.container("10.20.1.5/24")
    until(lambda: "192.168.1.1" in lab.rib("left").get("10.20.1.5/32", []))
    if not is_first:
        lab.gobgp("left", "global rib add 10.20.1.5/32")
    line = f"10.20.1.5 is in /run/netns/{space.name}, and announced by 192.168.1.2, too"
    until(lambda: lab.logged(line, since))
    assert line in lab.report()["out_of_step"]
    lab.gobgp("left", "global rib del 10.20.1.5/32")
    until(lambda: not lab.report()["out_of_step"])


def test_the_host_has_a_route_to_each_container_of_a_network_with_an_interface(lab):
    lab.container("10.20.2.5/24", "2001:db8:20:2::5/64")
    until(lambda: "10.20.2.5/32" in lab.rib("left"))
    assert not lab.routes(84)
    assert "kernel: container 10.20.2.5/32: interface host-app is missing" in lab.report()["out_of_step"]
    lab.ip("host", "link add host-app type veth peer name other")
    lab.ip("host", "link set host-app up")
    until_routes(lab, {"10.20.2.5": {"dev host-app"}, "2001:db8:20:2::5": {"dev host-app"}}, 84)
    lab.ip("host", "route del 10.20.2.5")
    until_routes(lab, {"10.20.2.5": {"dev host-app"}, "2001:db8:20:2::5": {"dev host-app"}}, 84)
    lab.containers.pop().remove()
    until_routes(lab, {}, 84)
    lab.ip("host", "link del host-app")


def test_an_announcement_of_the_administrator_stays(lab):
    lab.gobgp("host", "global rib add 10.20.1.5/32 community 64512:7")
    lab.gobgp("host", "global rib add 10.66.0.0/16")
    lab.container("10.20.1.5/24")
    until(lambda: len(lab.rib("host").get("10.20.1.5/32", [])) == 2)
    lab.containers.pop().remove()
    until(lambda: len(lab.rib("host")["10.20.1.5/32"]) == 1)
    until(lambda: "10.66.0.0/16" in lab.rib("left"))
    assert set(lab.rib("left")) == {"10.20.1.5/32", "10.66.0.0/16"}
    lab.end_manager(signal.SIGKILL)
    lab.start_manager()
    lab.in_step()
    assert set(lab.rib("left")) == {"10.20.1.5/32", "10.66.0.0/16"}
    lab.gobgp("host", "global rib del all")
