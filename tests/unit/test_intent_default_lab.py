"""The default lab comes out with exactly the addresses that its documentation promises."""

from __future__ import annotations

import pytest
from support.intent_samples import DEFAULT_FILE

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory


@pytest.fixture(scope="module")
def lab():
    return inventory(read(str(DEFAULT_FILE)), owner="/somewhere")


def addresses(lab, node, interface):
    found = {item["name"]: item for item in lab.host_vars[node]["network"]["interfaces"]}
    return [item["address"] for item in found[interface]["addresses"]]


def expectations(lab, node, kind, **fields):
    return [
        expected
        for expected in lab.host_vars[node]["verify"]
        if expected["kind"] == kind and all(expected.get(name) == value for name, value in fields.items())
    ]


def test_groups(lab):
    assert lab.groups["hypervisors"] == ["hv1", "hv2", "hv3"]
    assert lab.groups["reflectors"] == ["rr1", "rr2"]
    assert lab.groups["borders"] == ["internet"]
    assert lab.groups["guests"] == ["vm1", "vm2", "vm3", "vm4"]
    assert lab.groups["switches"] == ["switch-A", "switch-B"]
    assert lab.groups["lab"] == ["lab_host"]
    assert lab.children == {
        "routers": ["hypervisors", "reflectors", "borders", "leaves"],
        "lab_nodes": ["routers", "guests", "switches"],
    }
    assert lab.group_vars["all"] == {
        "fabric_name": "l3_hypervisor",
        "bgp_password_keys": ["private", "public"],
        "ospf_password_keys": [],
    }


@pytest.mark.parametrize("number", [1, 2, 3])
def test_addresses_of_a_hypervisor(lab, number):
    node = f"hv{number}"
    assert addresses(lab, node, "fabric-A.20") == [f"172.22.15.10{number}/25"]
    assert addresses(lab, node, "fabric-B.20") == [f"172.22.15.20{number}/25"]
    assert addresses(lab, node, "fabric-A.90") == [f"198.51.100.10{number}/25", f"2001:db8:c633:6400::{number}/120"]
    assert addresses(lab, node, "fabric-B.90") == [f"198.51.100.20{number}/25", f"2001:db8:c633:6401::{number}/120"]
    assert addresses(lab, node, "loopback") == [f"172.22.2.{number}/32"]
    assert lab.host_vars[node]["bgp"]["router_id"] == f"172.22.2.{number}"
    assert lab.host_vars[node]["network"]["vrfs"] == [{"name": "private", "table": 20}, {"name": "public", "table": 90}]


def test_addresses_of_reflectors_and_border(lab):
    assert addresses(lab, "rr1", "fabric-A.20") == ["172.22.15.126/25"]
    assert addresses(lab, "rr1", "fabric-A.90") == ["198.51.100.126/25", "2001:db8:c633:6400::26/120"]
    assert addresses(lab, "rr2", "fabric-B.20") == ["172.22.15.226/25"]
    assert addresses(lab, "rr2", "fabric-B.90") == ["198.51.100.226/25", "2001:db8:c633:6401::26/120"]
    assert addresses(lab, "internet", "fabric-A.90") == ["198.51.100.1/25", "2001:db8:c633:6400::ff/120"]
    assert addresses(lab, "internet", "fabric-B.90") == ["198.51.100.254/25", "2001:db8:c633:6401::ff/120"]
    assert addresses(lab, "internet", "world") == ["192.0.2.1/32", "2001:db8:ffff::1/128"]


def test_a_guest(lab):
    assert lab.host_vars["vm3"]["guest"] == {
        "interface": "eth0",
        "hypervisor": "hv2",
        "segment": "guests",
        "mac": "02:00:cb:00:71:03",
        "ipv4": "203.0.113.3",
        "ipv6": "2001:db8:cb00:7100:0:cbff:fe00:7103",
        "gateway4": "203.0.113.254",
        "gateway6": "fe80::1",
        "dhcp": True,
    }
    assert addresses(lab, "hv2", "vm3") == ["203.0.113.254/32", "fe80::1/64"]
    assert lab.host_vars["hv2"]["dnsmasq"]["hosts"] == [
        {"name": "vm3", "mac": "02:00:cb:00:71:03", "address": "203.0.113.3", "tag": "guests"}
    ]


def test_a_session_is_seen_alike_from_both_ends(lab):
    ends = {}
    for node, variables in lab.host_vars.items():
        for session in variables.get("bgp", {}).get("sessions", []):
            ends[session["local_address"], session["neighbor"]] = (node, session)
    assert len(ends) == 2 * 2 * (
        3 * 3 + 2
    )  # two ends, two fabrics; three hypervisors in three tables, the border in two
    for (local, neighbor), (_node, session) in ends.items():
        _other, back = ends[neighbor, local]
        assert back["password_key"] == session["password_key"]
        assert back["families"] == session["families"]
        assert {back["reflector_client"], session["reflector_client"]} == {True, False}
        assert {back["next_hop"], session["next_hop"]} == {"keep", "self"}


def test_a_reflector_has_its_own_address_as_cluster_id(lab):
    found = {session["vrf"]: session["cluster_id"] for session in lab.host_vars["rr2"]["bgp"]["sessions"]}
    assert found == {"private": "172.22.15.226", "public": "198.51.100.226"}


