"""What a person reads at the end of a run."""

from __future__ import annotations

from ansible_collections.routed.hypervisor.plugins.action.report import complaint, summarise
from ansible_collections.routed.hypervisor.plugins.plugin_utils.summary import summary

GOOD = {"title": "vm1 reaches vm3", "kind": "ping", "passed": True, "seen": "reply"}
BAD = {"title": "vm1 reaches vm4", "kind": "ping", "passed": False, "seen": "no reply within 1 s"}


def test_a_node_without_results_counts_as_one_that_did_not_pass():
    results = {"vm1": [GOOD], "hv1": {}}
    answer = summarise(results)
    assert (answer["passed"], answer["total"]) == (1, 2)
    assert "hv1: no results" in complaint(results, answer)


def test_a_node_with_nothing_to_check_is_none_that_failed():
    assert summarise({"vm1": [GOOD], "lab_host": []})["passed"] == 1
    assert summarise({"vm1": [GOOD], "lab_host": []})["total"] == 1


def test_what_did_not_pass_is_told_with_its_node_and_what_was_seen():
    results = {"vm1": [GOOD, BAD]}
    assert complaint(results, summarise(results)).splitlines()[1:] == ["  vm1: vm1 reaches vm4: no reply within 1 s"]


def lines(kernel="host", failed=False, results=None):
    report = {**summarise(results or {"vm1": [GOOD]}), "fabric": "x", "path": "artifacts/x/verify.json"}
    return summary("site.yml", [("BGP", 1.25)], report=report, changed=3, failed=failed, kernel=kernel)


def test_the_summary_says_verdict_stages_and_what_to_type_next():
    text = "\n".join(lines())
    assert "x: verified, 1 of 1 checks passed" in text
    assert "1.2 s  BGP" in text
    assert "make shell NODE=NAME" in text


def test_in_the_lab_kernel_the_summary_says_so():
    assert any("user-mode Linux" in line for line in lines(kernel="uml"))


def test_a_run_that_failed_does_not_say_what_to_type_next():
    text = "\n".join(lines(failed=True, results={"vm1": [BAD]}))
    assert "NOT verified, 0 of 1" in text
    assert "Next" not in text
