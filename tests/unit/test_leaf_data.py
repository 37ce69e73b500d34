"""What leaves are configured from, and what is verified on them, resolved from the two inventories that have them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from support import production
from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.module_utils._verify import kernel
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

ONE, PAIRS = (
    yaml.safe_load(Path(PROJECT, "inventories", name, "fabric.yml").read_text())
    for name in ("contiv_leaf", "contiv_leaf_ha")
)


def resolved(data: dict) -> dict:
    """The variables of all hosts."""
    mistakes = Mistakes()
    intent = check(copy.deepcopy(data), mistakes)
    assert not mistakes, mistakes.lines()
    return inventory(intent, owner="/somewhere").host_vars


@pytest.fixture(scope="module")
def one() -> dict:
    return resolved(ONE)


@pytest.fixture(scope="module")
def pairs() -> dict:
    return resolved(PAIRS)


def routes(host: dict, prefix: str) -> tuple[list[str], list[str]]:
    """(next hops, interfaces) that are verified on a host."""
    (found,) = [one for one in host["verify"] if one["kind"] == "route" and one["prefix"] == prefix]
    return found["nexthops"], found.get("interfaces", [])


def test_hosts_have_every_way_to_containers_elsewhere(one, pairs):
    assert routes(one["contiv1"], "192.168.1.2/32") == (["50.1.1.2"], [])
    assert routes(pairs["host1"], "192.168.1.2/32") == (["10.1.1.254", "10.1.2.254"], [])
    assert routes(pairs["host1"], "2001:db8:192:1::2/128") == (["2001:db8:1:1::fe", "2001:db8:1:2::fe"], [])


def test_leaves_have_every_way_to_containers_elsewhere(one, pairs):
    assert routes(one["switch1"], "192.168.1.3/32") == (["50.1.1.1"], [])
    assert routes(one["switch1"], "192.168.1.2/32") == (["80.1.1.2"], [])
    assert routes(pairs["leaf1"], "192.168.1.3/32") == (["10.1.1.1"], [])
    by_both_of_the_pair = ["10.80.1.3", "10.80.2.3", "10.80.1.4", "10.80.2.4"]
    assert routes(pairs["leaf1"], "192.168.1.2/32") == (by_both_of_the_pair, [])
    # Link-local neighbours, which nobody decides on: the interfaces are known.
    assert routes(pairs["leaf1"], "2001:db8:192:1::2/128") == ([], ["Ethernet1-49", "Ethernet1-50"])


def test_of_a_link_local_next_hop_the_interface_counts(monkeypatch):
    hop = {"gateway": "fe80::1", "dev": "north"}
    shown = [
        {"dst": "2001:db8::1", "nexthops": [hop, {**hop, "gateway": "fe80::2"}, {**hop, "dev": "south"}]},
        {"dst": "2001:db8::2", "gateway": "2001:db8:1::1", "dev": "north"},
    ]
    monkeypatch.setattr(kernel, "run_json", lambda argv: shown)
    table = kernel.routes("ipv6", 254)
    wanted = {"prefix": "2001:db8::1/128", "nexthops": [], "interfaces": ["north", "south"]}
    assert kernel.verify_route(wanted, table) == (True, "north, south")
    assert not kernel.verify_route({**wanted, "interfaces": ["north"]}, table)[0]
    assert not kernel.verify_route({**wanted, "nexthops": ["fe80::1"]}, table)[0]
    assert kernel.verify_route({"prefix": "2001:db8::2/128", "nexthops": ["2001:db8:1::1"]}, table)[0]


def test_another_way_is_found_before_a_session_between_loopbacks_gives_up(pairs):
    timers = pairs["leaf1"]["bgp"]["timers"]
    # The last sign of life may have come as long ago as the next one is due.
    assert pairs["leaf1"]["ospf"]["timers"]["dead_s"] < timers["hold_s"] - timers["keepalive_s"]


def neighbors(host: dict) -> dict[tuple[str, str], dict]:
    """Those of a leaf, by name and family."""
    return {(one["name"].split("_")[0], family): one for one in host["bgp"]["sessions"] for family in one["families"]}


def edited(data: dict, change) -> dict:
    data = copy.deepcopy(data)
    change(data)
    return resolved(data)


def test_leaves_all_speak_to_each_other_and_to_their_hosts_in_both_families(pairs):
    everyone = {"leaf1", "leaf2", "leaf3", "leaf4"}
    for number, host in enumerate(("host1", "host1", "host2", "host2"), 1):
        name = f"leaf{number}"
        found = neighbors(pairs[name])
        assert found.keys() == {(one, family) for one in everyone - {name} | {host} for family in ("ipv4", "ipv6")}
        internal = {one for (one, _family), facts in found.items() if facts["neighbor_as"] == facts["local_as"]}
        assert internal == everyone - {name}


def test_leaves_speak_by_loopbacks_and_keep_the_next_hop_which_ospf_leads_to(pairs):
    found = neighbors(pairs["leaf1"])["leaf3", "ipv6"]
    assert (found["neighbor"], found["local_address"]) == ("2001:db8:255::3", "2001:db8:255::1")
    assert (found["update_source"], found["neighbor_as"], found["next_hop"]) == ("loopback0", 500, "keep")
    assert (found["interface"], found["ttl_security"]) == (None, False)
    assert {one["name"]: one["passive"] for one in pairs["leaf1"]["ospf"]["interfaces"]} == {
        "loopback0": True,
        "Vlan11": True,  # so its network, where next hops are, is known to all
        "Ethernet1-49": False,
        "Ethernet1-50": False,
    }
    assert pairs["leaf1"]["ospf"]["families"] == ["ipv4", "ipv6"]


def test_without_loopbacks_the_first_networks_are_the_ends_of_sessions(one):
    found = neighbors(one["switch1"])["switch2", "ipv4"]
    assert (found["local_address"], found["neighbor"], found["update_source"]) == ("50.1.1.2", "60.1.1.4", "Vlan1")
    backbone = {"name": "Ethernet1-44", "vrf": None, "passive": False, "network": "point-to-point"}
    assert one["switch1"]["ospf"]["interfaces"][-1] == backbone


def test_without_ospf_a_leaf_is_the_next_hop_itself():
    def change(data):
        del data["ospf"]
        for leaf in data["leaves"].values():
            leaf["fabrics"] = dict(sorted(leaf["fabrics"].items()))

    leaf = edited(ONE, change)["switch1"]
    found = neighbors(leaf)
    assert found["switch2", "ipv4"]["next_hop"] == "self"
    assert (found["switch2", "ipv4"]["neighbor"], found["switch2", "ipv4"]["update_source"]) == (
        "80.1.1.2",
        "Ethernet1-44",
    )
    assert leaf["ospf"] is None


def test_an_as_is_replaced_only_where_hosts_share_it(one):
    assert neighbors(one["switch1"])["contiv1", "ipv4"]["as_override"]
    assert not neighbors(one["switch1"])["switch2", "ipv4"]["as_override"]
    different = edited(ONE, lambda data: data["hypervisors"]["contiv2"].update({"as": 65003}))
    assert not neighbors(different["switch1"])["contiv1", "ipv4"]["as_override"]
    assert not neighbors(different["switch2"])["contiv2", "ipv4"]["as_override"]


def test_a_host_is_on_the_network_and_can_announce_only_so_much(one):
    found = neighbors(one["switch1"])["contiv1", "ipv4"]
    assert (found["interface"], found["update_source"], found["multihop"]) == ("Vlan1", None, None)
    assert found["ttl_security"]
    assert found["maximum_prefix"] == 1000
    assert neighbors(one["switch1"])["switch2", "ipv4"]["maximum_prefix"] is None
    fewer = edited(ONE, lambda data: data["leaves"]["switch1"].update(maximum_prefix=20))
    assert neighbors(fewer["switch1"])["contiv1", "ipv4"]["maximum_prefix"] == 20
    assert neighbors(fewer["switch2"])["contiv2", "ipv4"]["maximum_prefix"] == 1000


def test_ttl_security_can_be_left_out():
    data = edited(ONE, lambda data: data["bgp"].update(ttl_security=False))
    assert not neighbors(data["switch1"])["contiv1", "ipv4"]["ttl_security"]


def test_only_containers_subnets_are_admitted_whichever_way(pairs):
    for leaf in ("leaf1", "leaf2", "leaf3", "leaf4"):
        made = pairs[leaf]["bgp"]
        assert made["policies"] == [
            {
                "name": "CONTAINERS",
                "permit": [
                    {"prefix": "192.168.1.0/24", "family": "ipv4", "longest": 32},
                    {"prefix": "2001:db8:192:1::/64", "family": "ipv6", "longest": 128},
                ],
            }
        ]
        assert {one[way] for one in made["sessions"] for way in ("import_policy", "export_policy")} == {"CONTAINERS"}
        assert made["redistribute"] == []


def test_a_hosts_own_prefix_is_admitted_if_it_is_announced():
    def own(data, announce):
        data["container_networks"]["own"] = {"vrf": "main", "announce": announce}
        data["hypervisors"]["contiv1"]["container_networks"]["own"] = {"ipv4": "10.9.1.0/24", "containers": {"c1": {}}}

    told = edited(ONE, lambda data: own(data, "subnet"))["switch2"]["bgp"]["policies"][0]["permit"]
    assert [entry["prefix"] for entry in told] == ["192.168.1.0/24", "10.9.1.0/24"]
    silent = edited(ONE, lambda data: own(data, "none"))["switch2"]["bgp"]["policies"][0]["permit"]
    assert [entry["prefix"] for entry in silent] == ["192.168.1.0/24"]


STATIC = {"main": {"60.1.1.4/32": "80.1.1.2", "10.9.0.0/16": "50.1.1.9"}}


def test_static_routes_are_redistributed_by_a_policy_that_lists_them_and_admitted_by_other_leaves():
    made = edited(ONE, lambda data: data["leaves"]["switch1"].update(static=STATIC))
    one, other = made["switch1"], made["switch2"]
    assert [(route["prefix"], route["next_hop"]) for route in one["leaf"]["static"]] == list(STATIC["main"].items())
    source = {"source": "static", "vrf": None, "family": "ipv4", "policy": "STATIC"}
    assert (one["bgp"]["redistribute"], other["bgp"]["redistribute"]) == ([source], [])
    listed = {policy["name"]: [entry["prefix"] for entry in policy["permit"]] for policy in one["bgp"]["policies"]}
    assert listed["STATIC"] == list(STATIC["main"])
    assert listed["ANNOUNCED"] == [*listed["CONTAINERS"], *listed["STATIC"]]
    found = neighbors(other)
    assert (found["switch1", "ipv4"]["import_policy"], found["switch1", "ipv4"]["export_policy"]) == ("ANNOUNCED",) * 2
    # Hosts receive them, and cannot announce them.
    assert (found["contiv2", "ipv4"]["import_policy"], found["contiv2", "ipv4"]["export_policy"]) == (
        "CONTAINERS",
        "ANNOUNCED",
    )


def test_a_leaf_with_bird_announces_its_static_routes_and_the_kernel_has_them():
    def change(data):
        del data["ospf"]
        for leaf in data["leaves"].values():
            leaf.update(platform="bird", fabrics=dict(sorted(leaf["fabrics"].items())))
        data["hypervisors"]["contiv2"]["as"] = 65003
        data["leaves"]["switch1"]["static"] = STATIC

    made = edited(ONE, change)["switch1"]
    assert made["bgp"]["tables"][0]["static"] == [{"prefix": prefix} for prefix in STATIC["main"]]
    assert made["network"]["routes"][1] == {
        "prefix": "10.9.0.0/16",
        "table": 254,
        "nexthops": [{"gateway": "50.1.1.9", "interface": "Vlan1"}],
    }


def test_ports_are_in_the_vlan_of_their_interface_and_vlan_1_has_no_name(one, pairs):
    assert pairs["leaf3"]["leaf"]["vlans"] == [{"id": 21, "name": "rack2a"}]
    assert [(port["name"], port["vlan"]) for port in pairs["leaf3"]["leaf"]["ports"]] == [("Ethernet1/1", 21)]
    assert one["switch1"]["leaf"]["vlans"] == [{"id": 1, "name": None}]
    assert [(port["name"], port["vlan"]) for port in one["switch1"]["leaf"]["ports"]] == [("Ethernet1/1", 1)]


def test_bfd_guards_hosts_and_not_sessions_that_other_ways_carry_on():
    def change(data):
        data["bgp"] = {"as": 500, "peering": "configured", "bfd": {"interval_ms": 300, "multiplier": 3}}

    leaf = edited(PAIRS, change)["leaf1"]
    assert leaf["bgp"]["bfd"] == {"interval_ms": 300, "multiplier": 3}
    assert {name for (name, _family), one in neighbors(leaf).items() if one["bfd"]} == {"host1"}


def test_a_switch_is_checked_by_no_module():
    def change(data):
        del data["lab"]
        for leaf in data["leaves"].values():
            leaf["platform"] = "nxos"

    made = edited(PAIRS, change)
    assert "verify" not in made["leaf1"] and "network" not in made["leaf1"]
    assert made["host1"]["verify"] != []


def test_ports_have_the_mtu_of_their_fabric():
    leaf = edited(ONE, lambda data: data["fabrics"]["rack1"].update(mtu=9000))["switch1"]["leaf"]
    assert [(port["name"], port["mtu"]) for port in leaf["ports"]] == [("Ethernet1/1", 9000)]
    assert edited(ONE, lambda data: None)["switch1"]["leaf"]["ports"][0]["mtu"] is None


def test_the_way_between_guests_is_traced_only_where_no_leaf_is_on_it():
    text = yaml.safe_dump({**production.fleet(4), "lab": {}}, sort_keys=False)
    fleet = yaml.safe_load(text.replace(f".{production.DOMAIN}", "").replace("platform: nxos", "platform: frr"))
    found = resolved(fleet)["web1"]["verify"]
    traced = {expected["to_name"] for expected in found if expected["kind"] == "trace"}
    pinged = {expected["to_name"] for expected in found if expected["kind"] == "ping" and expected["expect"] == "reply"}
    assert (traced, pinged) == ({"web2"}, {"web2", "web3", "web4"})
