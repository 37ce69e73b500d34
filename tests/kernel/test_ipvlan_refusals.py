"""ipvlan links that the kernel would silently change, or refuse half way: refused in advance, with the reason."""

from __future__ import annotations

import sys

import pytest
from ipvlan_host import CONFIG, Host, link


@pytest.fixture
def interpreter():
    return sys.executable, None  # the plan is the same with any pyroute2


@pytest.fixture
def host(namespace):
    return Host(namespace)


def test_all_mistakes_are_reported_together_each_with_its_reason(host):
    host.ip("link add fabric-bridge type bridge")
    host.ip("link add port type dummy")
    host.ip("link set port master fabric-bridge")
    host.ip("link add other type dummy")
    host.ip("link add link other name mac0 type macvlan")
    host.ip("link add public type vrf table 90")
    host.ip("link add inside type dummy")
    host.ip("link set inside master public")
    host.ip("link add link fabric-right name slave type ipvlan mode l2")
    host.ip("address add 10.10.1.7/24 dev fabric-left")
    config = [
        link("c1", "10.10.1.2/24"),
        link("c2", "10.10.1.3/24", mode="l3"),
        link("c3", "10.10.1.4/24", flag="private"),
        link("c4", "10.10.1.5/24", mtu=1501),
        link("c5", "10.10.1.7/32"),
        link("c6", "10.10.1.2/32"),
        link("c7", "10.0.0.7/32", master="lo"),
        link("c7", "10.0.0.8/32", master="port", name="eth1"),
        link("c7", "10.0.0.9/32", master="other", name="eth2"),
        link("c7", "10.0.0.10/32", master="slave", name="eth3"),
        link("c7", "10.0.0.11/32", master="public", name="eth4"),
        link("c7", "10.0.0.12/32", master="fabric-lft", name="eth5"),
        link("c7", "10.0.0.13/32", master="inside", mode="l3s", name="eth6"),
        {**link(None, "10.0.0.14/32", name="eth7"), "namespace": None},
        {**link(None, "10.0.0.15/32", name="fabric-right")},
        {**link("c7", "10.0.0.16/32", name="eth8"), "routes": [{"prefix": "10.5.0.0/16"}]},
        {**link("c7", "10.0.0.17/32", name="eth9"), "routes": [{"prefix": "10.5.0.0/16"}]},
    ]
    del config[13]["mode"], config[13]["namespace"]
    assert host.mistakes(config) == [
        "ipvlan_links[3].mtu: 1501 is above the MTU of fabric-left, 1500: larger packets would be lost",
        "ipvlan_links[4].addresses[0]: 10.10.1.7 is an address of its master fabric-left",
        "ipvlan_links[6].master: lo cannot be the master of ipvlan links",
        "ipvlan_links[7].master: port is a port of bridge fabric-bridge and cannot have ipvlan links",
        "ipvlan_links[8].master: other cannot be the master of ipvlan links: it is the master of mac0, a macvlan link",
        "ipvlan_links[9].master: slave is an ipvlan link itself; the kernel would use its master instead",
        "ipvlan_links[10].master: public is a VRF; use an interface in it",
        "ipvlan_links[11].master: there is no interface fabric-lft, and none is configured; did you mean fabric-left?",
        "ipvlan_links[12].mode: l3s loses all traffic when its master is in a VRF (inside is in public); use l3 or l2",
        "ipvlan_links[13]: mode is missing (eth7 does not exist yet)",
        "ipvlan_links[14].name: fabric-right exists and is a veth, not an ipvlan link on a master of this host",
        "ipvlan_links[1].mode: l3, but l2 for eth0 in c1 (ipvlan_links[0]): all links on fabric-left share one mode",
        "ipvlan_links[2].flag: private, but bridge for eth0 in c1 (ipvlan_links[0]): all links on fabric-left share "
        "one flag",
        "ipvlan_links[5].addresses[0]: 10.10.1.2 is also an address of eth0 in c1 (ipvlan_links[0]), on the same "
        "master",
        "ipvlan_links[16].routes[0]: 10.5.0.0/16 is also a route through eth8 in c7 (ipvlan_links[15]), in the same "
        "namespace",
    ]


