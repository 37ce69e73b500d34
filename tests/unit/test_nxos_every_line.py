"""Changes of a leaf that is in use: a switch applies each line at once, so each is checked (nxos_state.py)."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.nxos_device import Device, Refused
from support.nxos_state import send_checked
from support.nxos_switch import OTHERS, data, push, steps

from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.shown import difference
from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.tree import Conflict, commands


def interface(values: dict, name: str) -> dict:
    return next(one for one in values["leaf"]["interfaces"] if one["name"] == name)


def ospf(values: dict, name: str) -> dict:
    return next(one for one in values["ospf"]["interfaces"] if one["name"] == name)


# Passive: three states on a switch.


def passive(device: Device, name: str) -> list[str]:
    return [line for line in device.tree[f"interface {name}"] if line.endswith("passive-interface")]


@pytest.fixture
def passive_by_default() -> Device:
    """As switches are set up on which OSPF must be switched on for each interface."""
    device = Device(OTHERS)
    device.send(["feature ospf", "feature ospfv3"])
    for router in ("router ospf 500", "router ospfv3 500"):
        device.send([router, "passive-interface default", "vrf blue", "passive-interface default"])
    return device


def test_an_uplink_is_active_where_the_process_is_passive_by_default(passive_by_default):
    push(passive_by_default, data())
    for uplink in ("Ethernet1/49", "Ethernet1/50", "Ethernet1/51"):
        assert passive(passive_by_default, uplink) == [
            "no ip ospf passive-interface",
            "no ospfv3 passive-interface",
        ]
    assert passive(passive_by_default, "Vlan10") == ["ip ospf passive-interface", "ospfv3 passive-interface"]
    assert "passive-interface default" in passive_by_default.tree["router ospf 500"], "that is the administrator's"


def test_an_adjacency_that_an_administrator_switched_on_is_left_alone(device):
    device.send(["interface Ethernet1/49", "no ip ospf passive-interface", "no ospfv3 passive-interface"])
    assert push(device, data()) == []
    assert len(passive(device, "Ethernet1/49")) == 2


def test_an_uplink_that_was_made_passive_is_set_back_to_the_default(device):
    device.send(["interface Ethernet1/49", "ip ospf passive-interface", "ospfv3 passive-interface"])
    assert push(device, data()) == [
        "interface Ethernet1/49",
        "default ip ospf passive-interface",
        "default ospfv3 passive-interface",
    ]


def test_an_uplink_that_was_made_passive_is_active_again_where_that_takes_a_line(passive_by_default):
    push(passive_by_default, data())
    passive_by_default.send(["interface Ethernet1/49", "ip ospf passive-interface", "default ospfv3 passive-interface"])
    assert push(passive_by_default, data()) == [
        "interface Ethernet1/49",
        "no ip ospf passive-interface",
        "no ospfv3 passive-interface",
    ]


def test_a_network_of_hosts_becomes_one_of_leaves_and_back(device):
    values = data()
    ospf(values, "Vlan10")["passive"] = False
    assert push(device, values) == [
        "interface Vlan10",
        "default ip ospf passive-interface",
        "default ospfv3 passive-interface",
    ]
    assert push(device, data()) == ["interface Vlan10", "ip ospf passive-interface", "ospfv3 passive-interface"]


def test_a_line_that_is_negated_is_set_back_to_the_default_and_not_turned_into_its_opposite(device):
    device.send(["interface loopback0", "no ip redirects"])
    assert push(device, data()) == ["interface loopback0", "default ip redirects"]


# What moves from one block to another.


def swap(values: dict, one: str, other: str) -> None:
    first, second = interface(values, one), interface(values, other)
    first["addresses"], second["addresses"] = second["addresses"], first["addresses"]


@pytest.mark.parametrize(
    "pair", [("Vlan10", "Ethernet1/50"), ("Ethernet1/49", "Ethernet1/50"), ("loopback0", "Vlan20")]
)
def test_two_interfaces_change_their_addresses_for_each_other(device, pair):
    values = data()
    swap(values, *pair)
    push(device, values)


@pytest.mark.parametrize(("old", "new"), [("Ethernet1/50", "Ethernet1/52"), ("loopback0", "loopback1")])
def test_an_address_moves_to_an_interface_that_is_new(device, old, new):
    """The old interface is not intended any more."""
    values = data()
    for part in (interface(values, old), ospf(values, old)):
        part["name"] = new
    for session in values["bgp"]["sessions"]:
        session["update_source"] = new if session["update_source"] == old else session["update_source"]
    sent = push(device, values)
    assert sent[0] == ("default interface Ethernet1/50" if old.startswith("Eth") else "no interface loopback0")
    assert f"interface {old}" not in device.tree


def test_an_address_moves_to_a_vlan_of_its_own(device):
    values = data()
    values["leaf"]["vlans"].append({"id": 30, "name": "right"})
    values["leaf"]["interfaces"].append({**interface(values, "Vlan10"), "name": "Vlan30", "vlan": 30})
    interface(values, "Vlan10")["addresses"] = ["50.1.7.2/24"]
    values["leaf"]["acls"] = []
    sent = push(device, values)
    assert sent[:3] == ["interface Vlan10", "no ip address 50.1.1.2/24", "no ipv6 address 2001:db8:50::2/64"]


def test_interfaces_change_their_vrfs_and_keep_their_addresses(device):
    values = data()
    swap(values, "Vlan10", "Vlan20")
    for name, vrf in (("Vlan10", "blue"), ("Vlan20", None)):
        interface(values, name)["vrf"] = vrf
    values["leaf"]["acls"] = []
    values["ospf"]["interfaces"] = [one for one in values["ospf"]["interfaces"] if one["name"] != "Vlan10"]
    push(device, values)


def test_a_second_address_goes_ahead_of_the_first(device):
    values = data()
    interface(values, "Vlan10")["addresses"] += ["50.1.2.2/24", "50.1.3.2/24"]
    push(device, values)
    interface(values, "Vlan10")["addresses"] = ["2001:db8:50::2/64"]
    interface(values, "Vlan20")["addresses"] = ["10.20.0.1/24"]
    assert push(device, values)[1:4] == [
        "no ip address 50.1.2.2/24 secondary",
        "no ip address 50.1.3.2/24 secondary",
        "no ip address 50.1.1.2/24",
    ]


def test_a_port_with_addresses_becomes_one_of_hosts_and_its_addresses_move(device):
    values = data()
    (port,) = [one for one in values["leaf"]["interfaces"] if one["name"] == "Ethernet1/50"]
    values["leaf"]["interfaces"].remove(port)
    values["ospf"]["interfaces"].remove(ospf(values, "Ethernet1/50"))
    interface(values, "Vlan10")["addresses"] = port["addresses"]
    values["leaf"]["ports"].append({"name": "Ethernet1/50", "vlan": 10, "description": "host4", "mtu": 9000})
    push(device, values)
    push(device, data())


def test_another_length_of_an_ipv6_address_takes_the_place_of_the_first(device):
    values = data()
    interface(values, "Vlan10")["addresses"][1] = "2001:db8:50::2/127"
    assert push(device, values) == [
        "interface Vlan10",
        "no ipv6 address 2001:db8:50::2/64",
        "ipv6 address 2001:db8:50::2/127",
    ]


def test_an_address_that_overlaps_an_interface_of_others_is_refused_before_anything_is_sent(device):
    device.send(["interface Ethernet1/47", "no switchport", "ip address 50.2.0.1/16"])
    values = data()
    interface(values, "Vlan10")["addresses"].append("50.2.3.1/24")
    with pytest.raises(Conflict, match=r"Ethernet1/47 .* not ours, has 50.2.0.1/16: it overlaps 50.2.3.1/24 of Vlan10"):
        steps(device, values)
    # In another VRF it may.
    interface(values, "Vlan20")["addresses"].append(interface(values, "Vlan10")["addresses"].pop())
    push(device, values)


def test_two_vlans_change_their_names(device):
    values = data()
    values["leaf"]["vlans"] = [{"id": 10, "name": "blue-hosts"}, {"id": 20, "name": "left"}]
    assert push(device, values) == [
        *["vlan 10", "no name", "vlan 20", "no name"],
        *["vlan 10", "name blue-hosts", "vlan 20", "name left"],
    ]


def test_the_name_of_a_vlan_of_others_is_refused_before_anything_is_sent(device):
    values = data()
    values["leaf"]["vlans"][0]["name"] = "others"
    with pytest.raises(Conflict, match="vlan 99 of the switch is called others, as vlan 10 is to be"):
        steps(device, values)


def renumbered() -> dict:
    values = data()
    old, values["bgp"]["as"] = values["bgp"]["as"], 65500
    for session in values["bgp"]["sessions"]:
        session["local_as"] = 65500
        session["neighbor_as"] = 65500 if session["neighbor_as"] == old else session["neighbor_as"]
    return values


def test_another_as_of_the_leaf_is_refused_unless_it_is_asked_for(device):
    with pytest.raises(Conflict) as refused:
        steps(device, renumbered())
    assert str(refused.value) == (
        "the switch runs router bgp 4200000500, and takes no router bgp 65500 beside it. nxos_replace_bgp: true "
        "removes it first, with all its sessions, also those of others: neighbor 192.0.2.9"
    )
    sent = push(device, renumbered(), replace_bgp=True)
    assert sent[0] == "no router bgp 4200000500" and "router bgp 65500" in sent
    assert sent.count("password 0 second-secret") == 3, "a new instance has no passwords"


def test_what_goes_with_an_instance_of_bgp_is_shown(device):
    shown = difference(steps(device, renumbered(), replace_bgp=True)[0])
    assert shown[0] == "- router bgp 4200000500"
    assert {"-   neighbor 192.0.2.9", "-     remote-as 65099", "-     password"} < set(shown)
    assert not any("password 3" in line for line in shown)


def test_an_as_in_dots_is_the_same_as(device):
    # 64086 * 65536 + 59904 and so on, as `as-format asdot` shows them.
    dotted = f"{4200000500 // 65536}.{4200000500 % 65536}"

    class Dotted(Device):
        def show(self, complete=False, tree=None, indent="", head=""):
            lines = super().show(complete, tree, indent, head)
            return [line.replace("4200000500", dotted) for line in lines]

    switch = Dotted()
    switch.tree = device.tree
    assert any(dotted in line for line in switch.show())
    assert steps(switch, data()) == ([], [])


# Lists that are in use.


def prefixes(*given: str) -> list[dict]:
    return [{"prefix": prefix, "family": "ipv4", "longest": 32} for prefix in given]


def entries(device: Device, name: str) -> list[str]:
    return [line.split(" seq ")[1] for line in device.tree if f" prefix-list {name} " in line]


def test_a_prefix_that_sorts_first_is_added_beside_the_others(device):
    values = data()
    values["bgp"]["policies"][0]["permit"][:2] = prefixes("10.1.0.0/16", "192.168.1.0/24", "192.168.2.0/24")
    assert push(device, values) == ["ip prefix-list CONTAINERS-IPV4 seq 30 permit 10.1.0.0/16 le 32"]
    assert push(device, data()) == ["no ip prefix-list CONTAINERS-IPV4 seq 30 permit 10.1.0.0/16 le 32"]


def test_a_list_with_all_its_prefixes_replaced_is_never_empty(device):
    values = data()
    values["bgp"]["policies"][0]["permit"] = prefixes("10.1.0.0/16")
    sent = [line for line in push(device, values) if "CONTAINERS-IPV4" in line]
    assert sent[0] == "ip prefix-list CONTAINERS-IPV4 seq 30 permit 10.1.0.0/16 le 32"
    assert entries(device, "CONTAINERS-IPV4") == ["30 permit 10.1.0.0/16 le 32"]


def test_a_policy_loses_its_last_prefix_and_gets_one_again(device):
    values = data()
    values["bgp"]["policies"][0]["permit"] = []
    push(device, values)
    assert [line for line in device.tree if line.startswith("route-map CONTAINERS-IPV4 ")] == [
        "route-map CONTAINERS-IPV4 deny 11"
    ]
    push(device, data())


def test_an_entry_that_permits_everything_is_removed(device):
    device.send(["ip prefix-list CONTAINERS-IPV4 seq 5 permit 0.0.0.0/0 le 32"])
    assert push(device, data()) == ["no ip prefix-list CONTAINERS-IPV4 seq 5 permit 0.0.0.0/0 le 32"]


def test_a_clause_that_asks_another_list_is_replaced_without_admitting_everything(device):
    device.send(["ip prefix-list MINE seq 5 permit 192.168.0.0/16 le 32", "route-map CONTAINERS-IPV4 permit 10"])
    device.send(["route-map CONTAINERS-IPV4 permit 10", "no match ip address prefix-list CONTAINERS-IPV4"])
    device.send(["route-map CONTAINERS-IPV4 permit 10", "match ip address prefix-list MINE"])
    shown = difference(steps(device, data())[0])
    assert shown == [
        "+ route-map CONTAINERS-IPV4 permit 21",
        "+   match ip address prefix-list CONTAINERS-IPV4",
        "- route-map CONTAINERS-IPV4 permit 10",
    ]
    assert push(device, data())[0] == "route-map CONTAINERS-IPV4 deny 20"


def rules(device: Device) -> list[str]:
    lines = sorted(device.tree["ip access-list FROM-HOSTS"], key=lambda line: int(line.split()[0]))
    return [line.split(maxsplit=1)[1] for line in lines]


def test_an_access_list_is_changed_while_its_interfaces_use_a_copy_of_the_new_one(device):
    values = data()
    own = values["leaf"]["acls"][0]["rules"]
    own.reverse()
    sent = push(device, values)
    assert sent[0] == "ip access-list FROM-HOSTS-NEXT"
    assert sent[7:10] == ["interface Vlan10", "ip access-group FROM-HOSTS-NEXT in", "ip access-list FROM-HOSTS"]
    assert sent[-3:] == ["interface Vlan10", "ip access-group FROM-HOSTS in", "no ip access-list FROM-HOSTS-NEXT"]
    assert rules(device)[0] == "permit ip any any" and "ip access-list FROM-HOSTS-NEXT" not in device.tree
    # A person sees the difference, not the way there.
    assert not any("NEXT" in line for line in difference(steps(device, data())[0]))


def test_a_copy_of_an_access_list_that_a_run_left_behind_is_removed(device):
    values = data()
    values["leaf"]["acls"][0]["rules"].reverse()
    lines = commands(steps(device, values)[0])
    for part in range(len(lines)):
        other = copy.deepcopy(device)
        other.send(lines[:part])
        push(other, values)
        assert "ip access-list FROM-HOSTS-NEXT" not in other.tree, part


def test_static_routes_are_replaced_one_beside_the_other(device):
    values = data()
    values["leaf"]["static"][0]["next_hop"] = "50.1.1.8"
    push(device, values)


def test_routes_of_ours_leave_a_vrf_that_is_not_intended_any_more(device):
    device.send(
        ["vrf context red", "ip route 10.1.0.0/16 10.0.0.1 name routed.hypervisor", "ip route 10.2.0.0/16 10.0.0.1"]
    )
    assert push(device, data()) == ["vrf context red", "no ip route 10.1.0.0/16 10.0.0.1 name routed.hypervisor"]


# Neighbors.


def test_a_neighbor_that_a_run_left_down_is_brought_up_by_the_next(device):
    lines = commands(steps(Device(OTHERS), data())[0])
    fresh = Device(OTHERS)
    fresh.send(lines)  # the run ended ahead of the passwords
    bgp = fresh.tree["router bgp 4200000500"]
    assert "shutdown" in bgp["neighbor 50.1.1.1"] and "shutdown" not in bgp["neighbor 10.254.0.2"]
    sent = push(fresh, data())
    assert sent[1:4] == ["neighbor 50.1.1.1", "password 0 first-secret", "no shutdown"]
    assert not any("shutdown" in below for below in bgp.values())


def test_a_neighbor_that_gains_a_family_is_down_while_that_has_no_route_map(device):
    values = data()
    values["bgp"]["sessions"][0]["families"] = ["ipv4", "ipv6"]
    sent = push(device, values)
    assert (sent[2], sent[-1]) == ("shutdown", "no shutdown")


# VLANs and MTUs.


def test_vlan_1_is_there_in_whichever_form_it_is_shown(device):
    values = data()
    values["leaf"]["vlans"].insert(0, {"id": 1, "name": None})
    assert "vlan 1,99,10,20" in device.show()
    assert push(device, values) == []


def test_a_port_has_the_jumbo_mtu_while_its_vlan_has_more_than_1500(device):
    assert "mtu 9216" in device.tree["interface Ethernet1/1"]
    assert not any(line.startswith("mtu") for line in device.tree["interface Ethernet1/3"])
    values = data()
    values["leaf"]["ports"][0]["mtu"] = 1500
    assert push(device, values) == ["interface Ethernet1/1", "no mtu 9216"]


@pytest.mark.parametrize(
    "lines",
    [
        ["interface Ethernet1/9", "mtu 9000"],
        ["vlan 3968"],
        ["feature interface-vlan", "interface Vlan4094"],
        ["feature bgp", "router bgp 1", "router bgp 2"],
        [
            *["feature interface-vlan", "interface Vlan1", "ip address 10.0.0.1/24"],
            *["interface loopback0", "ip address 10.0.0.9/32"],
        ],
        ["vlan 10", "name one", "vlan 11", "name one"],
        ["route-map A deny 10", "route-map A permit 10"],
        ["interface loopback0", "ipv6 address 2001:db8::1/64", "ipv6 address 2001:db8::1/127"],
        ["ip prefix-list A seq 5 permit 10.0.0.0/8", "ip prefix-list A seq 6 permit 10.0.0.0/8"],
    ],
)
def test_the_emulated_switch_refuses_what_a_real_one_does(lines):
    with pytest.raises(Refused):
        Device().send(lines)


def test_a_prefix_that_is_permitted_twice_is_one_entry(device):
    values = data()
    values["bgp"]["policies"][0]["permit"] += prefixes("10.77.0.0/16", "10.77.0.0/16")
    entries = [line for line in push(device, values) if "10.77.0.0/16" in line]
    assert len(entries) == 1
    assert steps(device, values) == ([], [])


# Anything, many times.


def _shuffled_prefixes(values, choose):
    for policy in values["bgp"]["policies"]:
        choose.shuffle(policy["permit"])
        policy["permit"] = policy["permit"][choose.randrange(3) :] + prefixes(f"10.{choose.randrange(9)}.0.0/16")


def _shuffled_rules(values, choose):
    for acl in values["leaf"]["acls"]:
        choose.shuffle(acl["rules"])
        acl["rules"] = acl["rules"][choose.randrange(3) :]


def _swapped(values, choose):
    swap(values, *(one["name"] for one in choose.sample(values["leaf"]["interfaces"], 2)))


def _renamed(values, choose):
    one = choose.choice(values["leaf"]["interfaces"][3:])
    new = f"Ethernet1/{60 + choose.randrange(9)}"
    if all(other["name"] != new for other in values["leaf"]["interfaces"]):
        for part in (*values["ospf"]["interfaces"], *values["bgp"]["sessions"]):
            for key in ("name", "update_source"):
                part[key] = new if part.get(key) == one["name"] else part.get(key)
        one["name"] = new


def _other_vrf(values, choose):
    one = choose.choice(values["leaf"]["interfaces"])
    one["vrf"] = choose.choice([None, "blue"])
    for other in values["ospf"]["interfaces"]:
        other["vrf"] = one["vrf"] if other["name"] == one["name"] else other["vrf"]


def _passive(values, choose):
    one = choose.choice(values["ospf"]["interfaces"][1:])
    one["passive"] = not one["passive"]


def _without_session(values, choose):
    values["bgp"]["sessions"].pop(choose.randrange(len(values["bgp"]["sessions"])))


def _other_as(values, choose):
    choose.choice(values["bgp"]["sessions"])["neighbor_as"] = 65000 + choose.randrange(9)


def _policy(values, choose):
    choose.choice(values["bgp"]["sessions"])["import_policy"] = choose.choice(
        ["CONTAINERS", "BLUE-SUBNETS", "TO-HOSTS"]
    )


def _empty_policy(values, choose):
    choose.choice(values["bgp"]["policies"])["permit"] = []


def _names(values, choose):
    choose.shuffle(names := [vlan["name"] for vlan in values["leaf"]["vlans"]])
    for vlan, name in zip(values["leaf"]["vlans"], names, strict=True):
        vlan["name"] = name


def _ports(values, choose):
    one = choose.choice(values["leaf"]["ports"])
    one.update(vlan=choose.choice([10, 20]), mtu=choose.choice([None, 9000]))


def _second_addresses(values, choose):
    for number in choose.sample(range(9), 3):
        choose.choice(values["leaf"]["interfaces"])["addresses"].append(f"10.77.{number}.1/24")


CHANGES = [
    *[_shuffled_prefixes, _shuffled_rules, _swapped, _renamed, _other_vrf, _passive, _without_session, _other_as],
    *[_policy, _empty_policy, _names, _ports, _second_addresses],
]


@settings(
    max_examples=12,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=6), st.randoms(use_true_random=False), st.floats(0, 1))
def test_no_line_of_any_change_opens_or_breaks_anything(configured, picked, choose, part):
    """There, and back after a run that was cut off."""
    device, values = copy.deepcopy(configured), data()
    for change in picked:
        change(values, choose)
    shown, passwords = steps(device, values)
    lines = [*commands(shown), *commands(passwords)]
    send_checked(device, lines[: round(len(lines) * part)])
    push(device, values)
    push(device, data())
