"""Drift is predicted and repaired exactly. Molecule verifies that a second run changes nothing."""

from __future__ import annotations

import pytest
from conftest import NOT_VERIFIED
from support.waiting import until


def changes(run):
    """(host, module, kind) of every change."""
    return {
        (task["host"], task["action"].rpartition(".")[2], change["kind"])
        for task in run.tasks
        for change in task["changes"]
    }


def test_sessions_in_vrfs_that_were_deleted_come_back(lab):
    """BIRD's sockets are bound to the index of a VRF, which is another one when it has been created again."""
    for vrf in ("private", "public"):
        lab.run("hv1", "ip", "link", "delete", vrf)
    stages = ("--limit", "hv1", "--tags", "network,firewall,routing,services")
    predicted = lab.play("--check", *stages)
    repaired = lab.play(*stages)
    assert repaired.code == 0, repaired.output
    assert ("hv1", "daemon", "services") in changes(predicted)
    assert changes(repaired) == changes(predicted)
    rule = ("priority", "400", "to", "10.0.0.0/8", "table", "77")  # of wg-quick or tailscale, for instance
    lab.run("hv1", "ip", "rule", "add", *rule)
    verified = lab.play(playbook="playbooks/verify.yml")
    assert verified.code == 0, verified.output
    assert lab.play(*stages).changed == set()
    lab.run("hv1", "ip", "rule", "delete", *rule)


VM1_6 = "2001:db8:cb00:7100:0:cbff:fe00:7101"


@pytest.fixture
def several_drifts(lab):
    lab.run("hv1", "ip", "route", "del", "203.0.113.1/32", "vrf", "public")
    lab.run("hv2", "sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/vm3/proxy_arp")
    lab.run("hv3", "ip", "address", "del", "198.51.100.103/25", "dev", "fabric-A.90")
    lab.run("rr1", "sh", "-c", "echo '# edited by hand' >>/etc/bird/bird.conf")
    lab.run("hv3", "service", "ndppd", "stop")
    lab.run("hv2", "service", "routed-hypervisor-run", "stop")
    lab.run("hv2", "ip", "-6", "neighbor", "delete", "proxy", VM1_6, "dev", "vm3")


SEVERAL = {
    ("hv1", "network", "routes"),
    ("hv2", "network", "proxy_arp"),
    ("hv3", "network", "interfaces"),
    ("hv3", "daemon", "services"),  # its sessions from that address are refreshed
    ("rr1", "daemon", "files"),
    ("hv3", "ndppd", "services"),
    ("hv2", "agent", "services"),
}


def test_drifts_are_predicted_and_repaired_exactly(lab, several_drifts):
    predicted = lab.play("--check", "--diff", *NOT_VERIFIED)
    assert predicted.code == 0, predicted.output
    assert changes(predicted) - {("rr1", "daemon", "services")} == SEVERAL
    repaired = lab.play(*NOT_VERIFIED)
    assert repaired.code == 0, repaired.output
    assert repaired.changed == predicted.changed
    assert changes(repaired) == changes(predicted)
    assert lab.json("hv1", "route", "show", "vrf", "public", "203.0.113.1/32")
    until(
        lambda: VM1_6 in lab.run("hv2", "ip", "-6", "neighbor", "show", "proxy", "dev", "vm3"), 20, "the entry is back"
    )
