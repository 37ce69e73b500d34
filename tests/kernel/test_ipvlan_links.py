"""ipvlan links: made, made again, damaged, repaired, refused, removed."""

from __future__ import annotations

import copy
import itertools
import os
import subprocess
import time

import pytest

MODES = ("l2", "l3", "l3s")
FLAGS = ("bridge", "private", "vepa")


class Host:
    """A namespace that is the host, with two interfaces, and containers: namespaces of their own."""

    def __init__(self, space):
        self.space = space
        self.ip = space.ip
        for master in ("fabric-left", "fabric-right"):
            space.cable(master)
        self.names = {}

    def container(self, short):
        """The namespace of a container of someone else's making."""
        if short not in self.names:
            self.names[short] = f"{self.space.name}-{short}"
            subprocess.run(["ip", "netns", "add", self.names[short]], check=True)
        return self.names[short]

    def show(self, command, inside=None):
        return self.space.show(command, inside and self.container(inside))

    def link(self, short, name="eth0"):
        [link] = self.show(f"address show dev {name}", short)
        return link

    def full(self, config):
        """A configuration with the real names of containers' namespaces."""
        return [{**e, "namespace": self.container(e["namespace"])} if "namespace" in e else e for e in config]

    def changed(self, config, **args):
        """As `changed` of the namespace, with containers' short names."""
        changes = self.space.changed("ipvlan_links", config=self.full(config), **args)
        return [(op, name.replace(f"{self.space.name}-", "")) for _kind, op, name in changes]

    def mistakes(self, config, **args):
        before = self.space.settled()
        result = self.space.module("ipvlan_links", config=self.full(config), **args)
        assert result["failed"], result
        assert self.space.settled() == before
        return [text.replace(f"{self.space.name}-", "") for text in result.get("mistakes", [result["msg"]])]


@pytest.fixture
def host(namespace):
    return Host(namespace)


def link(container, address, **more):
    entry = {"name": "eth0", "master": "fabric-left", "mode": "l2", "addresses": [{"address": address}], **more}
    return entry if container is None else {**entry, "namespace": container}


CONFIG = [
    link("c1", "10.10.1.2/24", mtu=1400, routes=[{"prefix": "0.0.0.0/0", "gateway": "10.10.1.1"}]),
    link("c2", "2001:DB8::0002/64", sysctls={"ipv4": {"rp_filter": 1}, "ipv6": {"accept_ra": 0}}),
    link("c3", "10.10.1.3", routes=[{"prefix": "10.10.1.0/24"}, {"prefix": "::/0", "gateway": "fe80::1"}]),
    link("c3", "10.20.1.2/24", name="eth1", master="fabric-right", mode="l3", flag="private", state="down"),
    link(None, "10.10.1.1/24", name="host-left"),
]
ALL = ["eth0 in c1", "eth0 in c2", "eth0 in c3", "eth1 in c3", "host-left"]

