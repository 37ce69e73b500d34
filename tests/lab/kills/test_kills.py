"""One process of a lab is killed at a random moment while it is brought up: the next run gives a verified lab.

To repeat the same kills, set ROUTED_HYPERVISOR_TESTS_SEED to the number that a failed test prints.
"""

from __future__ import annotations

import os
import random
import subprocess
import time

import pytest
from conftest import NOT_VERIFIED, PROGRAM
from support.waiting import until
from victims import KINDS, family, kill, start_of, supervisor

SEED = int(os.environ.get("ROUTED_HYPERVISOR_TESTS_SEED", "0"))
ENDS_WITHIN_S = 240  # a run whose lab was killed must fail, not hang


@pytest.fixture(scope="module")
def lab(make_lab):
    """The smallest lab, from scratch each time."""
    made = make_lab("ipvlan_l2", name="kills")
    yield made
    down(made)


@pytest.fixture(scope="module")
def run_takes(lab) -> float:
    """How long a run from scratch takes here, in seconds: kills are spread over that time."""
    start = time.monotonic()
    run = lab.play(*NOT_VERIFIED)
    assert run.code == 0, run.output
    return time.monotonic() - start


def down(lab) -> None:
    done = subprocess.run([PROGRAM, "down", lab.name], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def killed_and_repaired(lab, run_takes, number: int, kind: str) -> None:
    choice = random.Random(f"{SEED} {number} {kind}")
    down(lab)
    play = lab.start(*NOT_VERIFIED)
    start = time.monotonic()
    time.sleep(choice.uniform(0, run_takes))

    def killed() -> tuple[list] | None:
        owner = supervisor(lab)
        before = family(owner) if owner else []
        return (before,) if kill(lab, kind, play.pid, choice) else None

    # A process that does not exist yet is killed as soon as it does.
    (before,) = until(killed, ENDS_WITHIN_S, f"a {kind} to kill", 0.1)
    moment = time.monotonic() - start
    output, _ = play.communicate(timeout=ENDS_WITHIN_S)
    event = f"seed {SEED}, round {number}: {kind} killed after {moment:.1f} s, the run ended with {play.returncode}"
    print(event)
    run = lab.play()
    assert run.code == 0, f"{event}\n{output}\n----- the run after it\n{run.output}"
    passed, total = lab.verified()
    assert passed == total > 0, event
    owner = supervisor(lab)
    assert owner, event
    before += family(owner)
    down(lab)
    # Processes of a kernel that was killed end a moment after it.
    until(lambda: not [one for one, started in before if start_of(one) == started], 20, f"{event}: all have ended")
    assert lab.remains() == [], event


@pytest.mark.parametrize(("number", "kind"), list(enumerate(random.Random(SEED).sample(KINDS, 3))))
def test_the_next_run_repairs_a_lab_with_a_killed_process(lab, run_takes, number, kind):
    killed_and_repaired(lab, run_takes, number, kind)


@pytest.mark.long
@pytest.mark.parametrize(("number", "kind"), list(enumerate(KINDS * 4, 3)))
def test_the_next_run_repairs_a_lab_after_any_kill(lab, run_takes, number, kind):
    killed_and_repaired(lab, run_takes, number, kind)
