"""The routing manager in a VRF, with ipvlan containers: gobgpd of the VRF, two uplinks, a host-side slave."""

from __future__ import annotations

import subprocess

import pytest
from support.routing_lab import ROUTERS, RoutingLab
from support.waiting import until

TABLE = 90
CONTAINER = ("10.20.2.5", "2001:db8:20:2::5")


@pytest.fixture
def lab(lab_image, tmp_path):
    lab = RoutingLab(lab_image, tmp_path, vrf="public")
    try:
        lab.make_namespaces()
        try:
            lab.ip("host", f"link add public type vrf table {TABLE}")
        except subprocess.CalledProcessError:
            pytest.skip("this kernel has no VRF: run in the lab kernel (bin/lab-kernel)")
        lab.ip("host", "link set public up")
        for family in ("-4", "-6"):
            lab.ip("host", f"{family} route add unreachable default metric 4278198272 table {TABLE}")
        lab.build()
        # containers are slaves of a dummy; the host reaches them through a slave of its own
        lab.ip("host", "link add containers type dummy")
        lab.ip("host", "link set containers master public up")
        lab.ip("host", "link add host-app link containers type ipvlan mode l2 bridge")
        lab.ip("host", "link set host-app master public up")
        lab.store(table=TABLE, vrf="public")
        lab.start_manager()
        lab.connected()
        lab.in_step()
        yield lab
    finally:
        lab.remove()


def routes(lab, family, protocol):
    return [
        " ".join(line.split())
        for line in lab.ip("host", f"-{family} -oneline route show table {TABLE} proto {protocol}").splitlines()
    ]


def test_a_container_in_a_vrf_is_reached_over_two_uplinks(lab):
    for router in ROUTERS:
        lab.gobgp(router, "global rib add 10.1.0.0/16")
        lab.gobgp(router, "global rib -a ipv6 add 2001:db8:aa::/48")
        lab.ip(router, "addr add 10.1.0.1/32 dev lo")
        lab.ip(router, "addr add 2001:db8:aa::1/128 dev lo nodad")
    until(lambda: len(routes(lab, 4, 83)) == 1 and routes(lab, 4, 83)[0].count("nexthop") == 2, 20)
    until(lambda: len(routes(lab, 6, 83)) == 1 and routes(lab, 6, 83)[0].count("nexthop") == 2, 20)
    assert not lab.routes(), "the main table has none of them"
    space = lab.bare_container()
    lab.ip("host", f"link add eth0 netns {space.name} link containers type ipvlan mode l2 bridge")
    space.ip(f"address add {CONTAINER[0]}/24 dev eth0")
    space.ip(f"address add {CONTAINER[1]}/64 dev eth0 nodad")
    space.ip("link set eth0 up")
    until(lambda: routes(lab, 4, 84) == ["10.20.2.5 dev host-app scope link metric 32"], 20)
    until(
        lambda: [line.split(" pref")[0] for line in routes(lab, 6, 84)] == ["2001:db8:20:2::5 dev host-app metric 32"],
        20,
    )
    for number, router in enumerate(ROUTERS, 1):
        until(lambda router=router: "10.20.2.5/32" in lab.rib(router), 20)
        until(lambda router=router: "2001:db8:20:2::5/128" in lab.rib(router, "ipv6"), 20)
        assert lab.rib(router)["10.20.2.5/32"] == [f"192.168.{number}.1"]
        assert lab.rib(router, "ipv6")["2001:db8:20:2::5/128"] == [f"2001:db8:{number}::1"]
    assert lab.status()["differences"] == []
    space.ip("link del eth0")
    for router in ROUTERS:
        until(lambda router=router: "10.20.2.5/32" not in lab.rib(router), 20)
    until(lambda: not routes(lab, 4, 84) and not routes(lab, 6, 84), 20)
