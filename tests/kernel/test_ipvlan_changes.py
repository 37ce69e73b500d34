"""ipvlan links: changed, damaged, repaired, removed; theirs and ours; namespaces given in every way."""

from __future__ import annotations

import copy
import itertools
import os
import subprocess
import sys

import pytest
from ipvlan_host import ALL, CONFIG, FLAGS, MODES, Host, link
from support.waiting import until


@pytest.fixture
def interpreter():
    return sys.executable, None  # the plan is the same with any pyroute2


@pytest.fixture
def host(namespace):
    return Host(namespace)


# a command of ip in a namespace, and the change that the next run reports
DRIFTS = {
    "a link is down": ("c1", "link set eth0 down", "change", "eth0 in c1"),
    "a link is up": ("c3", "link set eth1 up", "change", "eth1 in c3"),
    "a link is deleted": ("c1", "link delete eth0", "create", "eth0 in c1"),
    "an address is removed": ("c2", "address delete 2001:db8::2/64 dev eth0", "change", "eth0 in c2"),
    "the last IPv4 address is removed, with its routes": (
        "c1",
        "address flush dev eth0",
        "change",
        "eth0 in c1",
    ),
    "a route is removed": ("c3", "-6 route delete default", "change", "eth0 in c3"),
    "a gateway is changed": (
        "c1",
        "route replace default via 10.10.1.9 dev eth0 proto 82",
        "change",
        "eth0 in c1",
    ),
    "an MTU is changed": ("c1", "link set eth0 mtu 1300", "change", "eth0 in c1"),
    "an address on the host is removed": (None, "address delete 10.10.1.1/24 dev host-left", "change", "host-left"),
    "a stray link of ours": (
        None,
        "link add link fabric-left name stray group 0x52480000 type ipvlan mode l2",
        "delete",
        "stray",
    ),
}


def test_every_mode_and_flag_can_be_changed_in_place(host):
    index = None
    for mode, flag in itertools.product(MODES, FLAGS):
        changes = host.changed([link("c1", "10.10.1.2/24", mode=mode, flag=flag)], state="overridden")
        assert changes == [("change" if index else "create", "eth0 in c1")]
        eth0 = host.link("c1")
        assert eth0["linkinfo"]["info_data"] == {"mode": mode, flag: True}
        assert eth0["ifindex"] == (index or eth0["ifindex"])
        index = eth0["ifindex"]


def test_a_drift_is_reported_exactly_and_repaired_exactly(host, subtests):
    host.changed(CONFIG)
    for drift, (place, command, op, name) in DRIFTS.items():
        with subtests.test(drift):
            host.place(place).ip(command)
            in_check_mode = host.changed(CONFIG, state="overridden", _check=True)
            assert host.changed(CONFIG, state="overridden") == in_check_mode == [(op, name)]
    with subtests.test("a new MTU of a master spreads to its links"):
        host.ip("link set fabric-left mtu 1450")
        assert host.changed(CONFIG, state="overridden") == [("change", "eth0 in c1")]
    with subtests.test("a sibling changes the mode and flag of all"):
        host.ip("link set host-left type ipvlan mode l3 vepa")
        assert host.link("c1")["linkinfo"]["info_data"] == {"mode": "l3", "vepa": True}
        expected = [("change", name) for name in ALL if "eth1" not in name]
        assert host.changed(CONFIG, state="overridden") == expected
        assert host.link("c1")["linkinfo"]["info_data"] == {"mode": "l2", "bridge": True}
    with subtests.test("a deleted master takes its links with it"):
        host.ip("link delete fabric-right")
        host.space.cable("fabric-right")
        assert host.changed(CONFIG, state="overridden") == [("create", "eth1 in c3")]


def test_states(host):
    host.changed(CONFIG)
    host.container("c1").ip("address add 10.10.1.77/24 dev eth0")
    bare = [{key: value for key, value in CONFIG[0].items() if key not in ("mtu", "routes", "addresses")}]
    assert host.changed(bare) == []
    assert host.changed(bare, state="replaced") == [("change", "eth0 in c1")]
    eth0 = host.link("c1")
    assert eth0["mtu"] == 1500
    assert [entry["local"] for entry in eth0["addr_info"] if entry["family"] == "inet"] == ["10.10.1.77"]
    assert not host.show("route show default", "c1")
    assert host.changed(bare, state="overridden") == [("delete", name) for name in ["host-left", *ALL[1:4]]]
    assert host.changed(bare, state="deleted") == [("delete", "eth0 in c1")]
    assert host.changed([], state="deleted") == []