def test_changing_links_that_are_not_given_is_refused_unless_forced(host):
    host.changed([link("c1", "10.10.1.2/24")])
    [mode, flag, address] = host.mistakes([link("c2", "10.10.1.2/32", mode="l3", flag="vepa")])
    assert mode == (
        "ipvlan_links[0].mode: l3 would change mode l2 of eth0 in c1 on the same master; set force: true to allow this"
    )
    assert flag.startswith("ipvlan_links[0].flag: vepa would change flag bridge of eth0 in c1")
    assert address == "ipvlan_links[0].addresses[0]: 10.10.1.2 is also an address of eth0 in c1, on the same master"
    assert host.changed([link("c2", "10.10.1.3/24", mode="l3", flag="vepa", force=True)]) == [("create", "eth0 in c2")]
    assert host.link("c1")["linkinfo"]["info_data"] == {"mode": "l3", "vepa": True}
    # links that are deleted or given themselves do not count
    assert host.changed([link("c3", "10.10.1.2/24")], state="overridden") == [
        ("create", "eth0 in c3"),
        ("delete", "eth0 in c1"),
        ("delete", "eth0 in c2"),
    ]
    assert host.link("c3")["linkinfo"]["info_data"] == {"mode": "l2", "bridge": True}


def test_a_missing_namespace_is_refused_and_the_closest_name_suggested(host):
    container = host.container("c1").name
    entry = link(None, "10.10.1.2/24")
    result = host.space.module(
        "ipvlan_links",
        config=[
            {**entry, "namespace": f"{container}x"},
            {**entry, "namespace": "/proc/self/ns/mnt"},
            {**entry, "pid": 4194303},
            {**entry, "namespace": "/proc/thread-self/ns/net", "name": "host-side"},
        ],
    )
    assert result["mistakes"][:3] == [
        f"ipvlan_links[0].namespace: there is no namespace {container}x, and none is configured; did you mean "
        f"{container}?",
        "ipvlan_links[1].namespace: /proc/self/ns/mnt is not a network namespace",
        "ipvlan_links[2].pid: there is no process 4194303",
    ]


def test_a_namespace_that_the_same_call_deletes_is_refused(host):
    name = f"{host.space.name}-ours"
    host.space.changed("namespaces", config=[{"name": name}])
    config = {"namespaces": [], "ipvlan_links": [{**CONFIG[0], "namespace": name}]}
    result = host.space.module("network", config=config, state="overridden")
    assert result["mistakes"] == [f"ipvlan_links[0].namespace: namespace {name} will be deleted"]


def test_an_mtu_above_the_masters_future_mtu_is_refused(host):
    host.container("c1")
    config = {"interfaces": [{"name": "fabric-left", "mtu": 1300}], "ipvlan_links": host.full(CONFIG[:1])}
    result = host.space.module("network", config=config)
    [mistake] = result["mistakes"]
    assert mistake.startswith("ipvlan_links[0].mtu: 1400 is above the MTU of fabric-left, 1300")


def test_a_name_taken_by_a_link_of_another_kind_is_refused(host):
    host.container("c1").ip("link add eth0 type dummy")
    [mistake] = host.mistakes(CONFIG[:1])
    expected = "eth0 in c1 exists and is not an ipvlan link on a master of this host"
    assert mistake == f"ipvlan_links[0].name: {expected}"


def test_a_route_that_exists_and_is_not_ours_is_refused(host):
    host.container("c1").ip("link add d0 type dummy")
    host.container("c1").ip("link set d0 up")
    host.container("c1").ip("route replace default dev d0 proto static")
    [mistake] = host.mistakes(CONFIG[:1])
    assert mistake == (
        "ipvlan_links[0].routes: route 0.0.0.0/0 exists in c1 but is not ours (protocol static); delete it there "
        "first, or leave this one out"
    )


def test_after_a_failure_completed_and_outstanding_changes_are_reported(host):
    # 10.10.1.255 is the broadcast address of the link; the plan does not check for that
    config = [
        link("c1", "10.10.1.2/24"),
        link("c2", "10.10.1.3/24", routes=[{"prefix": "10.5.0.0/16", "gateway": "10.10.1.255"}]),
        link("c3", "10.10.1.4/24", routes=[{"prefix": "10.5.0.0/16", "gateway": "10.10.1.1"}]),
    ]
    result = host.space.module("ipvlan_links", config=host.full(config))
    assert result["failed"]
    text = f"cannot add route 10.5.0.0/16 through eth0 in {host.container('c2').name} via 10.10.1.255: "
    assert result["msg"].startswith(f"ipvlan_links[1]: {text}")
    assert [change["name"] for change in result["done"]] == [f"eth0 in {host.container(c).name}" for c in ("c1", "c3")]
    assert [change["name"] for change in result["not_done"]] == [f"eth0 in {host.container('c2').name}"]
    del config[1]["routes"]
    assert host.changed(config) == []
