"""What is sent to a switch: only what differs, in an order that the switch accepts, and nothing of others is lost."""

from __future__ import annotations

import pytest
from nxos_cases import CASES
from support.leaf_values import RESOLVED, values_of
from support.nxos_device import Device, Refused
from support.nxos_switch import OTHERS, data, push, steps
from support.templates import render

from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.plan import changes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.shown import block_changes, difference
from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.tree import commands, parse


def test_an_empty_switch_takes_the_text_from_top_to_bottom():
    for leaf in ("leaf_contiv", "leaf_full"):
        device = Device()
        text = render("nxos/leaf.cfg", data(leaf))
        device.send(text.splitlines())
        assert changes(text, "\n".join(device.show()), "\n".join(device.show(True))) == ([], [])


@pytest.mark.parametrize("leaf", RESOLVED)
def test_a_switch_takes_what_an_inventory_resolves(leaf):
    push(Device(), values_of(leaf))


def test_what_others_have_stays(device):
    lines = device.show()
    for line in OTHERS.strip().splitlines():
        assert line in lines


@pytest.mark.parametrize("case", CASES)
def test_only_what_differs_is_sent(device, case):
    change, wanted = CASES[case]
    values = data()
    change(values)
    assert push(device, values) == [line.strip() for line in wanted.strip().splitlines()]
    lines = device.show()
    assert all(line in lines for line in OTHERS.strip().splitlines())


def test_what_a_person_changed_is_set_back(device):
    device.send(["interface Vlan10", "mtu 1500", "no ip redirects", "ip address 192.0.2.1/24", "shutdown"])
    device.send(["router bgp 4200000500", "neighbor 50.1.1.1", "address-family ipv4 unicast", "next-hop-self"])
    sent = push(device, data())
    assert sent == [
        "interface Vlan10",
        *["mtu 9000", "ip address 50.1.1.2/24", "no shutdown"],
        "router bgp 4200000500",
        *["neighbor 50.1.1.1", "address-family ipv4 unicast", "no next-hop-self"],
    ]


@pytest.mark.parametrize("part", range(10, 250, 17))
def test_a_run_that_was_cut_off_is_completed_by_the_next(part):
    device = Device(OTHERS)
    shown, passwords = steps(device, data())
    device.send([*commands(shown), *commands(passwords)][:part])
    push(device, data())


def test_passwords_are_sent_again_only_if_asked_for(device):
    assert push(device, data()) == []
    sent = push(device, data(), replace_passwords=True)
    assert [line for line in sent if line.startswith("password")] == ["password 0 first-secret"] * 2 + [
        "password 0 second-secret"
    ] * 3


def test_changes_are_told_by_blocks_with_the_lines_that_go_and_come(device):
    values = data()
    values["leaf"]["interfaces"][1].update(addresses=["50.1.1.2/24", "2001:db8:50::3/64"])
    (change,) = block_changes(steps(device, values)[0])
    assert (change.kind, change.op, change.name) == ("blocks", "change", "interface Vlan10")
    assert change.before == {"lines": ["ipv6 address 2001:db8:50::2/64"]}
    assert change.after == {"lines": ["ipv6 address 2001:db8:50::3/64"]}
    assert {change.op for change in block_changes(steps(Device(OTHERS), values)[0])} == {"create", "change"}


def test_a_person_sees_what_comes_what_goes_and_where(device):
    values = data()
    values["leaf"]["interfaces"][1].update(addresses=["50.1.1.2/24", "2001:db8:50::3/64"])
    assert difference(steps(device, values)[0]) == [
        "  interface Vlan10",
        "+   ipv6 address 2001:db8:50::3/64",
        "-   ipv6 address 2001:db8:50::2/64",
    ]


def test_a_neighbors_as_may_be_shown_behind_its_address(device):
    old, new = "  neighbor 50.1.1.1\n    remote-as 65002", "  neighbor 50.1.1.1 remote-as 65002"
    texts = ["\n".join(device.show(complete)) for complete in (False, True)]
    assert all(old in text for text in texts)
    intended, secrets = (render(f"nxos/{file}", data()) for file in ("leaf.cfg", "secrets.cfg"))
    assert changes(intended, *(text.replace(old, new) for text in texts), secrets) == ([], [])


def test_a_line_that_hangs_is_told():
    with pytest.raises(ValueError, match="line 2 is indented"):
        parse("! comment\n  router-id 10.0.0.1\n")


def test_the_device_of_these_tests_refuses_what_a_switch_would():
    for lines in (
        ["router bgp 1"],
        ["interface Vlan1"],
        ["feature bgp", "router bgp 1", "neighbour 1.1.1.1"],
        ["interface Ethernet1/1", "vrf member blue"],
        ["no vlan 10"],
        ["vlan 1", "name hosts"],
        ["ip prefix-list A seq 5 permit 10.0.0.0/8", "ip prefix-list A seq 5 permit 10.0.0.0/9"],
    ):
        with pytest.raises(Refused):
            Device().send(lines)
