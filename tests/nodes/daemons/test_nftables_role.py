"""The role nftables in a lab node, as the playbook runs it: loaded, left alone, put right, and removed."""

from __future__ import annotations

import json

import pytest
from support import ansible_runs
from support.modules import PROJECT

NFTABLES = json.loads((PROJECT / "tests/golden/l3_hypervisor/hv1.json").read_text())["nftables"]


@pytest.fixture
def play(lab, tmp_path):
    """Runs the role in a node; returns how much it changed. `check` is check mode."""
    lab.nodes("n1")

    def run(nftables, *options: str) -> int:
        groups = {"hypervisors": {"n1": {"nftables": nftables}}}
        return ansible_runs.changed(
            ansible_runs.play(lab, tmp_path, groups, ansible_runs.play_of("nftables"), *options)
        )

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
