"""Another lab comes out right too: nothing in the code knows the default one."""

from __future__ import annotations

import re

import pytest
import yaml
from support.intent_samples import DEFAULT, changed, containers, other
from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

PLUGIN_UTILS = PROJECT / "collections/ansible_collections/routed/hypervisor/plugins/plugin_utils"


@pytest.fixture(scope="module")
def lab():
    return inventory(check(other(), Mistakes()), owner="/somewhere")


def interfaces(lab, node):
    return {item["name"]: item for item in lab.host_vars[node]["network"]["interfaces"]}


def addresses(lab, node, interface):
    return [item["address"] for item in interfaces(lab, node)[interface]["addresses"]]


def expectations(lab, node, kind, **fields):
    found = lab.host_vars[node]["verify"]
    return [
        one for one in found if one["kind"] == kind and all(one.get(name) == value for name, value in fields.items())
    ]


def test_a_hypervisor_on_every_fabric(lab):
    assert list(interfaces(lab, "quay")) == [
        *("east0", "east0.301", "east0.302", "west0", "west0.301", "west0.302", "third0", "third0.301"),
        *("lo-storage", "shop", "tap7", "disk1"),
    ]
    assert addresses(lab, "quay", "east0.301") == ["10.1.0.17/24", "2001:db8:1::11/64"]
    assert addresses(lab, "quay", "third0.301") == ["10.3.0.17/24"]
    assert addresses(lab, "quay", "lo-storage") == ["10.33.0.17/32"]
    assert interfaces(lab, "quay")["east0.301"]["mtu"] == 9000
    assert "mtu" not in interfaces(lab, "quay")["third0"]


def test_a_hypervisor_on_one_fabric_with_an_address_of_its_own(lab):
    assert addresses(lab, "pier", "eno1.301") == ["10.2.0.99/24", "2001:db8:2::12/64"]
    assert {session["interface"] for session in lab.host_vars["pier"]["bgp"]["sessions"]} == {"eno1.301", "eno1.302"}
    (shop,) = expectations(lab, "pier", "route", prefix="10.200.3.4/32")
    assert shop["nexthops"] == ["10.2.0.17"]
    (blog,) = expectations(lab, "quay", "route", prefix="10.200.3.6/32", table=1001)
    assert blog["nexthops"] == ["10.2.0.99"]


def test_default_routes_lead_to_the_borders_that_share_a_fabric(lab):
    assert expectations(lab, "pier", "route", prefix="0.0.0.0/0")[0]["nexthops"] == ["10.2.0.1"]
    assert expectations(lab, "quay", "route", prefix="0.0.0.0/0")[0]["nexthops"] == ["10.1.0.1", "10.2.0.1", "10.3.0.1"]
    assert expectations(lab, "quay", "route", prefix="::/0")[0]["nexthops"] == ["2001:db8:1::ffff"]
    assert not expectations(lab, "pier", "route", prefix="::/0")


def test_reflectors_of_one_fabric_are_equals(lab):
    sessions = {item["name"]: item for item in lab.host_vars["east-a"]["bgp"]["sessions"]}
    equal = sessions["east_b_blue_ipv6"]
    assert (equal["reflector_client"], equal["next_hop"], equal["neighbor"]) == (False, "keep", "2001:db8:1::fb")
    assert sessions["quay_storage_net_ipv4"]["reflector_client"] is True
    assert {item["cluster_id"] for item in sessions.values()} == {"10.1.0.250", "10.32.1.250"}
    assert {item["add_path"] for item in sessions.values()} == {None}
    # Two reflectors lead to the same place: the next hops are those of the fabrics, not of the reflectors.
    assert expectations(lab, "jetty", "route", prefix="10.200.3.4/32")[0]["nexthops"] == [
        "10.1.0.17",
        "10.2.0.17",
        "10.3.0.17",
    ]


def test_options_of_bgp(lab):
    for node in lab.groups["hypervisors"]:
        bgp = lab.host_vars[node]["bgp"]
        assert bgp["bfd"] is None
        assert {(item["bfd"], item["ttl_security"], item["local_as"]) for item in bgp["sessions"]} == {
            (False, False, 4200000001)
        }
        assert {(item["vrf"], item["password_key"]) for item in bgp["sessions"]} == {
            ("blue", None),
            ("storage_net", "storage_net"),
        }
        assert not expectations(lab, node, "bfd")


def test_bird_listens_on_single_addresses_where_sessions_are_in_the_main_table_and_in_vrfs(lab):
    data = changed(("bgp.daemon", "bird"), start=containers)
    both = inventory(check(data, Mistakes()), owner="/somewhere")
    assert both.host_vars["quay"]["bgp"]["strict_bind"]
    listening = {one["vrf"]: one["interfaces"] for one in expectations(both, "quay", "listening", family="ipv4")}
    assert listening == {None: ["fabric-east"], "blue": ["fabric-east.301", "fabric-west.301"]}
    assert not [node for node, found in lab.host_vars.items() if "strict_bind" in found.get("bgp", ())]


