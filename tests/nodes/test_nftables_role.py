"""The role nftables in a lab node, as the playbook runs it: loaded, left alone, put right, and removed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
NFTABLES = json.loads((PROJECT / "tests/golden/l3_hypervisor/hv1.json").read_text())["nftables"]


@pytest.fixture
def play(lab, tmp_path):
    """Runs the role in a node; returns how much it changed. `check` is check mode."""
    variables = {
        "ansible_connection": "local",
        "ansible_become": True,
        "ansible_become_method": "routed.hypervisor.node",
        "ansible_node_lab": lab.name,
        "ansible_remote_tmp": str(lab.directory / "tmp"),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"n1": None}, "vars": variables}}))
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "roles": ["nftables"]}]))
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
        "ANSIBLE_ROLES_PATH": str(PROJECT / "roles"),
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "ANSIBLE_NOCOLOR": "true",
    }
    lab.nodes("n1")

    def run(nftables, *options: str) -> int:
        done = subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook",
                *("-i", tmp_path / "hosts.yml", tmp_path / "play.yml", "-e", json.dumps({"nftables": nftables})),
                *options,
            ],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return int(re.search(r"changed=(\d+)", done.stdout)[1])

    return run


def test_the_table_is_loaded_left_alone_put_right_and_removed(lab, play):
    def rules() -> str:
        return lab.enter("n1", "nft", "--stateless", "list", "ruleset").stdout

    assert play(NFTABLES, "--check") == 1
    assert rules() == ""
    assert play(NFTABLES) == 1
    loaded = rules()
    assert loaded.startswith("table inet routed_hypervisor {")
    assert play(NFTABLES) == 0
    lab.enter("n1", "nft", "flush", "chain", "inet", "routed_hypervisor", "prerouting")
    assert play(NFTABLES) == 1
    assert rules() == loaded
    assert play(None, "--check") == 1
    assert rules() == loaded
    assert play(None) == 1
    assert rules() == ""
    assert play(None) == 0
