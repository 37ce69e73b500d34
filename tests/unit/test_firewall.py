"""What the firewall of a hypervisor is made of, and how the verification reads what nft lists."""

from __future__ import annotations

import copy
import json
from ipaddress import ip_address, ip_network

import pytest
from support.intent_samples import DEFAULT, REMOVE, changed, containers, default, other

from ansible_collections.routed.hypervisor.plugins.action.report import summarise
from ansible_collections.routed.hypervisor.plugins.module_utils._verify import firewall
from ansible_collections.routed.hypervisor.plugins.module_utils._verify import run as verify
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory
from ansible_collections.routed.hypervisor.plugins.plugin_utils.summary import summary


def nodes(data: dict) -> dict:
    return inventory(check(data, Mistakes()), owner="/somewhere").host_vars


def pairs(items: list[dict]) -> list[tuple[str, str]]:
    return [(item["interface"], item["prefix"]) for item in items]


def test_a_guest_may_send_from_its_own_addresses_on_its_own_port():
    sources = nodes(other())["quay"]["nftables"]["sources"]
    assert ("tap7", "10.200.3.5/32") in pairs(sources["ipv4"])
    assert "tap7" not in [interface for interface, _prefix in pairs(sources["ipv6"])]  # `ipv6: none`
    assert len({interface for interface, _prefix in pairs(sources["ipv6"])}) == len(sources["ipv6"])


def test_guests_elsewhere_are_known_by_their_segment_in_their_vrf_only():
    tenants = nodes(other())["jetty"]["nftables"]["tenants"]
    assert pairs(tenants["ipv4"]) == [("blue", "10.200.0.0/16"), ("storage_net", "10.32.128.0/24")]


def test_containers_may_send_from_their_prefix_by_the_dummy_and_the_hosts_link():
    nftables = nodes(containers())["quay"]["nftables"]
    assert {"own", "host-own", "span", "host-span"} <= set(nftables["ports"])
    assert {("own", "10.21.1.0/24"), ("host-own", "10.21.1.0/24")} <= set(pairs(nftables["sources"]["ipv4"]))


def test_in_the_main_table_containers_are_known_by_the_uplinks_that_they_come_in_by():
    tenants = pairs(nodes(containers())["pier"]["nftables"]["tenants"]["ipv4"])
    assert ("fabric-east", "10.22.1.0/24") in tenants
    assert ("blue", "10.21.1.0/24") in tenants
    assert not [interface for interface, _prefix in tenants if interface == "fabric-west"]


@pytest.mark.parametrize("data", [default, other, containers])
def test_no_router_is_taken_for_a_guest(data):
    """BGP and BFD of a neighbour whose address were a guest's would be dropped."""
    for node in nodes(data()).values():
        if node.get("nftables"):
            heard = [ip_network(item["prefix"]) for family in node["nftables"]["tenants"].values() for item in family]
            neighbors = [one["neighbor"] for one in node["verify"] if one["kind"] in ("bgp", "bfd")]
            assert neighbors
            assert not [name for name in neighbors if any(ip_address(name) in network for network in heard)]


def test_only_the_addresses_of_gateways_answer_guests():
    assert nodes(default())["hv1"]["nftables"]["gateways"] == {"ipv4": ["203.0.113.254"], "ipv6": ["fe80::1"]}
    assert nodes(default())["hv1"]["nftables"]["ports"] == ["vm1", "vm2"]


def test_every_interface_in_a_vrf_is_in_exactly_one():
    for node in ("quay", "pier"):
        vrfs = nodes(containers())[node]["nftables"]["vrfs"]
        network = nodes(containers())[node]["network"]
        links = network["interfaces"] + [link for link in network["ipvlan_links"] if "namespace" not in link]
        found = [interface for vrf in vrfs for interface in vrf["interfaces"]]
        assert sorted(found) == sorted(link["name"] for link in links if "vrf" in link)


def test_a_real_host_must_have_it_and_a_lab_may_do_without():
    assert nodes(default())["hv1"]["nftables"]["required"] is False
    assert nodes(changed(("lab", REMOVE)))["hv1"]["nftables"]["required"] is True


def test_where_the_intent_wants_none_there_is_none_and_none_is_checked():
    node = nodes(changed(("firewall", False)))["hv1"]
    assert node["nftables"] is None
    assert not [one for one in node["verify"] if one["kind"] == "firewall"]


def test_only_hypervisors_have_one():
    assert [name for name, node in nodes(default()).items() if "nftables" in node] == list(DEFAULT["hypervisors"])


# The verification.

