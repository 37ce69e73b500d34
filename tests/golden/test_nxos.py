"""The text of NX-OS leaves, byte for byte, and its structure: what planted mistakes show."""

from __future__ import annotations

import copy
import difflib
import itertools
import os
import re

import jinja2
import pytest
import yaml
from support.leaf_values import BY_HAND, RESOLVED, values_of
from support.nxos_structure import mistakes
from support.templates import GOLDEN, render, variables

from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.tree import parse

LEAVES = [*BY_HAND, *RESOLVED]
FILES = ["leaf.cfg", "secrets.cfg"]
FULL = "leaf_full"


def text_of(values: dict, file: str = "leaf.cfg") -> str:
    return render(f"nxos/{file}", values)


def changed(name: str, change) -> str:
    values = copy.deepcopy(variables(name))
    change(values)
    return text_of(values)


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("file", FILES)
def test_the_text_is_the_same_as_ever(leaf, file):
    golden = GOLDEN / "templates" / leaf / file
    text = text_of(values_of(leaf), file)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    managed = f"! Managed by Routed Hypervisor (templates/nxos/{file}.j2): changes made here are overwritten."
    assert text.splitlines()[0] == managed


@pytest.mark.parametrize("leaf", LEAVES)
def test_the_structure_is_right(leaf):
    assert mistakes(text_of(values_of(leaf))) == []


def test_passwords_are_in_the_secrets_file_only():
    values = variables(FULL)
    for password in values["bgp_passwords"].values():
        assert password not in text_of(values)
        assert password in text_of(values, "secrets.cfg")


def test_the_password_of_an_area_is_on_every_interface_with_neighbors_and_in_the_secrets_file_only():
    values = {**variables(FULL), "ospf_passwords": {"0.0.0.0": "an-area-secret"}}
    _authentication(values)
    assert "an-area-secret" not in text_of(values)
    text = text_of(values, "secrets.cfg")
    for interface in ("Ethernet1/49", "Ethernet1/50", "Ethernet1/51"):
        assert f"interface {interface}\n  ip ospf message-digest-key 7 md5 0 an-area-secret\n" in text
    assert text.count("an-area-secret") == 3
    text = text_of(values)
    assert text.count("area 0.0.0.0 authentication message-digest\n") == 2, "in no VRF, and in blue"
    assert mistakes(text) == []


def test_a_variable_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        changed(FULL, lambda values: values["bgp"]["sessions"][0].pop("neighbor"))


PLANTED = yaml.safe_load((GOLDEN / "data" / "nxos_planted.yml").read_text())


def _ipv6(values):
    values["ospf"]["families"].append("ipv6")
    for interface, prefix in zip(values["leaf"]["interfaces"], ("2001:db8:50::2/64", "2001:db8:80::1/64"), strict=True):
        interface["addresses"].append(prefix)
    more = {"name": "contiv1_ipv6", "families": ["ipv6"], "neighbor": "2001:db8:50::1"}
    more["local_address"] = "2001:db8:50::2"
    values["bgp"]["sessions"].append({**values["bgp"]["sessions"][0], **more})
    for policy in values["bgp"]["policies"]:
        policy["permit"].append({"prefix": "2001:db8:1::/64", "family": "ipv6", "longest": 128})


def _vrf(values):
    values["leaf"]["vrfs"].append({"name": "blue"})
    values["bgp"]["instances"].append({"name": "blue", "vrf": "blue", "listen": []})
    values["bgp"]["sessions"][0].update(instance="blue", vrf="blue")
    for part in (values["leaf"], values["ospf"]):
        part["interfaces"][0]["vrf"] = "blue"


def _bfd(values):
    values["bgp"]["bfd"] = {"interval_ms": 100, "multiplier": 4}
    values["bgp"]["sessions"][0]["bfd"] = True


def _loopbacks(values):
    interfaces, sessions = values["leaf"]["interfaces"], values["bgp"]["sessions"]
    loopback = {"name": "loopback0", "kind": "loopback", "description": "router id", "addresses": ["10.255.0.1/32"]}
    interfaces.insert(0, {**interfaces[1], **loopback})
    values["ospf"]["interfaces"].insert(0, {"name": "loopback0", "vrf": None, "passive": True, "network": None})
    sessions[1].update(update_source="loopback0", neighbor="10.255.0.2")
    sessions[0].update(update_source="loopback0", neighbor="10.254.0.1", ttl_security=False, multihop=2)


def _access_list(values):
    rule = {"action": "permit", "protocol": "tcp", "source": "50.1.1.0/24", "source_port": None}
    rules = [{**rule, "destination": "50.1.1.2/32", "port": 179}]
    acl = {"name": "BGP", "family": "ipv4", "interface": "Vlan10", "direction": "in", "rules": rules}
    values["leaf"]["acls"] = [acl]


def _ospf_timers(values):
    values["ospf"]["timers"] = {"hello_s": 1, "dead_s": 4}
    values["ospf"]["interfaces"][1]["network"] = "point-to-point"


def _authentication(values):
    values["ospf"]["authentication"] = {"key_id": 7, "password_key": "0.0.0.0"}


def _connected(values):
    own = {"source": "connected", "vrf": None, "family": "ipv4", "policy": "TO-HOSTS"}
    values["bgp"]["redistribute"] = [own]


