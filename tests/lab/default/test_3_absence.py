"""A guest that does not run, and one that was taken out of the intent while it runs."""

from __future__ import annotations

import json

import pytest

STAGES = ("--tags", "network,firewall,routing,services")
VERIFY_DEADLINE = 60


def test_a_guest_without_a_port_is_reported_and_everything_else_is_applied_and_verified(lab):
    stages = (*STAGES, "--limit", "routers:switches:lab")  # the node vm1 stays, but has lost the other end of its cable
    lab.run("hv1", "ip", "link", "delete", "vm1")
    lab.run("hv1", "ip", "route", "delete", "203.0.113.2/32", "vrf", "public")  # drift, to be repaired nevertheless
    run = lab.play(*stages)
    assert run.code == 0, run.output
    assert "hv1: absent, and not configured: vm1 (vm1)" in run.output
    assert lab.json("hv1", "route", "show", "vrf", "public", "203.0.113.2/32")
    assert lab.play(*stages).changed == set()
    verified = lab.play(playbook="playbooks/verify.yml")
    assert verified.code == 0, verified.output
    assert "3 of 4 guests present; absent: hv1 vm1 (vm1)" in verified.output
    nodes = json.loads(lab.report.read_text())["nodes"]
    absent = {node: [result for result in found if result["state"] == "absent"] for node, found in nodes.items()}
    assert {"hv1", "hv2", "vm1", "vm3"} <= {node for node, found in absent.items() if found}
    assert all(result["state"] in ("passed", "absent", "not run") for found in nodes.values() for result in found)
    assert max(result["seconds"] for found in nodes.values() for result in found) < VERIFY_DEADLINE


def test_when_its_port_is_back_a_run_configures_it(lab):
    run = lab.play()
    assert run.code == 0, run.output
    assert ("hv1", "network") in run.changed
    report = json.loads(lab.report.read_text())
    assert (report["absent"], report["failed"]) == ([], 0)


def echoes(lab, node):
    """ICMP echo requests that a node has received."""
    names, values = [line.split() for line in lab.run(node, "grep", "Icmp:", "/proc/net/snmp").splitlines()]
    return int(values[names.index("InEchos")])


@pytest.fixture
def vm2_left(lab):
    text = lab.intent.read_text()
    lab.intent.write_text(text.replace("      vm2: {ipv4: 203.0.113.2}\n", ""))
    run = lab.play(*STAGES)
    assert run.code == 0, run.output
    yield
    lab.intent.write_text(text)
    lab.tried("vm2", "ip", "address", "delete", "203.0.113.1/32", "dev", "eth0")
    again = lab.play()
    assert again.code == 0, again.output


def test_a_guest_that_left_the_intent_reaches_nothing_and_nobody_reaches_it(lab, vm2_left):
    assert "master" not in lab.json("hv1", "link", "show", "dev", "vm2")[0]
    for node, family, target in (
        ("vm2", "4", "203.0.113.254"),
        ("vm2", "4", "203.0.113.1"),
        ("vm2", "4", "192.0.2.1"),
        ("vm2", "6", "fe80::1%eth0"),
        ("vm1", "4", "203.0.113.2"),
        ("hv1", "4", "203.0.113.2"),
        ("internet", "4", "203.0.113.2"),
    ):
        code, output, errors = lab.tried(node, "ping", f"-{family}", "-c", "1", "-W", "1", target)
        assert code != 0, f"{node} reaches {target}: {output}{errors}"
    # The gateway's hardware address may be known from before: also with it, no packet gets through.
    [port] = lab.json("hv1", "link", "show", "dev", "vm2")
    gateway = ("203.0.113.254", "lladdr", port["address"], "dev", "eth0")
    lab.run("vm2", "ip", "neighbor", "replace", *gateway, "nud", "permanent")
    lab.run("vm2", "ip", "address", "add", "203.0.113.1/32", "dev", "eth0")
    before = echoes(lab, "internet")
    for source in ("203.0.113.1", "203.0.113.2"):
        lab.tried("vm2", "ping", "-c", "2", "-W", "1", "-I", source, "192.0.2.1")
    lab.run("vm2", "ip", "neighbor", "delete", *gateway)
    assert echoes(lab, "internet") == before
    assert lab.tried("vm1", "ping", "-c", "1", "-W", "10", "192.0.2.1")[0] == 0
    assert echoes(lab, "internet") == before + 1
