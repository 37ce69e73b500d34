"""Container networks, leaves, daemons and peerings of an intent: mistakes, addresses, and what is resolved."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.intent_samples import REMOVE, changed, containers, mistakes_in, only_mistake_in
from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

QUAY, PIER = "hypervisors.quay.container_networks", "hypervisors.pier.container_networks"


def edited(*changes):
    return changed(*changes, start=containers)


ONE_MISTAKE = {
    # addresses and prefixes
    "a prefix of two hosts": (edited((f"{PIER}.own.ipv4", "10.21.1.0/24")), f"{PIER}.own.ipv4: 10.21.1.0/24 overlaps {QUAY}.own.ipv4"),
    "a prefix of a fabric": (edited((f"{PIER}.own.ipv4", "10.3.0.0/25")), f"{PIER}.own.ipv4: 10.3.0.0/25 overlaps fabrics.east.networks.blue.ipv4"),
    "a pool that is exhausted": (edited(("container_networks.span.pool", "10.20.0.100-10.20.0.100")), f"{PIER}.span.containers.p3: no address is left in 10.20.0.100-10.20.0.100; choose a larger pool for span on pier"),
    "a prefix that is exhausted": (edited((f"{PIER}.own", {"ipv4": "10.21.2.0/30", "containers": {"p1": {}, "p2": {}}})), f"{PIER}.own.containers.p2: no address is left in 10.21.2.0/30; a larger prefix in {PIER}.own.ipv4"),
    "a pool outside every host's prefix": (edited(("container_networks.own.pool", "10.9.0.1-10.9.0.9")), "container_networks.own.pool: 10.9.0.1-10.9.0.9 is not in 10.21.1.0/24"),
    "a host's pool outside the prefix of all": (edited((f"{QUAY}.span.pool", "10.9.0.1-10.9.0.9")), f"{QUAY}.span.pool: 10.9.0.1-10.9.0.9 is not in 10.20.0.0/24"),
    "a pool elsewhere": (edited(("container_networks.span.pool", "10.21.0.1-10.21.0.9")), "container_networks.span.pool: 10.21.0.1-10.21.0.9 is not in 10.20.0.0/24; 10.20.0.1 to 10.20.0.254"),
    "a pool the wrong way round": (edited(("container_networks.span.pool", "10.20.0.9-10.20.0.1")), "container_networks.span.pool: '10.20.0.9-10.20.0.1' is not a range of IPv4 addresses"),
    "a container elsewhere": (edited((f"{QUAY}.own.containers.q2.ipv4", "10.21.2.9")), f"{QUAY}.own.containers.q2.ipv4: 10.21.2.9 cannot be a host in 10.21.1.0/24"),
    "a container with the gateway's address": (edited((f"{QUAY}.own.containers.q2.ipv4", "10.21.1.1")), f"{QUAY}.own.containers.q2.ipv4: 10.21.1.1 is the containers' gateway"),
    "an address of two containers": (edited((f"{PIER}.span.containers.p3", {"ipv4": "10.20.0.9"})), f"{PIER}.span.containers.p3.ipv4: 10.20.0.9 is also given to {QUAY}.span.containers.q4.ipv4"),
    "an address of the host": (edited((f"{QUAY}.flat.containers.q6", {"ipv4": "10.4.0.1"})), f"{QUAY}.flat.containers.q6.ipv4: 10.4.0.1 is also given to hypervisors.quay.id"),
    "a family that the prefix lacks": (edited((f"{QUAY}.deep.containers.q5", {"ipv6": "2001:db8::5"})), f"{QUAY}.deep.containers.q5.ipv6: deep has no ipv6 prefix on quay"),
    "no prefix at all": (edited((f"{QUAY}.own.ipv4", REMOVE), (f"{QUAY}.own.ipv6", REMOVE), (f"{QUAY}.own.containers.q2", {})), f"{QUAY}.own: has no prefix; a prefix for this host, or one in the network for all hosts, or a fabric in mode l2"),
    "two prefixes": (edited((f"{QUAY}.span.ipv4", "10.29.0.0/24")), f"{QUAY}.span.ipv4: container_networks.span has one prefix for all hosts"),
    "no gateway": (edited(("container_networks.span.gateway4", REMOVE)), "container_networks.span.gateway4: missing"),
    "a gateway elsewhere": (edited(("container_networks.span.gateway4", "10.21.0.1")), "container_networks.span.gateway4: 10.21.0.1 cannot be a host in 10.20.0.0/24"),
    # names
    "a container's name twice": (edited((f"{PIER}.own.containers", {"q1": {}})), f"{PIER}.own.containers.q1: the name q1 is also given to {QUAY}.own.containers.q1"),
    "a container called like a host": (edited((f"{PIER}.own.containers", {"quay": {}})), f"{PIER}.own.containers.quay: the name quay is also given to hypervisors.quay"),
    "a misspelled network": (edited((f"{PIER}.owm", {"ipv4": "10.9.0.0/24"})), f"{PIER}.owm: no container network is called owm; did you mean own?"),
    "a network's name too long": (edited(("container_networks.elevenchars", {"vrf": "blue"})), "container_networks.elevenchars: 'elevenchars' is not a name for a container network"),
    "a host's interface called so": (edited(("hypervisors.pier.fabrics", {"east": {}, "west": {"interface": "own"}})), f"{PIER}.own: the interface name own is also given to hypervisors.pier.fabrics.west.interface"),
    # masters and modes
    "an unknown fabric": (edited(("container_networks.deep.fabric", "eats")), "container_networks.deep.fabric: no fabric is called eats; did you mean east?"),
    "a fabric that the host is not on": (edited(("hypervisors.pier.fabrics", {"west": {}}), (f"{PIER}.deep.fabric", "east")), f"{PIER}.deep.fabric: pier is not on fabric east"),
    "a fabric without the VRF": (edited((f"{PIER}.deep.fabric", "west")), f"{PIER}.deep.fabric: main has no network on fabric west"),
    "fabric and interface": (edited(("container_networks.deep.interface", "eno1")), "container_networks.deep.interface: fabric and interface exclude each other"),
    "two modes on a master": (edited(("container_networks.more", {"vrf": "main", "fabric": "east"}), (f"{QUAY}.more", {"ipv4": "10.23.1.0/24"})), f"{QUAY}.more: mode l2 on fabric east, where container_networks.deep has l3"),
    "two flags on a master": (edited(("container_networks.more", {"vrf": "main", "mode": "l3", "flag": "private", "fabric": "east"}), (f"{QUAY}.more", {"ipv4": "10.23.1.0/24"})), f"{QUAY}.more: flag private on fabric east, where container_networks.deep has bridge"),
    "l3s in a VRF": (edited(("container_networks.flat.mode", "l3s"), (f"{QUAY}.flat.ipv4", "10.24.0.0/24"), ("container_networks.flat.pool", REMOVE)), "container_networks.flat.mode: l3s loses all traffic when its master is in a VRF (blue)"),
    "l3 on a dummy": (edited(("container_networks.own.mode", "l3")), "container_networks.own.mode: mode l3 needs a fabric or an interface"),
    "private on a dummy": (edited(("container_networks.own.flag", "private")), "container_networks.own.flag: private would separate the containers from the host"),
    "l3 on a fabric's own network": (edited((f"{QUAY}.deep.ipv4", REMOVE)), f"{QUAY}.deep: in mode l3 nobody answers ARP for containers on the fabric's own network"),
    "an unknown mode": (edited(("container_networks.own.mode", "l4")), "container_networks.own.mode: 'l4' is not known; l2, l3, l3s"),
    "a gateway without a link": (edited(("container_networks.own.host_link", False)), "container_networks.own.host_link: the host is its containers' gateway, but has no link to them; true, or leave it out"),
    "one prefix announced by all": (edited(("container_networks.span.announce", "subnet")), "container_networks.span.announce: every host would announce the same prefix"),
    # VRFs
    "no table": (edited(("vrfs.blue.table", REMOVE)), "vrfs.blue.table: missing"),
    "another main table": (edited(("vrfs.main.table", 7)), "vrfs.main.table: 7 is not the main table"),
    "two VRFs untagged": (edited(("vrfs.blue.vlan", REMOVE)), "fabrics.east.networks.blue: neither main nor blue has a VLAN"),
    # daemons and peerings
    "BFD by GoBGP": (edited(("bgp.bfd", {"interval_ms": 300, "multiplier": 3})), "bgp.daemon: gobgp has no BFD (bgp.bfd); use bird"),
    "passwords by GoBGP": (changed(("bgp.bfd", REMOVE), ("reflectors.rr2.daemon", "gobgp")), "reflectors.rr2.daemon: gobgp has no passwords (vrfs.private.password, vrfs.public.password); use bird"),
    "an unknown daemon": (edited(("bgp.daemon", "quagga")), "bgp.daemon: 'quagga' is not known; bird, gobgp"),
    "more than a mesh": (edited(("bgp.mesh", 2), ("hypervisors.mole", {"id": 3})), "reflectors: missing; more than bgp.mesh (2) hypervisors and borders peer with them: every fabric needs one or more"),
    "neighbors without being configured": (edited(("hypervisors.quay.neighbors", {"pier": {}})), "hypervisors.quay.neighbors: bgp.peering is automatic"),
    "an unknown neighbor": (edited(("bgp.peering", "configured"), ("hypervisors.quay.neighbors", {"peer": {}})), "hypervisors.quay.neighbors.peer: no other router of this file has this name, and it has no address; did you mean pier?"),
    "a neighbor's AS without its address": (edited(("bgp.peering", "configured"), ("hypervisors.quay.neighbors", {"pier": {"as": 1}})), "hypervisors.quay.neighbors.pier.address: missing"),
    "a neighbor nowhere near": (edited(("bgp.peering", "configured"), ("hypervisors.quay.neighbors", {"far": {"as": 1, "address": "2001:db8:99::1"}}), ("fabrics.east.networks.blue.ipv6", REMOVE), ("fabrics.west.networks.blue.ipv6", REMOVE), ("container_networks.span.ipv6", REMOVE), ("container_networks.span.gateway6", REMOVE)), "hypervisors.quay.neighbors.far.address: quay has no IPv6 address for a session with 2001:db8:99::1"),
    "reflectors for another AS": (changed(("hypervisors.hv1.as", 65001)), "hypervisors.hv1.as: 65001 is not bgp.as"),
}  # fmt: skip


def test_the_sample_has_no_mistake():
    assert mistakes_in(containers()) == []


@pytest.mark.parametrize("case", ONE_MISTAKE)
def test_one_mistake_is_one_line_without_consequences(case):
    data, expected = ONE_MISTAKE[case]
    found = only_mistake_in(data)
    assert found.startswith(expected), found


def resolved(data):
    mistakes = Mistakes()
    intent = check(data, mistakes)
    assert not mistakes, mistakes.lines()
    return inventory(intent, owner="/somewhere")


@pytest.fixture(scope="module")
def lab():
    return resolved(containers())


def links(lab, host):
    return {(link.get("namespace"), link["name"]): link for link in lab.host_vars[host]["network"]["ipvlan_links"]}


def test_each_container_has_a_namespace_and_a_link_in_it(lab):
    assert [item["name"] for item in lab.host_vars["quay"]["network"]["namespaces"]] == [f"q{n}" for n in range(1, 7)]
    assert set(links(lab, "quay")) == {
        *((f"q{n}", "eth0") for n in range(1, 7)),
        *((None, f"host-{network}") for network in ("own", "span", "flat")),
    }


def test_on_a_dummy_the_host_is_the_gateway(lab):
    made, network = links(lab, "quay"), lab.host_vars["quay"]["network"]
    assert (made["q2", "eth0"]["master"], made["q2", "eth0"]["mode"]) == ("own", "l2")
    assert made["q2", "eth0"]["addresses"][0] == {"address": "10.21.1.77/24"}
    # The same number in both families.
    assert made["q2", "eth0"]["addresses"][1] == {"address": "2001:db8:21:1::4d/64", "nodad": True}
    assert made["q2", "eth0"]["routes"][0] == {"prefix": "0.0.0.0/0", "gateway": "10.21.1.1"}
    own = made[None, "host-own"]
    assert (own["vrf"], own["addresses"][0]) == ("blue", {"address": "10.21.1.1/32"})
    (dummy,) = [item for item in network["interfaces"] if item["name"] == "own"]
    assert (dummy["type"], dummy["vrf"], dummy["sysctls"]["ipv4"]["rp_filter"]) == ("dummy", "blue", 0)
    assert {"prefix": "10.21.1.77/32", "table": 1001, "interface": "host-own"} in network["routes"]
    assert {"prefix": "10.21.1.0/24", "table": 1001, "type": "unreachable"} in network["routes"]


def test_in_a_prefix_that_spans_hosts_arp_and_ndp_are_answered_for_containers_elsewhere(lab):
    network = lab.host_vars["quay"]["network"]
    assert {"interface": "host-span", "proxy_arp": True, "delay": 0, "entries": []} in network["proxy_arp"]
    assert [proxy["interface"] for proxy in lab.host_vars["quay"]["ndppd"]["proxies"]] == ["host-span"]
    assert {"address": "fe80::1/64", "nodad": True} in links(lab, "quay")[None, "host-span"]["addresses"]
    # Containers' routes come and go with them: the routing manager has them.
    kept = [route["table"] for route in network["routes"] if route["prefix"].startswith("10.20.0.")]
    assert set(kept) == {254}, "but for the host's own use"
    (blue,) = [one for one in lab.host_vars["quay"]["routing_manager"]["instances"] if one["name"] == "blue"]
    assert blue["networks"] == [
        {"name": "span", "prefixes": ["10.20.0.0/24", "2001:db8:20::/64"], "interface": "host-span"}
    ]
    assert {"prefix": "10.21.1.0/24", "longest": 24} in blue["announce"]


def test_with_bird_the_addresses_are_routes_of_ours_that_bird_learns():
    lab = resolved(edited(("bgp.daemon", "bird")))
    routes = lab.host_vars["quay"]["network"]["routes"]
    assert {"prefix": "10.20.0.9/32", "table": 1001, "interface": "host-span"} in routes
    (table,) = [one for one in lab.host_vars["quay"]["bgp"]["tables"] if one["name"] == "vrf_blue_ipv4"]
    assert {"prefix": "10.20.0.0/24", "longest": 32} in table["accept"]
    assert "routing_manager" not in lab.host_vars["quay"]


def test_in_l3_the_hosts_routes_decide(lab):
    link = links(lab, "quay")["q5", "eth0"]
    assert (link["master"], link["mode"], link["routes"]) == ("fabric-east", "l3", [{"prefix": "0.0.0.0/0"}])
    assert (None, "host-deep") not in links(lab, "quay")


def test_in_l2_on_a_fabric_containers_have_its_addresses(lab):
    made = links(lab, "quay")
    link, own = made["q6", "eth0"], made[None, "host-flat"]
    assert (link["master"], "routes" in link and link["routes"]) == ("fabric-west.301", [])
    addresses = [item["address"] for item in (*link["addresses"], *own["addresses"])]
    assert addresses[0].startswith("10.4.0.20") and addresses[0].endswith("/24")
    assert addresses[2].startswith("10.4.0.20") and addresses[2].endswith("/32")
    assert addresses[0].split("/")[0] != addresses[2].split("/")[0]


def test_hosts_of_the_same_networks_all_speak_to_each_other_and_to_their_leaves(lab):
    names = {session["name"]: session for session in lab.host_vars["quay"]["bgp"]["sessions"]}
    assert set(names) == {
        "spur_main_ipv4",
        *(f"pier_{place}" for place in ("east_main_ipv4", "east_blue_ipv4", "east_blue_ipv6")),
        *(f"pier_{place}" for place in ("west_blue_ipv4", "west_blue_ipv6")),
    }
    assert (names["spur_main_ipv4"]["neighbor_as"], names["spur_main_ipv4"]["local_as"]) == (65020, 65010)
    assert {session["name"] for session in lab.host_vars["spur"]["bgp"]["sessions"]} == {
        "quay_main_ipv4",
        "pier_main_ipv4",
    }


def test_more_hosts_than_a_mesh_speak_to_reflectors():
    reflector = {
        "fabric": "east",
        "addresses": {"main": {"ipv4": "10.1.0.250"}, "blue": {"ipv4": "10.3.0.250", "ipv6": "2001:db8:3::fa"}},
    }
    west = {"fabric": "west", "addresses": {"blue": {"ipv4": "10.4.0.250", "ipv6": "2001:db8:4::fa"}}}
    data = edited(("hypervisors.mole", {"id": 3}), ("bgp.mesh", 2), ("reflectors", {"rr1": reflector, "rr2": west}))
    made = resolved(data).host_vars
    assert {session["name"].split("_")[0] for session in made["mole"]["bgp"]["sessions"]} == {
        "rr1",
        "rr2",
        "spur",
    }
    data["bgp"]["mesh"] = 3
    assert "rr1" not in str(resolved(data).host_vars["mole"]["bgp"])


def test_a_configured_neighbor_of_the_file_is_one_both_ways_and_a_foreign_one_is_met_where_it_is():
    neighbors = {"pier": {}, "isp": {"address": "10.3.0.99", "as": 65099}, "far": {"address": "192.0.2.7", "as": 65100}}
    data = edited(("bgp.peering", "configured"), ("hypervisors.quay.neighbors", neighbors))
    made = resolved(data).host_vars
    sessions = {one["name"]: one for one in made["quay"]["bgp"]["sessions"]}
    assert (sessions["isp_blue_ipv4"]["interface"], sessions["isp_blue_ipv4"]["multihop"]) == ("fabric-east.301", None)
    assert (sessions["far_main_ipv4"]["interface"], sessions["far_main_ipv4"]["multihop"]) == (None, 64)
    assert "quay_east_main_ipv4" in str(made["pier"]["bgp"])
    assert made["spur"]["bgp"]["sessions"] == []


def test_hosts_with_one_common_network_have_routed_sessions_for_what_is_on_none():
    data = yaml.safe_load((PROJECT / "inventories/ipvlan_gobgp_auto/fabric.yml").read_text())
    data["fabrics"]["lan"] = {"networks": {"main": {"ipv4": "192.168.252.0/24"}}}
    for host in data["hypervisors"].values():
        host["fabrics"]["lan"] = {}
    sessions = {one["name"]: one for one in resolved(data).host_vars["host1"]["bgp"]["sessions"]}
    met = {name: (sessions[name]["neighbor"], sessions[name]["multihop"]) for name in sessions if "host2" in name}
    assert met == {"host2_main_ipv4": ("192.168.252.2", None), "host2_main_ipv6": ("2001:db8:251::1", 64)}


def test_every_container_is_checked_against_those_it_can_and_cannot_reach(lab):
    found = lab.host_vars["quay"]["verify"]
    pings = {
        (one["namespace"], one["to_name"], one["family"]): one["expect"]
        for one in found
        if "namespace" in one and one["kind"] == "ping"
    }
    assert pings["q1", "p1", "ipv4"] == "reply"
    assert pings["q3", "p3", "ipv6"] == "reply"
    assert pings["q5", "q1", "ipv4"] == "silence"  # another VRF
    assert pings[None, "q6", "ipv4"] == "reply"
    assert pings[None, "q5", "ipv4"] == "silence"  # no link of the host among theirs


@given(st.lists(st.from_regex(r"c[a-z0-9]{1,6}", fullmatch=True), min_size=1, max_size=60, unique=True), st.data())
def test_addresses_stay_when_a_container_goes_unless_they_met(names, data):
    def given_to(chosen):
        intent = edited((f"{QUAY}.own.containers", {name: {} for name in chosen}))
        made = check(intent, Mistakes()).hypervisors["quay"].parts["own"].containers
        return {one.name: one.address["ipv4"] for one in made}

    before = given_to(names)
    assert len(set(before.values())) == len(names)
    gone = data.draw(st.sampled_from(names))
    after = given_to([name for name in names if name != gone])
    moved = {name for name, address in after.items() if before[name] != address}
    # Only those that had been pushed on by others can come back to where their names belong.
    assert all(int(before[name]) != int(after[name]) and name != gone for name in moved)
    assert len(moved) <= len(names) // 4 + 1
