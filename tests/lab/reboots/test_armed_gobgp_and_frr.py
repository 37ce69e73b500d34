"""A change of a host with GoBGP and containers, and of a leaf with FRR, that is not confirmed."""

from __future__ import annotations

import re

import pytest
from support.host_state import differences, settled
from support.waiting import until, until_equal
from test_armed_runs import ARMED
from test_reboots_with_gobgp_and_frr import PING, routes

pytestmark = pytest.mark.long
# What a run changes, and what it then breaks on top of that.
CHANGES = {
    "contiv1": ("id: 1\n    as: 65002", "id: 1\n    as: 65009"),
    "switch1": ("router_id: 80.1.1.1\n", "router_id: 80.1.1.9\n"),
}
CUTS = {
    "contiv1": "ip link set fabric-rack1 down; ip route flush table main; systemctl stop 'gobgpd*'",
    "switch1": "ip link set Vlan1 down; ip address flush dev Ethernet1-44; systemctl stop frr",
}
OTHERS = ("switch1", "switch2", "contiv1", "contiv2")


def sessions(lab, node: str) -> list[str]:
    """The neighbors of a router with which it has an established session."""
    if node.startswith("switch"):
        text = lab.run(node, "vtysh", "-c", "show bgp summary established")
        return sorted(line.split()[0] for line in text.splitlines() if line[:1].isdigit())
    text = lab.run(
        node, "sh", "-c", "for s in /run/routed-hypervisor-gobgp/*.sock; do gobgp --target unix://$s neighbor; done"
    )
    return sorted(line.split()[0] for line in text.splitlines() if "Establ" in line)


def without_the_rollback(lab, node: str) -> dict:
    """Nor numbers that FRR gives its next hops."""
    found = settled(lab, (node,))
    for kind, lines in found[node].items():
        kept = [line for line in lines if "rolled-back" not in line and "motd" not in line]
        numbered = kind.endswith("routes")
        found[node][kind] = [re.sub(r'"(nhid|id)": \d+', "", line) if numbered else line for line in kept]
    return found


@pytest.mark.parametrize("node", CHANGES)
def test_it_is_undone_with_sessions_routes_and_files(leaf_lab, node):
    lab = leaf_lab
    until(lambda: lab.tried("contiv1", *PING)[0] == 0, 60, "the other host's container answers")
    established, known = sessions(lab, node), {other: routes(lab, other) for other in OTHERS}
    assert established
    before = without_the_rollback(lab, node)
    old, new = CHANGES[node]
    text = lab.intent.read_text()
    assert old in text
    lab.intent.write_text(text.replace(old, new))
    try:
        run = lab.play("-e", "confirm_s=300", "--limit", node, "--skip-tags", "confirm,verify")
    finally:
        lab.intent.write_text(text)
    assert run.code == 0 and run.changed, run.output
    assert differences(before, without_the_rollback(lab, node))
    lab.run(node, "routed-hypervisor", "arm", "--extend", "--seconds", "20")  # the run took who knows how long
    lab.run(node, "sh", "-c", CUTS[node])
    assert lab.tried("contiv1", *PING)[0] != 0
    until(lambda: lab.tried(node, "test", "-d", ARMED)[0] != 0, 60, "the change is undone", 0.2)
    print(lab.run(node, "routed-hypervisor", "status", check=False))
    until(lambda: lab.tried("contiv1", *PING)[0] == 0, 90, "the other host's container answers", 0.2)
    until_equal(lambda: sessions(lab, node), established, 60, 0.2)
    for other, expected in known.items():
        until_equal(lambda other=other: routes(lab, other), expected, 60, 0.2)
    until_equal(lambda: differences(before, without_the_rollback(lab, node)), {}, 60, 0.2)
    # contiv2 runs no systemd, and could not undo a change.
    for args in (("-e", "confirm_s=120", "--limit", node, "--skip-tags", "verify"), ()):
        run = lab.play(*args)
        assert run.code == 0 and run.changed == set(), run.output
    passed, total = lab.verified()
    assert passed == total > 20
