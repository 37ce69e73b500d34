"""Playbooks that would match no host, and so succeed without having done anything, are refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.modules import PROJECT
from support.production import documented


def refusal(inventory: Path, playbook: str, *options: str) -> str:
    argv = ["-m", "ansible.cli.playbook", "-i", str(inventory), f"playbooks/{playbook}.yml", *options]
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, cwd=PROJECT)
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode, output
    return output


def test_a_drill_needs_a_lab(tmp_path):
    output = refusal(documented(tmp_path / "production"), "drill", "-e", "drill=cut_uplink")
    assert "there is no lab in this inventory: only nodes of a lab are broken" in output


def test_a_drill_has_no_limit():
    output = refusal(PROJECT / "inventories/l3_hypervisor", "drill", "-e", "drill=cut_uplink", "--limit", "hv2")
    assert "choose a node with -e drill_node=NAME instead of --limit, which leaves out lab_host" in output


def test_a_drill_has_its_own_name_of_a_fabric():
    output = refusal(PROJECT / "inventories/l3_hypervisor", "drill", "-e", "drill=lose_fabric", "-e", "fabric=B")
    assert "choose a fabric of the drill with -e drill_fabric=NAME, not with fabric" in output


LAB = PROJECT / "inventories/l3_hypervisor"


def test_only_nodes_of_a_lab_are_rebooted(tmp_path):
    output = refusal(documented(tmp_path / "production"), "reboot", "-e", "lab_reboot=hv1")
    assert "there is no lab in this inventory: its hosts are rebooted as any others" in output


@pytest.mark.parametrize("options", [(), ("--limit", "hv1", "-e", "lab_reboot=hv1")])
def test_a_reboot_needs_the_name_of_a_node(options):
    output = refusal(LAB, "reboot", *options)
    assert "name the node with -e lab_reboot=hv1 or make reboot NODE=hv1, not with --limit" in output


def test_what_another_run_has_armed_is_not_confirmed_by_a_playbook(tmp_path):
    output = refusal(documented(tmp_path / "production"), "confirm")
    assert "this run has armed no change, so it confirms none: run routed-hypervisor confirm" in output


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh")
def test_a_rollout_that_reaches_no_host_changes_none(tmp_path):
    inventory = documented(tmp_path / "production")
    hosts = dict.fromkeys(("hv1", "hv2", "rr1", "rr2"), "{ansible_host: 127.0.0.1, ansible_port: 1}")
    (inventory / "hosts.yml").write_text("all:\n  hosts:\n" + "".join(f"    {a}: {b}\n" for a, b in hosts.items()))
    output = refusal(inventory, "rollout", "-e", "skip_unreachable=true")
    assert "4 of 4 hosts cannot be reached: hv1, hv2, rr1, rr2. Nothing was touched. See ansible routers -m" in output