WANTED = {
    "kind": "firewall",
    "title": "the firewall of hv1 is complete",
    "table": "routed_hypervisor",
    "required": True,
    "hooks": ["input"],
    "sets": {"guest_ports": ["vm2", "vm1"], "sources_ipv4": ["web 10.0.0.0/24", "vm1 203.0.113.1"]},
    "counters": ["to_hypervisor"],
}
# As nft 1.0.6 lists it, without what is not read.
LISTED = [
    {"metainfo": {"version": "1.0.6"}},
    {"counter": {"name": "to_hypervisor", "packets": 3}},
    {"set": {"name": "guest_ports", "type": "ifname", "elem": ["vm1", "vm2"]}},
    {
        "set": {
            "name": "sources_ipv4",
            "elem": [
                {"concat": ["vm1", "203.0.113.1"]},
                {"concat": ["web", {"prefix": {"addr": "10.0.0.0", "len": 24}}]},
            ],
        }
    },
    {"chain": {"name": "in", "hook": "input", "policy": "accept"}},
    {"chain": {"name": "from_port"}},
    {"rule": {"chain": "in", "expr": [{"match": {"right": "@guest_ports"}}, {"goto": {"target": "from_port"}}]}},
    {"rule": {"chain": "from_port", "expr": [{"match": {"right": "@sources_ipv4"}}, {"counter": "to_hypervisor"}]}},
]


def without(*kinds_and_names):
    return [
        item for item in LISTED if not any(item.get(kind, {}).get("name") == name for kind, name in kinds_and_names)
    ]


def test_a_complete_table_has_nothing_to_complain_of():
    assert firewall.compare(WANTED, LISTED) == []


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        ([], ["no chain at the hook input", "no set guest_ports", "no set sources_ipv4", "no counter to_hypervisor"]),
        (LISTED[:6] + LISTED[7:], ["no rule uses the chain from_port", "no rule uses the set guest_ports"]),
        (LISTED[:7], ["no rule uses the set sources_ipv4", "no rule uses the counter to_hypervisor"]),
        (without(("set", "guest_ports")), ["no set guest_ports"]),
    ],
    ids=["an empty table", "without its first rule", "without its last rule", "without a set"],
)
def test_what_is_missing_is_told(listing, said):
    assert firewall.compare(WANTED, listing) == said


def test_what_somebody_added_or_took_out_is_told():
    listing = copy.deepcopy(LISTED)
    listing[2]["set"]["elem"] = ["vm1", "eth0"]
    assert firewall.compare(WANTED, listing) == [
        "the set guest_ports lacks vm2",
        "the set guest_ports has eth0",
    ]


def answers(monkeypatch, **answer):
    """nft answers as given: list, probe -> (code, output, errors)."""

    def run(argv):
        return answer["probe" if argv[0] == "unshare" else "list"]

    monkeypatch.setattr(firewall, "run", run)


GONE = (1, "", "Error: No such file or directory\nlist table inet routed_hypervisor\n")
UNABLE = (1, "", "Error: Could not process rule: Operation not supported\n")


def test_a_table_that_is_gone_is_a_failure_where_the_kernel_could_have_it(monkeypatch):
    answers(monkeypatch, list=GONE, probe=(0, "", ""))
    for required in (True, False):
        assert firewall.verify_firewall({**WANTED, "required": required})[:2] == (
            False,
            "Error: No such file or directory",
        )
    answers(monkeypatch, list=(0, json.dumps({"nftables": LISTED}), ""))
    assert firewall.verify_firewall(WANTED) == (True, "complete", {"counters": {"to_hypervisor": 3}})


def test_on_a_kernel_without_nftables_it_is_not_run_in_a_lab_and_a_failure_on_a_real_host(monkeypatch):
    answers(monkeypatch, list=UNABLE, probe=UNABLE)
    assert firewall.verify_firewall(WANTED)[0] is False
    passed, seen = firewall.verify_firewall({**WANTED, "required": False})
    assert passed is firewall.NOT_RUN
    assert "no nftables of family inet" in seen


def test_nft_that_is_not_installed_is_never_taken_for_a_kernel_that_cannot(monkeypatch):
    answers(monkeypatch, list=(127, "", "nft: No such file or directory"), probe=(127, "", ""))
    assert firewall.verify_firewall({**WANTED, "required": False}) == (False, "nft: No such file or directory")


def test_what_was_not_run_is_neither_passed_nor_failed_and_the_summary_says_so(monkeypatch):
    answers(monkeypatch, list=UNABLE, probe=UNABLE)
    (result,) = verify.run([{**WANTED, "required": False}], deadline_s=0)
    report = {**summarise({"hv1": [result]}), "fabric": "x", "path": "verify.json", "page": "report.html"}
    report["lab"] = True
    assert (report["passed"], report["failures"], report["not_run"]) == (0, 0, 1)
    nothing = {"changed": 0, "changes": {}, "failed": False, "kernel": None, "inventory": None, "absent": {}}
    nothing["predicted"] = {}
    text = "\n".join(summary("site.yml", [], report=report, **nothing))
    assert "0 of 1 checks passed, 1 NOT RUN: firewall (this kernel has no nftables of family inet" in text
