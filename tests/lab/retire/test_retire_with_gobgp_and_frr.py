"""Hosts with GoBGP, the routing manager and containers, and leaves with FRR, are given back as they were."""

from __future__ import annotations

import pytest
from support.host_state import differences, mispredicted, settled
from support.waiting import until_equal

NODES = ("contiv1", "contiv2", "switch1", "switch2")
WITH_SYSTEMD = ("contiv1", "switch1")
BEFORE = """
ip link add mgmt type dummy
ip link set mgmt up
ip address add 192.0.2.7/24 dev mgmt
ip route add 198.18.0.0/15 via 192.0.2.1
ip netns add mine
"""


@pytest.fixture(scope="module")
def lab(bring_up):
    """Only the nodes, which have everything installed."""
    nodes = ", ".join(f"{node}: {{init: systemd}}" for node in WITH_SYSTEMD)
    return bring_up(
        "contiv_leaf",
        *("--tags", "preflight,nodes"),
        name="retired_leaf",
        edit=lambda text: text.replace("lab: {}\n", f"lab: {{nodes: {{{nodes}}}}}\n"),
    )


def running(lab, node):
    lines = lab.run(node, "ps", "-eo", "args").splitlines()
    return [line for line in lines if "gobgpd" in line or "frr" in line or "routes" in line]


def test_hosts_and_leaves_are_given_back_as_they_were(lab):
    for node in NODES:
        lab.run(node, "sh", "-ec", BEFORE)
    before = settled(lab, NODES)
    first = lab.play()
    assert first.code == 0, first.output
    assert "web1" in lab.run("contiv1", "ip", "netns")

    retire = ("--limit", ",".join(NODES))
    predicted = lab.play(*retire, "--check", playbook="playbooks/retire.yml")
    assert predicted.code == 0, predicted.output
    done = lab.play(*retire, playbook="playbooks/retire.yml")
    assert done.code == 0, done.output
    assert mispredicted(predicted, done) == {}
    for node in NODES:
        until_equal(lambda node=node: running(lab, node), [], 20)
    until_equal(lambda: differences(before, settled(lab, NODES)), {}, 20, 0.2)
    assert [line.split()[0] for line in lab.run("contiv1", "ip", "netns").splitlines()] == ["mine"]

    second = lab.play(*retire, playbook="playbooks/retire.yml")
    assert second.code == 0 and second.changed == set(), second.output
