"""playbooks/drain.yml takes traffic away from a router, and loses none."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from support.waiting import until
from test_1_rollout import HOSTS, flat, sessions_are_up

pytestmark = pytest.mark.long
PAIRS = (
    ("vm3", "203.0.113.1"),
    ("vm1", "203.0.113.3"),
    ("vm4", "192.0.2.1"),
    ("vm2", "2001:db8:cb00:7100:0:cbff:fe00:7104"),
)
TO_VM1 = ("4", "public", "203.0.113.1")


def drained(lab, *args, undo=False):
    return lab.play(*args, playbook=f"playbooks/{'undrain' if undo else 'drain'}.yml")


@contextlib.contextmanager
def traffic(lab):
    """Nothing of 600 packets or more may be lost."""
    until(lambda: all(len(lab.established(host)) == 6 for host in HOSTS), 60, "sessions are up", 0.5)
    pings = [(source, lab.spawn(source, "ping", "-q", "-i", "0.02", target)) for source, target in PAIRS]
    start = time.monotonic()
    yield
    # A busy lab kernel sends one every 30 ms.
    until(lambda: time.monotonic() - start > 24, 30, "enough packets are sent", 0.5)
    for source, _ping in pings:
        lab.run(source, "pkill", "-INT", "-x", "ping")
    for source, ping in pings:
        output, _ = ping.communicate(timeout=20)
        [(sent, received)] = re.findall(r"(\d+) packets transmitted, (\d+) received", output)
        print(f"{source}: {sent} sent, {received} received")
        assert int(sent) == int(received) > 600, output


def test_a_fabric_of_a_hypervisor_is_drained_under_traffic(lab):
    on_both = {"198.51.100.101", "198.51.100.201"}
    until(lambda: lab.nexthops("hv2", *TO_VM1) == on_both, 60, "both fabrics lead to vm1")
    with traffic(lab):
        run = drained(lab, "--limit", "hv1", "-e", "fabric=A")
    assert run.code == 0 and "hv1, fabric A: no other router uses it. Maintenance may begin." in flat(run), run.output
    assert lab.nexthops("hv2", *TO_VM1) == {"198.51.100.201"}
    assert lab.nexthops("hv1", "4", "public", "203.0.113.3") == {"198.51.100.202"}
    assert lab.nexthops("hv3", "4", "public", "203.0.113.3") == {"198.51.100.102", "198.51.100.202"}
    # Neither a run nor a restart ends it.
    run = lab.play("--tags", "routing")
    assert run.code == 0 and run.changed == set(), run.output
    lab.run("hv1", "systemctl", "restart", "bird")
    until(lambda: lab.tried("hv1", "birdc", "show", "status")[0] == 0, 30, "BIRD answers")
    until(lambda: sessions_are_up(lab), 60, "sessions are up", 0.5)
    until(lambda: lab.nexthops("hv2", *TO_VM1) == {"198.51.100.201"}, 30, "fabric B leads to vm1")
    with traffic(lab):
        run = drained(lab, "--limit", "hv1", "-e", "fabric=A", undo=True)
        assert run.code == 0, run.output
        until(lambda: lab.nexthops("hv2", *TO_VM1) == on_both, 30, "both fabrics lead to vm1")
    run = drained(lab, "--limit", "hv1", undo=True)
    assert run.code != 0 and "hv1 is not drained" in flat(run), run.output


def test_a_reflector_is_drained_under_traffic_and_may_be_stopped(lab):
    with traffic(lab):
        run = drained(lab, "--limit", "rr1")
        assert run.code == 0 and "rr1: no other router uses it" in flat(run), run.output
        assert lab.nexthops("hv2", *TO_VM1) == {"198.51.100.201"}
        lab.run("rr1", "service", "bird", "stop")
        lab.run("rr1", "service", "bird", "start")
        until(lambda: lab.tried("rr1", "birdc", "show", "status")[0] == 0, 30, "BIRD answers")
        until(lambda: sessions_are_up(lab), 60, "sessions are up", 0.5)
        run = drained(lab, "--limit", "rr1", undo=True)
        assert run.code == 0, run.output
        until(lambda: len(lab.nexthops("hv2", *TO_VM1)) == 2, 30, "both fabrics lead to vm1")


def test_a_border_without_another_one_is_drained_and_still_used(lab):
    try:
        run = drained(lab, "--limit", "internet", "-e", "drain_s=3")
        assert run.code != 0, run.output
        assert "internet is drained, but still used by hv1, hv2, hv3, perhaps" in flat(run), run.output
    finally:
        assert drained(lab, "--limit", "internet", undo=True).code == 0


def test_what_cannot_be_drained_is_refused(lab):
    run = drained(lab, "--limit", "hv1")
    assert run.code != 0 and "hv1 still has vm1, vm2: move or stop them first" in flat(run), run.output
    run = drained(lab, "--limit", "hv1", "-e", "fabric=C")
    assert run.code != 0 and "fabric: hv1 is on A and B, not on C" in flat(run), run.output
    run = drained(lab)
    assert run.code != 0 and "name the router to drain, with --limit NAME" in flat(run), run.output
    assert not (lab.inventory / "host_vars").exists() or not list((lab.inventory / "host_vars").glob("*/drained.yml"))


def test_a_host_that_is_armed_is_not_drained_and_stays_as_it_is_in_the_inventory(lab):
    lab.run("hv1", "routed-hypervisor", "arm", "--seconds", "600")
    try:
        run = drained(lab, "--limit", "hv1", "-e", "fabric=A")
        assert run.code != 0 and "is armed" in flat(run), run.output
        assert not (lab.inventory / "host_vars/hv1/drained.yml").exists()
    finally:
        lab.run("hv1", "routed-hypervisor", "confirm")
