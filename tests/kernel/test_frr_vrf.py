"""A leaf with FRR and hosts inside and outside of a VRF: sessions, routes, and the effect of a reload."""

from __future__ import annotations

import os

import pytest
import yaml
from support.lab_nodes import Node
from support.leaf_pair import LeafPair
from support.modules import PROJECT
from support.waiting import until

# Linux link names cannot contain a slash.
LINKS = {"Ethernet1/49": "core1", "Ethernet1/50": "core2", "Ethernet1/51": "core3"}
HOST = """
log "/tmp/bird.log" all;
router id 10.20.0.11;
protocol device { }
protocol static s4 { ipv4; route 192.168.8.1/32 blackhole; route 192.168.9.1/32 blackhole; }
protocol static s6 { ipv6; route 2001:db8:8::1/128 blackhole; }
template bgp leaf {
  interface "eth0"; direct; ttl security yes; connect delay time 1; connect retry time 2; error wait time 1,5;
}
protocol bgp l4 from leaf {
  local 10.20.0.11 as 65004; neighbor 10.20.0.1 as 4200000500; ipv4 { import all; export where source = RTS_STATIC; };
}
protocol bgp l6 from leaf {
  local 2001:db8:20::11 as 65004; neighbor 2001:db8:20::1 as 4200000500;
  ipv6 { import all; export where source = RTS_STATIC; };
}
"""
SESSIONS = {"10.20.0.11", "2001:db8:20::11"}


def wire(node: Node, interfaces: list[dict]) -> None:
    lines = ["link add blue type vrf table 20", "link set blue up"]
    for interface in interfaces:
        name = interface["name"]
        kind = "veth peer name eth0 netns host" if name == "Vlan20" else "dummy"
        lines.append(f"link add {name} type {kind}")
        if interface["vrf"]:
            lines.append(f"link set {name} master {interface['vrf']}")
        lines.append(f"link set {name} up")
        lines += [f"addr add {at} dev {name}{' nodad' if ':' in at else ''}" for at in interface["addresses"]]
    node.run("ip", "netns", "add", "host")
    node.run("ip", "-batch", "-", text="\n".join(lines) + "\n")
    host = "link set eth0 up\naddr add 10.20.0.11/24 dev eth0\naddr add 2001:db8:20::11/64 dev eth0 nodad\n"
    node.run("ip", "-n", "host", "-batch", "-", text=host)
    node.run("sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    node.run("sysctl", "-w", "net.ipv4.tcp_l3mdev_accept=0", "net.ipv4.udp_l3mdev_accept=0")
    node.write("/tmp/bird.conf", HOST)
    # Under another name, or the role would mistake it for the leaf's BIRD and stop it.
    node.run("cp", "/usr/sbin/bird", "/tmp/host")
    node.run("ip", "netns", "exec", "host", "/tmp/host", "-c", "/tmp/bird.conf", "-s", "/tmp/bird.ctl")


@pytest.fixture
def leaf(run_module, lab_image, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a node")
    with Node(run_module, lab_image) as node:
        leaf = LeafPair(node.lab, tmp_path)
        text = (PROJECT / "tests/golden/data/leaf_full.yml").read_text()
        for name, link in LINKS.items():
            text = text.replace(name, link)
        values = yaml.safe_load(text)
        values["leaf"]["hostname"] = "n"
        leaf.leaves["n"], leaf.passwords["n"] = values, values["bgp_passwords"]
        wire(node, values["leaf"]["interfaces"])
        yield leaf


def test_a_host_in_a_vrf(leaf):
    assert "start frr" in leaf.changes(limit=["n"])
    until(lambda: leaf.up("n") >= SESSIONS, 60)
    until(lambda: leaf.routes("n").keys() >= {"192.168.8.1/32", "2001:db8:8::1/128"}, what="both routes")
    in_vrf = ("ip", "route", "show", "table", "20")
    until(lambda: "192.168.8.1" in leaf.run("n", *in_vrf), what="the route in the kernel")
    info = leaf.info("n")
    vrfs = {session["neighbor"]: session["vrf"] for session in info["sessions"]}
    assert {vrfs[address] for address in SESSIONS} == {"blue"} and vrfs["50.1.1.1"] is None
    learned = {(route["vrf"], route["prefix"]) for route in info["routes"] if route["protocol"] == "bgp"}
    assert learned == {("blue", "192.168.8.1/32"), ("blue", "2001:db8:8::1/128")}
    session = next(one for one in info["sessions"] if one["neighbor"] == "10.20.0.11")
    assert (session["prefixes_received"], session["prefixes_accepted"]) == (2, 1)
    assert "192.168.8.1" not in leaf.run("n", "ip", "route", "show")
    # A VRF's subnet is announced according to the policy.
    assert ("blue", "10.20.0.0/24") in {(route["vrf"], route["prefix"]) for route in info["routes"]}

    expected = {"title": "a", "kind": "bgp", "daemon": "frr", "vrf": "blue", "neighbor": "10.20.0.11", "family": "ipv4"}
    results = leaf.module("n", "verify", config=[expected, {**expected, "vrf": None}], deadline=0)["results"]
    assert [result["state"] for result in results] == ["passed", "failed"], results

    assert "Lines To" not in leaf.reload_would("n")
    assert leaf.changes(limit=["n"]) == []
    before = next(one["uptime_s"] for one in info["sessions"] if one["neighbor"] == "10.20.0.11")
    leaf.leaves["n"]["bgp"]["sessions"][0]["description"] = "the first host"
    assert leaf.changes(limit=["n"]) == ["change /etc/frr/frr.conf", "reload frr"]
    after = {one["neighbor"]: one["uptime_s"] for one in leaf.info("n")["sessions"]}
    assert after["10.20.0.11"] >= before


def replace_vrf(leaf: LeafPair, interfaces: list[dict]) -> None:
    """The VRF is deleted and set up again, as the network module does."""
    lines = ["link del blue", "link add blue type vrf table 20", "link set blue up"]
    for interface in interfaces:
        if interface["vrf"]:
            lines.append(f"link set {interface['name']} master blue")
            lines += [f"addr replace {at} dev {interface['name']} nodad" for at in interface["addresses"] if ":" in at]
    leaf.lab.run("n", "ip", "-batch", "-", text="\n".join(lines) + "\n")


def test_sessions_come_back_in_a_replaced_vrf(leaf):
    leaf.changes(limit=["n"])
    until(lambda: leaf.up("n") >= SESSIONS, 60)
    replace_vrf(leaf, leaf.leaves["n"]["leaf"]["interfaces"])
    # FRR follows VRFs and interfaces by itself, so that there is nothing for the role to do.
    assert leaf.changes(limit=["n"]) == []
    until(lambda: "%blue:179" in leaf.run("n", "ss", "-lnt"), 60)
    until(lambda: leaf.up("n") >= SESSIONS and "192.168.8.1" in leaf.run("n", "ip", "route", "show", "vrf", "blue"), 60)
