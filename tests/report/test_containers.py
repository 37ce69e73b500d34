"""Addresses that containers of several hosts have, which no host can see."""

from __future__ import annotations

from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.containers import compare


def result(vrf, state="passed", seen="1 containers", **addresses):
    return {"state": state, "seen": seen, "containers": {"vrf": vrf, "addresses": addresses}}


def test_the_results_of_all_hosts_with_the_address_fail_with_both_owners():
    results = {
        "hv1": [result("main", a="web1 (docker, web)", b="web2 (docker, web)"), {"state": "passed", "seen": "reply"}],
        "hv2": [result("main", "failed", "docker has no such network", a="web9 (docker, web)")],
        "hv3": {},
    }
    compare(results)
    both = "addresses of containers of several hosts: a (hv1: web1 (docker, web), hv2: web9 (docker, web))"
    assert [each["seen"] for each in results["hv1"]] == [both, "reply"]
    assert results["hv2"] == [{"state": "failed", "seen": f"docker has no such network; {both}"}]
    assert [each["state"] for each in results["hv1"]] == ["failed", "passed"]


def test_the_same_address_in_another_vrf_and_on_one_host_is_none_of_these():
    results = {"hv1": [result("main", a="web1"), result("main", a="web1")], "hv2": [result("blue", a="web9")]}
    compare(results)
    assert {each["state"] for node in results.values() for each in node} == {"passed"}
    assert not any("containers" in each for node in results.values() for each in node)