def test_routes_lead_over_both_fabrics_in_both_families(lab):
    (ipv4,) = expectations(lab, "hv1", "route", prefix="203.0.113.3/32")
    assert (ipv4["table"], ipv4["nexthops"]) == (90, ["198.51.100.102", "198.51.100.202"])
    (ipv6,) = expectations(lab, "hv1", "route", prefix="2001:db8:cb00:7100:0:cbff:fe00:7103/128")
    assert ipv6["nexthops"] == ["2001:db8:c633:6400::2", "2001:db8:c633:6401::2"]
    (default,) = expectations(lab, "hv3", "route", prefix="0.0.0.0/0")
    assert default["nexthops"] == ["198.51.100.1", "198.51.100.254"]
    (loopback,) = expectations(lab, "hv1", "route", prefix="172.22.2.3/32")
    assert (loopback["table"], loopback["nexthops"]) == (20, ["172.22.15.103", "172.22.15.203"])


def test_every_guest_is_verified_against_every_other_and_the_world(lab):
    for guest in lab.groups["guests"]:
        replies = {
            (expected["to_name"], expected["family"]) for expected in expectations(lab, guest, "ping", expect="reply")
        }
        names = {*lab.groups["guests"], "internet"} - {guest}
        assert replies == {(name, family) for name in names for family in ("ipv4", "ipv6")}


def test_a_trace_shows_both_hypervisors(lab):
    (trace,) = expectations(lab, "vm1", "trace", to="203.0.113.4")
    assert trace["hops"] == [
        ["203.0.113.254", "198.51.100.101", "198.51.100.201"],
        ["198.51.100.103", "198.51.100.203"],
        ["203.0.113.4"],
    ]
    assert trace["networks"] == ["198.51.100.0/24", "203.0.113.0/24"]
    assert not expectations(lab, "vm1", "trace", to="203.0.113.2")


def test_private_must_stay_silent_for_guests(lab):
    silent = {expected["to"] for expected in expectations(lab, "vm1", "ping", expect="silence")}
    loopbacks = {f"172.22.2.{n}" for n in (1, 2, 3)}
    uplinks = {f"172.22.15.{base}0{n}" for base in (1, 2) for n in (1, 2, 3)}
    assert silent == loopbacks | uplinks | {"172.22.15.126", "172.22.15.226"}


def test_the_hypervisor_itself(lab):
    ours = [{"priority": 2000, "to": "172.22.0.0/16", "table": 20}]
    assert expectations(lab, "hv1", "rules", family="ipv4", l3mdev=True)[0]["rules"] == ours
    assert expectations(lab, "hv1", "rules", family="ipv6", l3mdev=True)[0]["rules"] == []
    assert {(c["to"], c["source"]) for c in expectations(lab, "hv1", "route_source")} == {
        ("172.22.2.2", "172.22.2.1"),
        ("172.22.2.3", "172.22.2.1"),
    }
    assert {c["to"] for c in expectations(lab, "hv1", "ping", expect="silence")} == {"192.0.2.1", "2001:db8:ffff::1"}


def test_ipv4_is_forwarded_only_where_guests_are(lab):
    interfaces = {item["name"]: item for item in lab.host_vars["hv1"]["network"]["interfaces"]}
    forwarding = {
        name: item["sysctls"]["ipv4"]["forwarding"]
        for name, item in interfaces.items()
        if "ipv4" in item.get("sysctls", {})
    }
    assert forwarding == {"fabric-A.20": 0, "fabric-A.90": 1, "fabric-B.20": 0, "fabric-B.90": 1, "vm1": 1, "vm2": 1}
    assert interfaces["vm1"]["sysctls"]["ipv4"]["rp_filter"] == 1
    assert all(sysctl["name"] != "net.ipv4.ip_forward" for sysctl in lab.host_vars["hv1"]["network"]["sysctls"])


def test_cables_connect_everything_once(lab):
    cables = lab.host_vars["lab_host"]["lab"]["cables"]
    ends = [(end["node"], end["interface"]) for cable in cables for end in (cable["a"], cable["b"])]
    assert len(ends) == len(set(ends)) == 2 * (2 * 5 + 4)
    macs = {
        (end["node"], end["interface"]): end["mac"]
        for cable in cables
        for end in (cable["a"], cable["b"])
        if "mac" in end
    }
    (neighbor,) = expectations(lab, "vm1", "neighbor", to="203.0.113.3")
    assert neighbor["mac"] == macs["hv1", "vm1"] == "02:01:cb:00:71:01"


def test_a_guest_must_not_reach_bgp_on_its_hypervisor(lab):
    closed = expectations(lab, "vm3", "tcp", port=179, expect="silence")
    assert {(one["to"], one["to_name"]) for one in closed} == {("203.0.113.254", "hv2"), ("fe80::1%eth0", "hv2")}


def test_every_expectation_has_a_title_of_its_own(lab):
    for variables in lab.host_vars.values():
        titles = [expected["title"] for expected in variables.get("verify", [])]
        assert len(titles) == len(set(titles)), "two expectations of a node are called the same"


def test_without_lab_guests_and_switches_are_not_hosts(tmp_path):
    text = DEFAULT_FILE.read_text().replace("lab: {}\n", "")
    (tmp_path / "fabric.yml").write_text(text)
    real = inventory(read(str(tmp_path / "fabric.yml")), owner="/somewhere")
    assert set(real.host_vars) == {"hv1", "hv2", "hv3", "rr1", "rr2", "internet"}
    assert "lab_nodes" not in real.group_vars