def test_routes_survive_the_replacement_of_an_address(host):
    host.changed(CONFIG)
    config = copy.deepcopy(CONFIG)
    config[0]["addresses"] = [{"address": "10.10.1.12/24"}]
    assert host.changed(config, state="overridden") == [("change", "eth0 in c1")]
    assert host.changed(config, state="overridden") == []
    assert host.show("route show default", "c1")[0]["gateway"] == "10.10.1.1"


def test_links_of_others_are_left_alone(host):
    host.ip(f"link add link fabric-left name eth0 netns {host.container('c1').name} type ipvlan mode l2")
    host.ip("link add link fabric-left name foreign type ipvlan mode l2")
    assert host.changed([], state="overridden") == []
    assert host.space.changed("interfaces", config=[], state="overridden") == []
    expected = "ipvlan_links[0]: ipvlan link eth0 in c1 exists but is not ours (it does not carry our mark)"
    assert host.mistakes([link("c1", "10.10.1.2/24")]) == [f"{expected}; give another name, or delete it first"]
    assert host.mistakes([{"name": "foreign"}], state="deleted") == [
        "ipvlan_links[0]: ipvlan link foreign is not ours (it does not carry our mark); leave it out, or delete it by "
        "hand"
    ]
    found = host.space.module("ipvlan_links", state="gathered")["gathered"]
    assert [(entry["name"], entry["master"], entry["owned"]) for entry in found] == [
        ("foreign", "fabric-left", False),
        ("eth0", "fabric-left", False),
    ]


def test_our_links_are_not_interfaces(host):
    host.changed(CONFIG)
    assert host.space.changed("interfaces", config=[], state="overridden") == []
    refused = host.space.module("interfaces", config=[{"name": "host-left"}])
    assert refused["mistakes"][0].startswith("interfaces[0].name: host-left is a link of the kind ipvlan_links")


def test_a_namespace_may_be_given_by_name_by_path_or_by_pid(host):
    wanted = link("c1", "10.10.1.2/24")
    host.changed([wanted])
    name = host.container("c1").name
    process = host.container("c1").start("sleep", "60")
    try:
        until(lambda: host.container("c1").holds(process.pid), what="the process is in the namespace")
        bare = {key: value for key, value in wanted.items() if key != "namespace"}
        for spelled in ({"namespace": f"/run/netns/{name}"}, {"pid": process.pid}):
            result = host.space.module("ipvlan_links", config=[{**bare, **spelled}], state="overridden")
            assert result["changed"] is False, result
        twice = [{**bare, "namespace": name}, {**bare, "pid": process.pid}]
        refused = host.space.module("ipvlan_links", config=twice)
        assert f"ipvlan_links[1]: eth0 in {name} is also given at ipvlan_links[0]" in refused["mistakes"]
    finally:
        process.kill()
        process.wait()


def test_a_namespace_without_a_name_is_found_by_pid(host):
    process = subprocess.Popen(["unshare", "--net", "sleep", "60"])
    try:
        own = os.stat("/proc/self/ns/net").st_ino
        until(lambda: os.stat(f"/proc/{process.pid}/ns/net").st_ino != own, what="a namespace of its own")
        entry = {key: value for key, value in link("c1", "10.10.1.2/24").items() if key != "namespace"}
        config = [{**entry, "pid": process.pid}]
        assert host.space.changed("ipvlan_links", config=config)
        shown = ["nsenter", "-t", str(process.pid), "-n", "ip", "-4", "-brief", "address", "show", "eth0"]
        assert "10.10.1.2/24" in subprocess.run(shown, check=True, capture_output=True, text=True).stdout
        assert host.space.changed("ipvlan_links", config=config, state="overridden") == []
        assert [op for _kind, op, _name in host.space.changed("ipvlan_links", config=[], state="overridden")] == [
            "delete"
        ]
    finally:
        process.kill()
        process.wait()


def test_an_interrupted_run_is_completed_by_the_next(host):
    container = host.container("c1").name
    host.ip(f"link add link fabric-left name eth0 group 0x52480000 netns {container} type ipvlan mode l3")
    host.ip("link add link fabric-left name host-left group 0x52480001 type ipvlan mode l3")
    assert host.changed(CONFIG[:1], state="overridden") == [("replace", "eth0 in c1"), ("delete", "host-left")]
    assert host.changed(CONFIG[:1], state="overridden") == []
