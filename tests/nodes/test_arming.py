"""Changes that cut the path to a host, and that undo themselves because nobody confirms them."""

from __future__ import annotations

import re
import time

import pytest
from support.armed_host import (
    ANYWHERE,
    TOGETHER,
    Host,
    assert_undoes_itself,
    cut,
    differences,
    is_back,
    leave_unarmed,
    made_host,
    set_up,
    shorten,
)
from support.waiting import until, until_equal


@pytest.fixture(scope="module")
def host(run_module_once, systemd_image):
    with made_host(run_module_once, systemd_image) as host:
        yield host


@pytest.fixture
def settled(host):
    """The host, and nothing armed after the test."""
    yield host
    leave_unarmed(host)


def verified(host: Host) -> dict:
    """Whether the last change was kept."""
    result = host.lab.module("n1", "verify", config=[{"kind": "rollback", "title": "of n1"}], deadline=0)
    assert "results" in result, result["raw"]
    return result["results"][0]


@pytest.mark.long
@pytest.mark.parametrize("name", ANYWHERE)
def test_a_cut_undoes_itself_in_time(settled, name):
    assert_undoes_itself(settled, name)


def test_a_change_that_is_not_confirmed_undoes_itself_in_time(settled):
    before = settled.state()
    settled.arm()
    cut(settled, *TOGETHER)
    assert settled.is_armed()
    start = time.monotonic()
    shorten(settled)
    until(lambda: not settled.is_armed(), 15, what="the change is undone")
    assert time.monotonic() - start < 15
    is_back(settled, before)
    assert "ROLLED BACK" in settled.run("cat /etc/motd.d/routed-hypervisor")
    assert verified(settled)["state"] == "failed" and "because it was not confirmed" in verified(settled)["seen"]
    # The run that was cut off cannot go on with it.
    late = settled.arming(extend=True)
    assert "nothing is armed: ROLLED BACK" in late["msg"], late
    late = settled.lab.module(
        "n1", "network", state="merged", config={"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]}
    )
    assert "was rolled back" in late["msg"], late


@pytest.mark.long
def test_a_rollback_that_is_killed_is_completed_by_the_next(settled):
    before = settled.state()
    settled.arm()
    cut(settled, *TOGETHER)
    shorten(settled)
    unit = "routed-hypervisor-rollback.service"
    killed = f"systemctl is-active {unit} | grep -qx activating && systemctl kill -s KILL {unit}"
    until(lambda: settled.lab.enter("n1", "sh", "-c", killed).returncode == 0, 15, "it is killed", 0.01)
    assert settled.is_armed()
    until(lambda: not settled.is_armed(), 15, what="the change is undone")
    is_back(settled, before)


def test_a_confirmed_change_stays(settled):
    settled.arm(confirm_s=60)
    settled.run("ip address add 192.0.2.50/24 dev eth1")
    again = settled.arming()
    assert re.fullmatch(r"another change is armed: armed by a test at .*, \d+ s left; .*", again["msg"]), again
    assert not settled.arming(extend=True, confirm_s=120).get("failed")
    result = settled.arming(state="confirmed")
    assert not result.get("failed") and result["changed"] is False, result["raw"]
    assert not settled.is_armed() and "192.0.2.50" in settled.run("ip address")
    assert settled.arming(state="confirmed")["msg"].startswith("nothing is armed")
    assert verified(settled)["state"] == "passed"
    settled.run("ip address del 192.0.2.50/24 dev eth1")
    left = settled.run("find /etc /run/systemd -name '*rollback*'; ls -A /var/lib/routed-hypervisor")
    assert left.split() == [], left


def test_a_damaged_record_is_refused_with_the_remedy(settled):
    settled.run("mkdir -p -m 700 /var/lib/routed-hypervisor/armed")
    try:
        for content in ("", "x", "{}", "[]", '{"version": 1}'):
            settled.lab.run("n1", "tee", "/var/lib/routed-hypervisor/armed/record", text=content)
            message = settled.arming()["msg"]
            assert message.startswith("/var/lib/routed-hypervisor/armed/record cannot be used ("), message
            assert message.endswith("then remove /var/lib/routed-hypervisor/armed"), message
    finally:
        settled.run("rm -r /var/lib/routed-hypervisor/armed")


def test_a_time_that_no_timer_should_have_is_refused(settled):
    for seconds, shown in ((4, "4"), (1e12, "1e+12")):
        message = settled.arming(confirm_s=seconds)["msg"]
        assert message == f"the time to confirm must be between 5 and 604800 s, not {shown}"
        assert not settled.is_armed()


def test_a_host_without_an_enabled_service_is_armed(settled):
    wants = "/etc/systemd/system/multi-user.target.wants"
    settled.run(f"mv {wants} /root/wants")
    try:
        settled.arm()
        result = settled.arming(state="confirmed")
        assert not result.get("failed"), result["raw"]
    finally:
        settled.run(f"rm -rf {wants}; mv /root/wants {wants}")


def test_a_disk_that_is_full_arms_nothing(settled):
    settled.run("mkdir -p /var/lib/routed-hypervisor; mount -t tmpfs -o size=64k none /var/lib/routed-hypervisor")
    try:
        result = settled.arming(confirm_s=5)
        assert "cannot be stored: No space left on device; nothing was changed" in result["msg"], result["raw"]
        assert settled.run("ls -A /var/lib/routed-hypervisor") == ""
    finally:
        settled.run("umount /var/lib/routed-hypervisor")


def test_a_reboot_while_armed_brings_back_files_and_services(settled):
    before = settled.state()
    settled.arm()
    cut(settled, "BIRD withdraws everything", "the agent is broken", "files are new", "BIRD is stopped and disabled")
    result = settled.lab.nodes("n1", state="rebooted", grace=1)
    assert not result.get("failed"), result["msg"]
    until(lambda: not settled.is_armed(), 15, what="the change is undone")
    set_up(settled)

    def other() -> list:
        found = differences(before, settled.state())
        return [found.get(key) for key in ("files", "units")]

    until_equal(other, [None, None])
    assert "rebooted" in settled.run("cat /etc/motd.d/routed-hypervisor")
