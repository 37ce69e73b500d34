"""The power fails at random moments of a run that changes the intent.

After the boot, the kernel holds the network of before or of after, never anything between, and no file is damaged. A
change that was armed when the power failed is rolled back by the boot. The next run completes the change. To repeat the
same cuts, set ROUTED_HYPERVISOR_TESTS_SEED.
"""

from __future__ import annotations

import os
import random
import subprocess
import time

import pytest
from support.waiting import until, until_equal

pytestmark = pytest.mark.long
SEED = int(os.environ.get("ROUTED_HYPERVISOR_TESTS_SEED", "0"))
CUTS = int(os.environ.get("ROUTED_HYPERVISOR_TESTS_CUTS", "10"))
NOT_VERIFIED = ("--skip-tags", "verify")


@pytest.fixture(scope="module")
def references(server, configured) -> dict:
    """The kernel and the files before and after the change, and how long the change takes."""
    server.machine.load("configured")
    server.write_other()
    before = {"kernel": server.kernel(), "files": server.files()}
    start = time.monotonic()
    run = server.play(*NOT_VERIFIED)
    assert run.code == 0, run.output
    seconds = time.monotonic() - start
    # Compared with what a boot makes of it, not with what the run has left.
    server.machine.reboot()
    after = {"kernel": server.kernel(), "files": server.files()}
    assert before["kernel"] != after["kernel"]
    return {"before": before, "after": after, "seconds": seconds}


def known(kernel: dict, references: dict) -> str | None:
    return next((name for name in ("before", "after") if references[name]["kernel"] == kernel), None)


def between(found: str, before: str, after: str) -> list[str]:
    """Files that are neither as before nor as after."""
    known = {*before.splitlines(), *after.splitlines()}
    return sorted(set(found.splitlines()) - known)


@pytest.mark.parametrize("number", range(CUTS))
def test_after_a_power_cut_the_host_is_in_the_state_before_or_after(server, references, number):
    machine = server.machine
    moment = random.Random(f"{SEED} {number}").uniform(0, references["seconds"])
    machine.load("configured")
    record = server.directory / f"cut-{number}.jsonl"
    process = server.start(*NOT_VERIFIED, record=record)
    start = time.monotonic()
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        machine.cut_power()
    output, _ = process.communicate(timeout=600)
    machine.cut_power()
    tasks = record.read_text().splitlines() if record.exists() else []
    event = f"seed {SEED}, cut {number}: after {time.monotonic() - start:.0f} s and {len(tasks)} tasks"

    machine.boot()
    # Addresses are tentative at first.
    state = until(lambda: known(server.kernel(), references), 120, f"{event}: as before or as after\n{output}", 1)
    print(f"{event}: {state}", flush=True)
    *rollback, status = server.status().splitlines()
    assert status == "hv1 is as stored", f"{event}: {rollback} {status}"
    if rollback:  # the change was armed, and not yet confirmed
        assert state == "before" and len(rollback) == 1, f"{event}: {rollback}"
        assert rollback[0].startswith("ROLLED BACK") and "not restored" not in rollback[0], f"{event}: {rollback}"
    damaged = between(server.files(), references["before"]["files"], references["after"]["files"])
    assert damaged == [], event

    run = server.play(*NOT_VERIFIED)
    assert run.code == 0, f"{event}\n{run.output}"
    until_equal(server.kernel, references["after"]["kernel"], 120, 1)
    assert server.files() == references["after"]["files"], event
    machine.cut_power()
