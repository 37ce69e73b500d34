"""Runs of site.yml whose changes undo themselves unless the run confirms them."""

from __future__ import annotations

import json

import pytest
from support.waiting import until
from test_reboots import VM1, answers, assert_intact, wait_for_sessions

pytestmark = pytest.mark.long
ON_HV1 = ("--limit", "hv1")  # hv2 runs no systemd, and could not undo a change
ARMED = "/var/lib/routed-hypervisor/armed"
CUT = """
ip link set fabric-A down
ip link set fabric-B down
ip route flush table 90 proto 82
ip route flush table 90 proto bird
nft flush ruleset
systemctl stop bird
: >/etc/bird/bird.conf
head -c 3000 /dev/urandom >/usr/local/sbin/routed-hypervisor
"""


def is_armed(lab) -> bool:
    return lab.tried("hv1", "test", "-d", ARMED)[0] == 0


def test_a_run_that_changes_nothing_confirms_and_reports_no_change(lab):
    run = lab.play(*ON_HV1, "-e", "confirm_s=120", "--skip-tags", "verify")
    assert run.code == 0 and run.changed == set(), run.output
    assert not is_armed(lab)
    [applied] = lab.run("hv1", "ls", "/var/lib/routed-hypervisor/applied").split()
    assert applied


def test_a_run_that_arms_nothing_is_refused_while_a_change_is_armed(lab):
    lab.run("hv1", "routed-hypervisor", "arm", "--seconds", "120")
    run = lab.play("--tags", "arm")
    assert run.code != 0 and "another change is armed" in run.output, run.output
    lab.run("hv1", "routed-hypervisor", "confirm")


def test_a_host_whose_path_is_cut_is_as_before_and_blocks_the_rest_of_the_run(lab):
    wait_for_sessions(lab)
    run = lab.play(*ON_HV1, "-e", "confirm_s=300", "--tags", "arm")
    assert run.code == 0 and is_armed(lab), run.output
    again = lab.play(*ON_HV1, "-e", "confirm_s=8", "--tags", "arm")
    assert again.code != 0 and "another change is armed" in again.output
    lab.run("hv1", "routed-hypervisor", "arm", "--extend", "--seconds", "15")  # these runs took who knows how long
    lab.run("hv1", "sh", "-c", CUT)
    assert not answers(lab, VM1)
    until(lambda: not is_armed(lab), 60, "the change is undone", 0.2)
    until(lambda: answers(lab, VM1), 60, "vm1 answers", 0.2)
    wait_for_sessions(lab)
    code, output, _errors = lab.tried("hv1", "routed-hypervisor", "status", "--json")
    status = json.loads(output)
    assert code == 1 and "not confirmed within" in status["rolled_back"]["why"] and not status["differences"], status
    late = lab.play("--tags", "network", playbook="playbooks/network.yml")
    assert late.code != 0 and "was rolled back" in late.output, late.output
    verified = lab.play(playbook="playbooks/verify.yml")
    assert verified.code != 0 and "hv1 has not rolled back its last change" in verified.output, verified.output
    assert "ROLLED BACK" in lab.report.read_text()
    repaired = lab.play("--skip-tags", "verify")
    assert repaired.code == 0, repaired.output
    assert_intact(lab)
    assert lab.tried("hv1", "routed-hypervisor", "status")[0] == 0
