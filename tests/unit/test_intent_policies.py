"""Policies of container networks: mistakes in them, the rules that the firewall gets, and what is verified."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import pytest
from netaddr import IPAddress
from support.intent_samples import REMOVE, changed, containers, mistakes_in, only_mistake_in

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.policy import allows
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

OWN = "container_networks.own.policy"
ALL = {"from": "any", "action": "deny"}
RULES = [
    {"from": "span", "to": {"tcp": [80, "400-443"], "ping": True}, "action": "allow"},
    {"from": "2001:db8:99::/48", "to": {"udp": [53]}, "action": "allow"},
    ALL,
]


def edited(*rules, **network):
    return changed(
        (OWN, list(rules)),
        *((f"container_networks.own.{key}", value) for key, value in network.items()),
        start=containers,
    )


def to(**ports):
    return {"from": "any", "to": ports, "action": "allow"}


ONE_MISTAKE = {
    "an unknown network": (edited({**ALL, "from": "spam"}), f"{OWN}[0].from: spam is neither a container network nor a prefix; did you mean span?"),
    "neither a network nor a prefix": (edited({**ALL, "from": "10.1.0.0/33"}), f"{OWN}[0].from: 10.1.0.0/33 is neither a container network nor a prefix; any, a prefix, or one of: own, span, deep, flat"),
    "bits after the length": (edited({**ALL, "from": "10.1.0.1/16"}), f"{OWN}[0].from: 10.1.0.1/16 is neither a container network nor a prefix; any, a prefix, or one of"),
    "a network of another VRF": (edited({**ALL, "from": "deep"}), f"{OWN}[0].from: deep is in VRF main, and does not reach VRF blue; a network of the same VRF"),
    "a family that the network lacks": (changed((OWN, [{**ALL, "from": "2001:db8::/32"}]), ("hypervisors.quay.container_networks.own.ipv6", REMOVE), start=containers), f"{OWN}[0].from: own has no ipv6 prefix; an ipv4 prefix, or remove this rule"),
    "a port out of range": (edited(to(tcp=[80, 65536])), f"{OWN}[0].to.tcp[1]: 65536 is out of range; 1 to 65535"),
    "port 0": (edited(to(udp=[0])), f"{OWN}[0].to.udp[0]: 0 is out of range; 1 to 65535"),
    "a port that is text": (edited(to(tcp=["http"])), f"{OWN}[0].to.tcp[0]: 'http' is not a range of ports; for instance 8000-8100, from 1 to 65535"),
    "a port that is a list": (edited(to(tcp=[[80]])), f"{OWN}[0].to.tcp[0]: a list where a whole number or text is expected"),
    "a range out of range": (edited(to(tcp=[443, "8000-65536"])), f"{OWN}[0].to.tcp[1]: '8000-65536' is not a range of ports; for instance"),
    "a range from 0": (edited(to(udp=["0-80"])), f"{OWN}[0].to.udp[0]: '0-80' is not a range of ports"),
    "a range that ends before it begins": (edited(to(udp=["90-80"])), f"{OWN}[0].to.udp[0]: '90-80' is not a range of ports"),
    "a port in a range": (edited(to(tcp=[8080, "8000-8100"])), f"{OWN}[0].to.tcp[0]: 8080 overlaps 8000-8100; each port once"),
    "ranges that overlap": (edited(to(tcp=["90-99", "1-90"])), f"{OWN}[0].to.tcp[0]: 90-99 overlaps 1-90; each port once"),
    "no ports": (edited(to(tcp=[])), f"{OWN}[0].to.tcp: empty; list one or more"),
    "a port twice": (edited(to(tcp=[80, 80])), f"{OWN}[0].to.tcp: the same twice; each once"),
    "an empty destination": (edited(to()), f"{OWN}[0].to: empty; name one or more"),
    "no ping": (edited(to(ping=False)), f"{OWN}[0].to.ping: only true has a meaning here; true, or remove it"),
    "an unknown protocol": (edited(to(tpc=[80])), f"{OWN}[0].to.tpc: unknown key; did you mean tcp?"),
    "no sender": (edited({"action": "deny"}), f"{OWN}[0].from: missing"),
    "no action": (edited({"from": "any"}), f"{OWN}[0].action: missing"),
    "an unknown action": (edited({**ALL, "action": "drop"}), f"{OWN}[0].action: 'drop' is not known; allow, deny"),
    "a rule without content": (edited(None), f"{OWN}[0]: nothing where a map is expected"),
    "a rule twice": (edited(RULES[0], RULES[0]), f"{OWN}[1]: matches nothing that {OWN}[0] does not match; remove it"),
    "a rule after all are denied": (edited(ALL, RULES[0]), f"{OWN}[1]: matches nothing that {OWN}[0] does not match"),
    "a rule for ports that are decided": (edited(to(tcp=[80]), to(udp=[53]), {**to(tcp=[80], udp=[53]), "from": "span"}), f"{OWN}[2]: matches nothing that {OWN}[1] does not match"),
    "a rule for a range of which each port is decided": (edited(to(tcp=["1-90"]), to(tcp=["80-99"], udp=[53]), {**to(tcp=["50-95"]), "from": "span"}), f"{OWN}[2]: matches nothing that {OWN}[1] does not match"),
    "l3 on a fabric": (changed(("container_networks.deep.policy", [ALL]), start=containers), "container_networks.deep.policy: on quay, packets from fabric east reach the containers without being forwarded by the host; neither fabric nor interface"),
    "l2 on a fabric": (changed(("container_networks.flat.policy", [ALL]), start=containers), "container_networks.flat.policy: on quay, packets from fabric west reach"),
    "no firewall": (changed((OWN, [ALL]), ("firewall", False), start=containers), f"{OWN}: the firewall, which enforces it, is switched off; remove firewall: false, or this"),
    "a network called any": (changed((OWN, [ALL]), ("container_networks.any", {"vrf": "blue"}), start=containers), "container_networks.any: any stands for everybody, and is also the name of a container network; another name"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_MISTAKE)
def test_one_mistake_is_one_line_without_consequences(case):
    data, expected = ONE_MISTAKE[case]
    found = only_mistake_in(data)
    assert found.startswith(expected), found


def test_all_mistakes_are_reported_together():
    found = mistakes_in(edited({"from": "spam", "to": {"tcp": [0]}, "action": "drop"}, {}, ALL, ALL))
    places = [line.partition(": ")[0].removeprefix(OWN) for line in found]
    assert sorted(places) == ["[0].action", "[0].from", "[0].to.tcp[0]", "[1].action", "[1].from", "[3]"]


def test_rules_for_what_earlier_ones_leave_are_accepted():
    rules = [to(tcp=["1-90"]), to(tcp=["80-99"]), to(tcp=["100-200"]), to(udp=["1-200"]), to(ping=True), ALL]
    assert mistakes_in(edited(*rules)) == []


def resolved(data):
    mistakes = Mistakes()
    intent = check(data, mistakes)
    assert not mistakes, mistakes.lines()
    return intent, inventory(intent, owner="/somewhere").host_vars


def test_without_policies_everything_is_allowed():
    intent, hosts = resolved(containers())
    assert hosts["quay"]["nftables"]["policies"] == []
    assert allows(intent, intent.container_networks["own"].policy, IPAddress("10.20.0.9"), "tcp", 80)


def test_a_rule_becomes_matches_of_one_family_and_one_protocol():
    _intent, hosts = resolved(edited(*RULES))
    (policy,) = hosts["quay"]["nftables"]["policies"]
    assert (policy["name"], policy["interface"]) == ("policy_own", "host-own")
    assert "policy_own" in hosts["quay"]["nftables"]["drops"]
    assert [(one["prefixes"], one["protocol"], one["ports"], one["action"]) for one in policy["rules"]] == [
        (["10.20.0.0/24"], "tcp", ["80", "400-443"], "allow"),
        (["10.20.0.0/24"], "icmp", [], "allow"),
        (["2001:db8:20::/64"], "tcp", ["80", "400-443"], "allow"),
        (["2001:db8:20::/64"], "icmpv6", [], "allow"),
        (["2001:db8:99::/48"], "udp", ["53"], "allow"),
        ([], None, [], "deny"),
    ]


def test_the_first_rule_that_matches_decides():
    intent, _hosts = resolved(edited(*RULES))
    policy = intent.container_networks["own"].policy
    span, other, far = IPAddress("10.20.0.9"), IPAddress("10.21.2.1"), IPAddress("2001:db8:99::1")
    assert allows(intent, policy, span, "tcp", 443) and allows(intent, policy, span, "ping")
    assert allows(intent, policy, span, "tcp", 400) and not allows(intent, policy, span, "tcp", 399)
    assert not allows(intent, policy, span, "udp", 443) and not allows(intent, policy, span, "tcp", 22)
    assert not allows(intent, policy, other, "tcp", 443) and not allows(intent, policy, other, "ping")
    assert allows(intent, policy, far, "udp", 53) and not allows(intent, policy, far, "tcp", 53)


def test_on_a_fabrics_own_network_only_the_containers_are_meant():
    _intent, hosts = resolved(edited({**ALL, "from": "flat"}))
    (policy,) = hosts["pier"]["nftables"]["policies"]
    assert [one["prefixes"] for one in policy["rules"]] == [["10.4.0.201/32"], ["2001:db8:4::c9/128"]]


def test_what_a_policy_allows_and_denies_is_verified_from_containers():
    _intent, hosts = resolved(edited(*RULES))
    titles = {one["title"]: one for one in hosts["quay"]["verify"] if one["kind"] in ("ping", "tcp")}
    assert titles["q3 reaches p1 (IPv4)"]["expect"] == "reply"
    assert titles["q3 reaches p1 on TCP port 80 (IPv4)"]["namespace"] == "q3"
    assert titles["q3 does not reach p1 on TCP port 7 (IPv4)"]["expect"] == "silence"
    assert titles["q1 does not reach p1 (IPv4)"]["needs_firewall"] is True
    # On the host itself, and in the other direction, nothing is filtered.
    assert titles["quay itself reaches its container q1 (IPv4)"]["expect"] == "reply"
    assert titles["q1 reaches p3 (IPv4)"]["expect"] == "reply"
    # Containers of one network on one host reach each other directly.
    assert titles["q1 reaches q2 (IPv4)"]["expect"] == "reply"
