"""A host with GoBGP and containers, and a leaf with FRR, that are rebooted and come back without Ansible."""

from __future__ import annotations

import pytest
from support.waiting import until, until_equal

PING = ("ip", "netns", "exec", "web1", "ping", "-c", "1", "-W", "0.5", "192.168.1.2")  # contiv1 to contiv2
NODES = ("contiv1", "switch1")

pytestmark = pytest.mark.long


def routes(lab, node):
    """All routes, with their next hops and protocols."""
    found = lab.json(node, "route", "show", "table", "all")
    return sorted(f"{route['dst']} {route.get('gateway')} {route['dev']} {route['protocol']}" for route in found)


@pytest.mark.parametrize("node", NODES)
def test_containers_are_reachable_again_and_the_next_run_changes_nothing(leaf_lab, node):
    lab = leaf_lab
    until(lambda: lab.tried("contiv1", *PING)[0] == 0, 60, "the other host's container answers")
    before = {other: routes(lab, other) for other in ("contiv1", "switch1", "switch2")}
    print(f"{node}: all services active after {lab.reboot(node):.1f} s")
    until(lambda: lab.tried("contiv1", *PING)[0] == 0, 90, "the other host's container answers", 0.1)
    for other, expected in before.items():
        until_equal(lambda other=other: routes(lab, other), expected, 60, 0.2)
    stored = [f"{node} is as stored"]
    until_equal(lambda: lab.tried(node, "routed-hypervisor", "status")[1].splitlines()[:1], stored, 20, 0.2)
    run = lab.play()
    assert run.code == 0, run.output
    assert run.changed == set()
    passed, total = lab.verified()
    assert passed == total > 20