# What one feature adds to leaf_contiv, or takes from it.
FEATURES = {
    "ipv6": _ipv6,
    "vrf": _vrf,
    "bfd": _bfd,
    "loopbacks": _loopbacks,
    "access_list": _access_list,
    "ospf_timers": _ospf_timers,
    "connected": _connected,
    "authentication": _authentication,
    "mtu": lambda values: values["leaf"]["interfaces"][1].update(mtu=9216),
    "next_hop_self": lambda values: values["bgp"]["sessions"][1].update(next_hop="self"),
    "no_limit": lambda values: values["bgp"]["sessions"][0].update(maximum_prefix=None),
    "own_as": lambda values: values["bgp"]["sessions"][0].update(neighbor_as=65003, as_override=False),
    "compare_med": lambda values: values["bgp"].update(compare_med=True),
    "one_path": lambda values: values["bgp"].update(maximum_paths=1),
    "no_descriptions": lambda values: [part.update(description=None) for part in values["leaf"]["interfaces"]],
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_adds_the_same_as_ever(feature):
    golden = GOLDEN / "templates" / "leaf_features" / f"{feature}.diff"
    before, after = (
        text.splitlines() for text in (text_of(variables("leaf_contiv")), changed("leaf_contiv", FEATURES[feature]))
    )
    text = "".join(
        f"{line}\n" for line in difflib.unified_diff(before, after, "leaf_contiv", feature, lineterm="", n=2)
    )
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    assert mistakes("\n".join(after) + "\n") == []


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted["told"])
def test_a_planted_mistake_is_seen(planted):
    text = (GOLDEN / "templates" / FULL / "leaf.cfg").read_text()
    assert planted["right"] in text
    seen = mistakes(text.replace(planted["right"], planted["wrong"], 1))
    assert any(planted["told"] in mistake for mistake in seen), seen


def test_what_definitions_need_stands_above_them():
    text = text_of(variables(FULL))
    section = text[text.index("route-map CONTAINERS-IPV4 permit 10") : text.index("ip access-list")]
    assert any("is not defined above" in mistake for mistake in mistakes(text.replace(section, "") + section))


def test_only_what_a_policy_lists_is_announced():
    """No access list is behind a route map, and no route map permits what no list names."""
    for leaf in LEAVES:
        lines = text_of(values_of(leaf)).splitlines()
        for place, line in enumerate(lines):
            if line.startswith("route-map ") and " permit " in line:
                assert " prefix-list " in lines[place + 1]
        assert not any(line.strip().startswith("redistribute") and "route-map" not in line for line in lines)


def test_a_map_asks_lists_of_its_own_family_only():
    """Whatever a switch makes of an IPv6 route in a clause that asks an IPv4 list."""
    for leaf in LEAVES:
        lines = text_of(values_of(leaf)).splitlines()
        for above, line in itertools.pairwise(lines):
            if line.startswith("  match "):
                assert line.startswith("  match ipv6 ") == above.split()[1].endswith("-IPV6")
        families = {"ipv4": set(), "ipv6": set()}
        for line in lines:
            if line.strip().startswith("address-family "):
                family = line.split()[1]
            elif found := re.fullmatch(r" +(?:redistribute \S+ )?route-map (\S+)(?: in| out)?", line):
                families[family].add(found[1])
        assert {name[-5:] for name in families["ipv4"]} == {"-IPV4"}
        assert {name[-5:] for name in families["ipv6"]} <= {"-IPV6"}


def test_a_policy_without_prefixes_in_a_family_denies_there():
    text = changed(FULL, lambda values: values["bgp"]["policies"][0]["permit"].pop(2))
    assert "route-map CONTAINERS-IPV6 deny 10\n" in text and "prefix-list CONTAINERS-IPV6" not in text
    assert mistakes(text) == []


def test_vlan_1_is_written_where_it_is_used_and_has_no_name():
    """As document 002 has it."""
    lines = text_of(values_of("contiv_leaf/switch1")).splitlines()
    assert lines[lines.index("vlan 1") + 1].startswith("ip prefix-list ")


def test_routers_are_not_advertised_to_hosts():
    for leaf in LEAVES:
        for line in parse(text_of(values_of(leaf))):
            texts = [child.text for child in line.children]
            if any(text.startswith("ipv6 address ") for text in texts) and "loopback" not in line.text:
                assert texts.index("ipv6 nd suppress-ra") < min(
                    place for place, text in enumerate(texts) if text.startswith("ipv6 address ")
                )


@pytest.mark.parametrize(("mtu", "written"), [(None, False), (1500, False), (1501, True), (9000, True), (9216, True)])
def test_ports_of_a_network_with_large_packets_have_the_jumbo_mtu(mtu, written):
    text = changed("leaf_contiv", lambda values: values["leaf"]["ports"][0].update(mtu=mtu))
    assert ("  switchport\n  mtu 9216\n" in text) == written


def test_a_policy_without_prefixes_denies():
    text = changed(FULL, lambda values: values["bgp"]["policies"][4].update(permit=[]))
    assert "route-map BLUE-SUBNETS-IPV4 deny 10\n" in text
    assert mistakes(text) == []


def test_a_leaf_without_ospf_has_no_process_of_it():
    text = changed("leaf_contiv", lambda values: values.update(ospf=None))
    assert "ospf" not in text
    assert mistakes(text) == []


def test_a_second_address_does_not_take_the_place_of_the_first():
    text = changed("leaf_contiv", lambda values: values["leaf"]["interfaces"][0]["addresses"].append("50.1.2.2/24"))
    assert "  ip address 50.1.1.2/24\n  ip address 50.1.2.2/24 secondary\n" in text