# a command of ip in a namespace, and what a run then reports
DRIFTS = {
    "a link is down": ("c1", "link set eth0 down", "change", "eth0 in c1"),
    "a link is up": ("c3", "link set eth1 up", "change", "eth1 in c3"),
    "a link is gone": ("c1", "link delete eth0", "create", "eth0 in c1"),
    "an address is removed": ("c2", "address delete 2001:db8::2/64 dev eth0", "change", "eth0 in c2"),
    "the last IPv4 address is removed, with it the routes": ("c1", "address flush dev eth0", "change", "eth0 in c1"),
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


def test_check_mode_reports_what_a_run_does_and_a_second_run_nothing(host):
    config = host.full(CONFIG)
    expected = host.space.module("ipvlan_links", config=config, state="overridden", _check=True, _diff=True)
    assert [change["op"] for change in expected["changes"]] == ["create"] * 5
    assert not host.show("link show type ipvlan") and not host.show("link show type ipvlan", "c1")
    assert host.space.module("ipvlan_links", config=config, state="overridden", _diff=True) == expected
    for state in ("merged", "replaced", "overridden"):
        assert host.changed(CONFIG, state=state) == []


def test_the_kernel_has_what_was_asked_for(host):
    host.changed(CONFIG)
    eth0 = host.link("c1")
    assert (eth0["mtu"], eth0["ifalias"], eth0["operstate"]) == (1400, "routed.hypervisor", "UNKNOWN")
    assert eth0["linkinfo"]["info_data"] == {"mode": "l2", "bridge": True}
    [address] = [entry for entry in eth0["addr_info"] if entry["family"] == "inet"]
    assert (address["local"], address["prefixlen"]) == ("10.10.1.2", 24)
    [default] = host.show("route show default", "c1")
    assert (default["gateway"], default["protocol"], default["dev"]) == ("10.10.1.1", "82", "eth0")
    [through] = host.show("route show 10.10.1.0/24", "c3")
    assert (through["dev"], through["scope"]) == ("eth0", "link")
    assert host.link("c3", "eth1")["linkinfo"]["info_data"] == {"mode": "l3", "private": True}
    assert "UP" not in host.link("c3", "eth1")["flags"]
    settings = ["ip", "netns", "exec", host.container("c2"), "cat", "/proc/sys/net/ipv4/conf/eth0/rp_filter"]
    assert subprocess.run(settings, check=True, capture_output=True, text=True).stdout == "1\n"


def test_every_mode_with_every_flag_and_each_change_of_them_in_place(host):
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
            host.ip(command, place and host.container(place))
            in_check_mode = host.changed(CONFIG, state="overridden", _check=True)
            assert host.changed(CONFIG, state="overridden") == in_check_mode == [(op, name)]
    with subtests.test("a master that gets a new MTU gives it to its links"):
        host.ip("link set fabric-left mtu 1450")
        assert host.changed(CONFIG, state="overridden") == [("change", "eth0 in c1")]
    with subtests.test("a sibling flips the mode and the flag of all"):
        host.ip("link set host-left type ipvlan mode l3 vepa")
        assert host.link("c1")["linkinfo"]["info_data"] == {"mode": "l3", "vepa": True}
        expected = [("change", name) for name in ALL if "eth1" not in name]
        assert host.changed(CONFIG, state="overridden") == expected
        assert host.link("c1")["linkinfo"]["info_data"] == {"mode": "l2", "bridge": True}
    with subtests.test("a master that is gone takes its links with it"):
        host.ip("link delete fabric-right")
        host.space.cable("fabric-right")
        assert host.changed(CONFIG, state="overridden") == [("create", "eth1 in c3")]


def test_states(host):
    host.changed(CONFIG)
    host.ip("address add 10.10.1.77/24 dev eth0", host.container("c1"))
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


def test_an_address_in_place_of_another_keeps_the_routes(host):
    host.changed(CONFIG)
    config = copy.deepcopy(CONFIG)
    config[0]["addresses"] = [{"address": "10.10.1.12/24"}]
    assert host.changed(config, state="overridden") == [("change", "eth0 in c1")]
    assert host.changed(config, state="overridden") == []
    assert host.show("route show default", "c1")[0]["gateway"] == "10.10.1.1"


def test_links_of_others_are_left_alone(host):
    host.ip(f"link add link fabric-left name eth0 netns {host.container('c1')} type ipvlan mode l2")
    host.ip("link add link fabric-left name foreign type ipvlan mode l2")
    assert host.changed([], state="overridden") == []
    assert host.space.changed("interfaces", config=[], state="overridden") == []
    expected = "ipvlan_links[0]: ipvlan link eth0 in c1 exists but is not ours (it does not bear our mark)"
    assert host.mistakes([link("c1", "10.10.1.2/24")]) == [expected]
    assert host.mistakes([{"name": "foreign"}], state="deleted") == [
        "ipvlan_links[0]: ipvlan link foreign is not ours (it does not bear our mark)"
    ]
    found = host.space.module("ipvlan_links", state="gathered")["gathered"]
    assert [(entry["name"], entry["master"], entry["owned"]) for entry in found] == [
        ("foreign", "fabric-left", False),
        ("eth0", "fabric-left", False),
    ]


def test_links_of_ours_are_not_interfaces(host):
    host.changed(CONFIG)
    assert host.space.changed("interfaces", config=[], state="overridden") == []
    refused = host.space.module("interfaces", config=[{"name": "host-left"}])
    assert refused["mistakes"][0].startswith("interfaces[0].name: host-left is a link of the kind ipvlan_links")


def test_a_namespace_is_the_same_by_name_by_file_and_by_process(host):
    wanted = link("c1", "10.10.1.2/24")
    host.changed([wanted])
    name = host.container("c1")
    process = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "60"])
    try:
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


def test_a_container_without_a_name_is_found_by_its_process(host):
    process = subprocess.Popen(["unshare", "--net", "sleep", "60"])
    try:
        own, deadline = os.stat("/proc/self/ns/net").st_ino, time.monotonic() + 10
        while os.stat(f"/proc/{process.pid}/ns/net").st_ino == own and time.monotonic() < deadline:
            time.sleep(0.05)
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


def test_a_run_that_was_cut_off_is_completed_by_the_next(host):
    container = host.container("c1")
    host.ip(f"link add link fabric-left name eth0 group 0x52480000 netns {container} type ipvlan mode l3")
    host.ip("link add link fabric-left name host-left group 0x52480001 type ipvlan mode l3")
    assert host.changed(CONFIG[:1], state="overridden") == [("replace", "eth0 in c1"), ("delete", "host-left")]
    assert host.changed(CONFIG[:1], state="overridden") == []


def test_all_in_one_call_namespaces_masters_and_what_refers_to_the_links(host):
    name = f"{host.space.name}-new"
    config = {
        "vrfs": [{"name": "public", "table": 90}],
        "namespaces": [{"name": name}],
        "interfaces": [{"name": "m0", "type": "dummy", "vrf": "public", "mtu": 9000}],
        "ipvlan_links": [
            {**CONFIG[0], "namespace": f"/run/netns/{name}", "master": "m0", "mtu": 8000},
            {"name": "host-m0", "master": "m0", "mode": "l2", "vrf": "public", "addresses": [{"address": "10.10.1.1"}]},
        ],
        "proxy_arp": [{"interface": "host-m0", "proxy_arp": True, "delay": 0}],
        "routes": [{"prefix": "10.10.1.2/32", "vrf": "public", "interface": "host-m0"}],
    }
    expected = host.space.module("network", config=config, state="overridden", _check=True)
    assert host.space.module("network", config=config, state="overridden") == expected
    assert host.space.changed("network", config=config, state="overridden") == []
    [through] = host.show("route show table 90 10.10.1.2")
    assert through["dev"] == "host-m0"
    config["interfaces"][0]["mtu"] = 8500  # which the links get, too
    changes = host.space.changed("network", config=config, state="overridden")
    assert changes == [("interfaces", "change", "m0"), ("ipvlan_links", "change", f"eth0 in {name}")] + [
        change for change in changes if change[2] == "host-m0"
    ]
    assert host.space.changed("network", config=config, state="overridden") == []
    config["vrfs"][0]["table"] = 91
    assert host.space.changed("network", config=config, state="overridden")
    assert host.space.changed("network", config=config, state="overridden") == []
    assert host.show("route show table 91 10.10.1.2")
    assert host.space.changed("network", state="deleted")
    assert host.space.changed("network", state="deleted") == []
    assert not host.show("link show type ipvlan") and name not in subprocess.getoutput("ip netns list")
