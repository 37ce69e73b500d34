"""A fifth guest and a fourth hypervisor: a few lines of intent and one run."""

from __future__ import annotations

import pytest
from support.waiting import until

ADDED_GUEST = "      vm5: {ipv4: 203.0.113.5}\n"
ADDED_HYPERVISOR = "  hv4: {id: 4, guests: {vm6: {ipv4: 203.0.113.6}}}\n"


def test_existing_sessions_stay_up_when_the_lab_grows(lab):
    before = {node: lab.established(node) for node in ("hv1", "hv2", "hv3", "rr1", "rr2", "internet")}
    text = lab.intent.read_text()
    # The file ends with the guests of hv3.
    lab.intent.write_text(text.rstrip("\n") + "\n" + ADDED_GUEST + ADDED_HYPERVISOR)
    predicted = lab.play("--check")
    assert predicted.code == 0, predicted.output
    run = lab.play()
    assert run.code == 0, run.output
    # For nodes that do not exist yet, only their creation is predicted.
    assert predicted.changed == {(host, action) for host, action in run.changed if host not in ("hv4", "vm5", "vm6")}
    assert {("lab_host", "lab_nodes"), ("hv3", "network"), ("switch-A", "network")} <= predicted.changed
    after = {node: lab.established(node) for node in before}
    restarted = {
        f"{node} {session}": lab.run(node, "birdc", "show", "protocols", "all", session)
        for node, sessions in before.items()
        for session, since in sessions.items()
        if after[node].get(session) != pytest.approx(since, abs=0.1)
    }
    assert not restarted, "\n".join([*restarted, *restarted.values()])
    assert len(after["rr1"]) > len(before["rr1"])
    passed, total = lab.verified()
    assert passed == total


def test_removing_a_hypervisor_from_the_intent_removes_its_sessions_and_routes(lab):
    text = lab.intent.read_text()
    lab.intent.write_text(text.replace(ADDED_HYPERVISOR, ""))
    run = lab.play("--tags", "nodes,network,routing")
    assert run.code == 0, run.output
    # BIRD ends sessions in the background after it has read its configuration.
    until(lambda: "hv4" not in lab.run("rr1", "birdc", "show", "protocols"), 30, "the end of the sessions with hv4")
    route = ("-4", "route", "show", "vrf", "public", "203.0.113.6/32")
    until(lambda: not lab.json("hv1", *route), 30, "the withdrawal of the route to vm6")