def test_names_for_bird_are_identifiers(lab):
    for variables in lab.host_vars.values():
        bgp = variables.get("bgp", {"sessions": [], "tables": []})
        names = [item["name"] for item in (*bgp["sessions"], *bgp["tables"])]
        assert len(names) == len(set(names))
        assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names)


def test_a_guest_without_ipv6(lab):
    cache = lab.host_vars["cache"]["guest"]
    assert (cache["ipv6"], cache["gateway6"], cache["mac"]) == (None, None, "52:54:00:12:34:56")
    assert not expectations(lab, "cache", "slaac")
    assert {one["family"] for one in lab.host_vars["cache"]["verify"] if "family" in one} == {"ipv4"}
    assert [item["name"] for item in lab.host_vars["quay"]["radvd"]["interfaces"]] == ["shop"]
    assert list(lab.host_vars["quay"]["proxy_ndp"]["ports"]) == ["shop"]
    assert interfaces(lab, "quay")["tap7"]["addresses"] == [{"address": "10.200.0.1/32", "scope": "link"}]


def test_a_guest_with_static_addresses(lab):
    assert addresses(lab, "disk1", "eth0") == ["10.32.128.1/24"]
    (route,) = lab.host_vars["disk1"]["network"]["routes"]
    assert (route["prefix"], route["gateway"]) == ("0.0.0.0/0", "10.32.128.254")
    assert "disk1" not in [host["name"] for host in lab.host_vars["quay"]["dnsmasq"]["hosts"]]
    assert addresses(lab, "blog", "eth0") == ["2001:db8:200::6/64"]
    assert not expectations(lab, "blog", "slaac")
    assert expectations(lab, "blog", "lease")


def test_services_of_a_segment(lab):
    (network,) = lab.host_vars["pier"]["dnsmasq"]["networks"]
    assert (network["netmask"], network["dns"], network["lease_s"]) == ("255.255.0.0", ["10.200.0.53"], 3600)
    (radvd,) = lab.host_vars["pier"]["radvd"]["interfaces"]
    assert (radvd["source"], radvd["mtu"], radvd["rdnss"]) == ("fe80::42", 1400, ["2001:db8:200::53"])
    assert lab.host_vars["jetty"]["dnsmasq"] == {"ports": [], "networks": [], "hosts": []}


def test_guests_of_other_vrfs_are_strangers(lab):
    silent = {one["to_name"] for one in expectations(lab, "disk1", "ping", expect="silence")}
    assert "shop" in silent
    assert not expectations(lab, "disk1", "ping", expect="reply")  # the only guest of its VRF, which has no border
    assert not expectations(lab, "disk1", "spoof")


def test_one_rule_per_host_prefix(lab):
    rules = lab.host_vars["quay"]["network"]["rules"]
    assert [(rule["priority"], rule["to"], rule["vrf"]) for rule in rules] == [
        (2000, "10.32.0.0/16", "storage_net"),
        (2001, "10.33.0.0/24", "storage_net"),
    ]
    assert len(expectations(lab, "quay", "rules", family="ipv4")[0]["rules"]) == len(rules)


def test_ipv4_is_forwarded_in_every_vrf_with_guests(lab):
    found = interfaces(lab, "quay")
    assert found["east0.301"]["sysctls"]["ipv4"]["forwarding"] == 1
    assert found["east0.302"]["sysctls"]["ipv4"]["forwarding"] == 1


def test_the_lab_names_its_packages_and_owner(lab):
    facts = lab.host_vars["lab_host"]["lab"]
    assert (facts["name"], facts["owner"]) == ("harbour", "/somewhere")
    assert facts["packages"] == ["iperf3"]


def test_no_value_of_the_default_lab_is_in_the_code():
    """Names and addresses of the default intent, searched for in what resolves it."""

    def leaves(value):
        if isinstance(value, dict):
            for key, below in value.items():
                yield from leaves(below)
                yield str(key)
        elif isinstance(value, list):
            for below in value:
                yield from leaves(below)
        else:
            yield str(value)

    names = {*DEFAULT["hypervisors"], *DEFAULT["reflectors"], *DEFAULT["vrfs"], *DEFAULT["borders"], DEFAULT["name"]}
    names |= {value for value in leaves(DEFAULT) if re.search(r"\d+\.\d+\.\d+\.|::", value)} - {"fe80::1"}
    for file in [*PLUGIN_UTILS.rglob("*.py")]:
        strings = set(re.findall(r"[\"']([\w.:/-]+)[\"']", file.read_text()))
        assert not strings & names, (file, strings & names)


def test_everything_resolved_is_plain_data(lab):
    for variables in (*lab.host_vars.values(), *lab.group_vars.values()):
        assert yaml.safe_load(yaml.safe_dump(variables)) == variables
