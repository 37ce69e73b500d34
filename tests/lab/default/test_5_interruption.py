"""The next run completes one that was killed half way; taking the lab down leaves nothing behind."""

from __future__ import annotations

import os
import signal

import pytest


@pytest.fixture(scope="module")
def cut(make_lab):
    """The default lab, from scratch."""
    made = make_lab("l3_hypervisor")
    made.play(playbook="playbooks/down.yml")
    yield made
    made.play(playbook="playbooks/down.yml")


def kill_when(process, task):
    """Kills a run and all its processes as soon as it prints that it is in a task."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("TASK") and task in line:
            break
    else:
        pytest.fail(f"no task with {task!r} was seen:\n{''.join(lines)}")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_runs_killed_in_three_stages_are_completed_by_the_next(cut):
    for task in ("Plug the cables", "Configure VRFs", "Run BIRD"):
        kill_when(cut.start(), task)
    run = cut.play()
    assert run.code == 0, run.output
    passed, total = cut.verified()
    assert passed == total


def test_check_mode_without_a_lab_predicts_the_nodes_and_creates_none(cut):
    assert cut.play(playbook="playbooks/down.yml").code == 0
    assert cut.remains() == []
    run = cut.play("--check")
    assert run.code == 0, run.output
    assert run.changed == {("lab_host", "lab_kernel"), ("lab_host", "lab_nodes"), ("lab_host", "lab_cables")}
    assert cut.remains() == []


def test_down_works_twice_and_after_a_node_left_the_intent(cut):
    assert cut.play("--tags", "nodes").code == 0
    cut.intent.write_text(cut.intent.read_text().replace("      vm2: {ipv4: 203.0.113.2}\n", ""))
    down = cut.play(playbook="playbooks/down.yml")
    assert down.code == 0, down.output
    assert cut.remains() == []
    again = cut.play(playbook="playbooks/down.yml")
    assert again.code == 0
    assert again.changed == set()
