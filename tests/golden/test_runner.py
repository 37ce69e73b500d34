"""playbooks/render.yml by ansible-runner, as automation controllers run playbooks. No node is reached."""

from __future__ import annotations

import sys
from pathlib import Path

import ansible_runner
import pytest
import yaml
from test_render import PROJECT, files_of

INVENTORY = PROJECT / "inventories" / "contiv_leaf"
NODES = {"contiv1", "contiv2", "switch1", "switch2"}


@pytest.fixture
def private(tmp_path) -> Path:
    """The private data directory: the project as it is, with its ansible.cfg, and where files are to go."""
    (tmp_path / "env").mkdir()
    (tmp_path / "project").symlink_to(PROJECT)
    (tmp_path / "inventory").symlink_to(INVENTORY)
    where = {"render_directory": f"{tmp_path}/out"}
    (tmp_path / "env" / "extravars").write_text(yaml.safe_dump(where))
    return tmp_path


def play(private: Path) -> ansible_runner.Runner:
    return ansible_runner.run(
        private_data_dir=str(private),
        playbook="playbooks/render.yml",
        envvars={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        quiet=True,
    )


def happened(run: ansible_runner.Runner, event: str) -> list[dict]:
    return [entry["event_data"] for entry in run.events if entry["event"] == event]


def test_a_run_succeeds_and_its_events_tell_what_each_node_was_given(private):
    first = play(private)
    assert (first.status, first.rc) == ("successful", 0), first.stdout.read()
    [changes] = [
        entry["res"]["changes"]
        for entry in happened(first, "runner_on_ok")
        if entry["resolved_action"] == "routed.hypervisor.render"
    ]
    assert {(change["kind"], change["op"]) for change in changes} == {("files", "create")}
    written = {change["name"] for change in changes}
    assert {path.partition("/")[0] for path in written} >= NODES
    assert "switch1/etc/frr/frr.conf" in written
    assert written == set(files_of(private / "out"))
    assert not happened(first, "runner_on_failed") and not happened(first, "runner_on_unreachable")
    assert list(first.stats["changed"].values()) == [1]
    assert play(private).stats["changed"] == {}


def test_a_mistake_in_the_intent_is_an_event_and_an_exit_code(private):
    (private / "inventory").unlink()
    (private / "inventory").mkdir()
    text = (INVENTORY / "fabric.yml").read_text()
    (private / "inventory" / "fabric.yml").write_text(text.replace("peering: configured", "peering: configurd"))
    run = play(private)
    assert (run.status, run.rc != 0) == ("failed", True)
    assert "bgp.peering" in run.stdout.read()
    assert not happened(run, "playbook_on_task_start")
