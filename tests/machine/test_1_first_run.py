"""A server that was installed as docs/real_hosts.md asks for: the first run, the second, a reboot, the third."""

from __future__ import annotations

import json
import time

import pytest
from support.modules import PROJECT
from support.waiting import until_equal

pytestmark = pytest.mark.long


def predicted(run) -> list[tuple]:
    """What a run has changed, or in check mode would change, in its order."""
    return [(task["task"], task["changed"], task["changes"]) for task in run.tasks if task["host"] == "hv1"]


def verified() -> list[dict]:
    report = json.loads((PROJECT / "artifacts/production/verify.json").read_text())
    return report["nodes"]["hv1"]


def test_the_first_run_does_what_check_mode_predicts_and_a_reboot_keeps_it(server):
    machine, start = server.machine, time.monotonic()

    def note(what: str) -> None:
        print(f"{time.monotonic() - start:5.0f} s: {what}", flush=True)

    machine.boot()
    note(f"the machine has booted; {machine.run('systemd-analyze time').splitlines()[0]}")
    server.install_reflectors()
    note("the reflectors run")

    prediction = server.play("--check", "--diff", "--skip-tags", "verify")
    assert prediction.code == 0, prediction.output
    first = server.play("--skip-tags", "verify")
    assert first.code == 0, first.output
    assert predicted(prediction) == predicted(first)
    assert ("hv1", "network") in first.changed
    assert server.status() == "hv1 is as stored"
    before = server.kernel()

    second = server.play("--skip-tags", "verify")
    assert second.code == 0 and second.changed == set(), second.output
    assert server.kernel() == before

    machine.reboot()
    note(f"the machine has rebooted; {machine.run('systemd-analyze time').splitlines()[0]}")
    status = server.status()
    note(status)
    assert status == "hv1 is as stored", machine.run("sudo journalctl -b -u routed-hypervisor --no-pager")
    until_equal(server.kernel, before, 120, 1)
    failed = machine.run("systemctl --failed --plain --no-legend")
    assert failed == "", failed

    # hv2 does not exist, and verification says so: nobody announces its guest.
    third = server.play()
    assert third.changed == set(), third.output
    failed = [result["title"] for result in verified() if result["state"] == "failed"]
    missing = [f"the route to web2 has 2 next hops in table 90 ({family})" for family in ("IPv4", "IPv6")]
    assert failed == missing, third.output
    note("the third run has verified the machine")
    machine.save("configured")
