"""What a person reads at the end of a run."""

from __future__ import annotations

import pytest

from ansible_collections.routed.hypervisor.plugins.action.report import failure_message, summarise
from ansible_collections.routed.hypervisor.plugins.plugin_utils.summary import summary

GOOD = {"title": "vm1 reaches vm3", "kind": "ping", "state": "passed", "seen": "reply"}
BAD = {"title": "vm1 reaches vm4", "kind": "ping", "state": "failed", "seen": "no reply within 1 s"}


def test_a_node_without_results_counts_as_one_that_did_not_pass():
    results = {"vm1": [GOOD], "hv1": {}}
    answer = summarise(results)
    assert (answer["passed"], answer["total"]) == (1, 2)
    assert "hv1: no results" in failure_message(results, answer)


def test_a_node_with_nothing_to_verify_has_not_failed():
    assert summarise({"vm1": [GOOD], "lab_host": []})["passed"] == 1
    assert summarise({"vm1": [GOOD], "lab_host": []})["total"] == 1


def test_what_did_not_pass_is_told_with_its_node_and_what_was_seen():
    results = {"vm1": [GOOD, BAD]}
    assert failure_message(results, summarise(results)).splitlines()[1:] == [
        "  vm1: vm1 reaches vm4: no reply within 1 s"
    ]


UML = {"kind": "uml", "release": "7.2.12"}
UNTRIED = {"title": "hv1 has its firewall", "kind": "firewall", "state": "not run", "seen": "this kernel cannot"}


def lines(kernel=None, failed=False, results=None, changes=(), inventory="", changed=3, absent=(), lab=True, **more):
    report = {**summarise(results or {"vm1": [GOOD]}), "fabric": "x", "path": "verify.json", "page": "report.html"}
    report["lab"] = lab
    found = {"changed": changed, "changes": dict(changes), "failed": failed, "kernel": kernel, "inventory": inventory}
    found = {**found, "predicted": {}, "absent": dict(absent), **more}
    return summary("site.yml", [("BGP", 1.25)], report=report, **found)


def test_the_summary_says_verdict_stages_and_what_to_type_next():
    text = "\n".join(lines())
    assert "x: verified, 1 of 1 checks passed" in text
    assert "1.2 s  BGP" in text
    assert "make shell NODE=NAME" in text


def test_the_summary_counts_what_changed_by_kind():
    text = lines(changes={"services": 2, "files": 14})
    assert "  14 files, 2 services" in text
    assert "Stages of site.yml, 1.2 s, 3 changes:" in text


def test_what_would_change_has_not_changed():
    text = lines(changed=0, predicted={"services": 2, "files": 1})
    assert "Stages of site.yml, 1.2 s, 0 changes:" in text
    assert "  would change: 1 file, 2 services" in text


def test_a_verb_suits_any_number():
    for number in (1, 2):
        results = {"hv1": [{**GOOD, "kind": kind} for kind in ("followed_guests", "announced_guests")] * number}
        text = "\n".join(lines(results=results))
        assert "following guests" in text and "reaching all announced guests" in text and "that follow" not in text


def test_one_of_a_kind_is_singular():
    text = lines(changes={"services": 1, "proxy_arp": 1, "ipvlan_links": 1}, changed=1)
    assert "  1 ipvlan link, 1 proxy ARP setting, 1 service" in text
    assert "Stages of site.yml, 1.2 s, 1 change:" in text
    assert "      1 ping, including those that must fail" in text
    assert "" not in lines()[1:]


def test_the_summary_names_a_kernel_that_is_not_the_machines_own():
    assert any("user-mode Linux 7.2.12, and stays up" in line for line in lines(kernel=UML))
    assert not any("stays up" in line for line in lines(kernel={"kind": "host", "release": "6.18"}))


@pytest.mark.parametrize("kernel", [None, UML])
def test_the_next_steps_are_the_same_on_all_kernels(kernel):
    assert lines(kernel=kernel)[-1].startswith("Next: make shell NODE=NAME")


def test_the_next_steps_name_an_inventory_that_is_not_the_default_one():
    assert lines(inventory="inventories/other")[-1] == (
        "Next: make shell NODE=NAME INVENTORY=inventories/other (a prompt in a node), "
        "make verify INVENTORY=inventories/other, make status, make down INVENTORY=inventories/other."
    )


def test_real_hosts_have_no_shell_to_open_and_nothing_to_take_down():
    assert lines(inventory="inventories/production", lab=False)[-1] == (
        "Next: make verify INVENTORY=inventories/production, "
        "ansible-playbook -i inventories/production playbooks/inspect.yml."
    )


def test_what_was_not_run_is_neither_passed_nor_failed_and_the_summary_says_why():
    results = {"vm1": [GOOD], "hv1": [UNTRIED]}
    answer = summarise(results)
    assert (answer["passed"], answer["failures"], answer["not_run"], answer["total"]) == (1, 0, 1, 2)
    text = "x: verified, 1 of 2 checks passed, 1 NOT RUN: firewall (this kernel cannot)"
    assert text in lines(results=results)
    assert lines(results={**results, "vm1": [BAD]})[1].startswith("x: NOT verified, 0 of 2 checks passed, 1 NOT RUN")


def test_a_run_that_failed_does_not_say_what_to_type_next():
    text = "\n".join(lines(failed=True, results={"vm1": [BAD]}))
    assert "NOT verified, 0 of 1" in text
    assert "Next" not in text


def port(guest, state):
    return {
        "title": f"guest {guest} is present",
        "kind": "present",
        "state": state,
        "seen": f"tap-{guest}",
        "guests": [guest],
    }


def test_what_an_absent_guest_explains_is_counted_apart_and_does_not_fail():
    results = {
        "hv1": [port("web1", "absent"), port("web2", "passed")],
        "rr1": [{**BAD, "state": "absent"}, GOOD],
    }
    answer = summarise(results)
    assert (answer["total"], answer["passed"], answer["failures"]) == (1, 1, 0)
    assert (answer["guests"], answer["present"], answer["absent"]) == (2, 1, ["hv1 web1 (tap-web1)"])
    assert "  1 of 2 guests present; absent: hv1 web1 (tap-web1)" in lines(results=results)


def test_the_absence_of_a_guest_excuses_nothing_else():
    assert summarise({"hv1": [port("web1", "absent"), BAD], "rr1": [BAD]})["failures"] == 2


def test_the_ports_that_a_run_left_out_are_listed_in_one_line_for_each_host():
    absent = {"hv1": ["web1 (tap-web1)", "web3 (tap-web3)"]}
    assert "  hv1: absent, and not configured: web1 (tap-web1), web3 (tap-web3)" in lines(absent=absent)
