"""The model of the report: states of nodes, links and sessions, what would be right, and what changed."""

from __future__ import annotations

import pytest
from support.report_samples import of_lab, three_faults, verified

from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.build import build

LABS = ["l3_hypervisor", "contiv_leaf", "contiv_leaf_ha", "ipvlan_gobgp", "ipvlan_gobgp_auto", "ipvlan_l2"]


@pytest.fixture(scope="module")
def variables() -> dict:
    return of_lab("l3_hypervisor")


@pytest.fixture(scope="module")
def faulty(variables):
    name = "l3_hypervisor"
    return build(variables, verified(name, variables, three_faults), verified(name, variables, time="earlier"))


@pytest.mark.parametrize("lab", LABS)
def test_everything_that_was_verified_passed(lab):
    variables = of_lab(lab)
    report = build(variables, verified(lab, variables))
    assert report.verdict == "passed"
    assert {node.state for node in report.nodes.values()} == {"passed"}
    assert {session.bgp for session in report.sessions} == {"passed"}
    assert {session.bfd for session in report.sessions} <= {"passed", ""}
    assert all(session.peer in report.nodes for session in report.sessions)
    assert all(result.node in variables or result.node in report.nodes for result in report.results)
    assert report.fabrics


def test_an_uplink_that_is_down_fails_and_its_fabric_partly(faulty):
    states = {(link.node, link.fabric): link.state for link in faulty.links}
    assert states.pop(("hv2", "B")) == "failed"
    assert states.pop(("rr2", "B")) == "partly"
    assert set(states.values()) == {"passed"}
    assert {name: fabric.state for name, fabric in faulty.fabrics.items()} == {"A": "passed", "B": "partly"}


def test_a_node_fails_where_a_failure_was_seen(faulty):
    failed = {name for name, node in faulty.nodes.items() if node.state == "failed"}
    assert failed == {"hv2", "rr2", "hv3", "vm1"}


def test_failures_begin_with_the_lowest_layer_and_have_what_would_be_right(faulty):
    kinds = [result.kind for result in faulty.failures]
    assert kinds == ["bfd"] * 6 + ["bgp"] * 6 + ["route", "ping"]
    route, ping = faulty.failures[-2:]
    assert (route.seen, route.wanted) == ("no such route", "198.51.100.101, 198.51.100.201")
    assert (ping.seen, ping.wanted) == ("a reply from 172.22.15.126", "no reply from 172.22.15.126")
    assert (ping.vrf, ping.to_vrf, ping.to) == ("public", "private", "rr1")


def test_sessions_are_those_of_the_host_variables_with_their_peers(faulty):
    failed = {(one.node, one.peer, one.vrf) for one in faulty.sessions if one.state == "failed"}
    assert failed == {(*ends, vrf) for ends in [("hv2", "rr2"), ("rr2", "hv2")] for vrf in ("private", "public")}
    assert len(faulty.sessions) == 44


def test_a_forged_source_is_a_result_of_the_guest_that_sent_it(faulty):
    assert {one.node for one in faulty.results if one.kind == "spoof"} == {"vm1", "vm2", "vm3", "vm4"}


def test_what_failed_only_now_is_newly_failing(variables, faulty):
    changes = faulty.changes
    assert (len(changes.failing), changes.fixed, changes.still, changes.added, changes.gone) == (14, [], [], 0, 0)
    assert changes.since == "earlier"
    name = "l3_hypervisor"
    after = build(variables, verified(name, variables), verified(name, variables, three_faults)).changes
    assert (after.failing, len(after.fixed), after.still) == ([], 14, [])


def test_a_run_limited_to_some_nodes_is_compared_for_these_only(variables):
    name = "l3_hypervisor"
    part = verified(name, variables, three_faults)
    part["nodes"] = {"hv2": part["nodes"]["hv2"]}
    report = build(variables, part, verified(name, variables))
    assert (len(report.changes.failing), report.changes.gone) == (6, 0)
    assert report.nodes["hv1"].state == "unverified"


def test_results_that_the_intent_no_longer_has_are_kept_without_what_would_be_right(variables):
    document = verified("l3_hypervisor", {"hv9": variables["hv1"]}, three_faults)
    report = build(variables, document)
    assert report.nodes["hv9"].kind == "node"
    assert {result.wanted for result in report.results} == {""}


def test_a_node_that_failed_before_it_was_verified_has_failed(variables):
    document = verified("l3_hypervisor", variables)
    document["nodes"]["hv1"] = {}
    report = build(variables, document)
    assert report.nodes["hv1"].state == "failed"
    assert [result.kind for result in report.failures] == ["node"]


def test_an_absent_guest_is_absent_and_not_failed(variables):
    document = verified("l3_hypervisor", variables)
    for results in document["nodes"].values():
        for result in results:
            if "vm1" in result["title"].split():
                result["state"] = "absent"
    report = build(variables, document)
    assert report.verdict == "passed"
    production = {name: given for name, given in variables.items() if not name.startswith("vm")}
    only = {**document, "nodes": {"hv1": [one for one in document["nodes"]["hv1"] if one["kind"] == "present"]}}
    found = build(production, only).nodes
    assert (found["vm1"].state, found["vm2"].state) == ("absent", "passed")


def test_without_any_results_everything_is_drawn_and_nothing_judged(variables):
    report = build(variables, {"fabric": "l3_hypervisor", "time": "", "nodes": {}})
    assert report.verdict == "unverified"
    assert {link.state for link in report.links} == {"unverified"}
    assert len(report.nodes) == 10
