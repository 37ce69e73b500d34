"""Cuts that need what the lab kernel has, and clocks that jump while a change is armed.

A clock belongs to a whole kernel, so it is set only in a kernel that is an ordinary process or a virtual machine.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.armed_host import CONFIRM_S, IN_LAB_KERNEL, assert_undoes_itself, cut, is_back, leave_unarmed, made_host
from support.waiting import stays, until

pytestmark = pytest.mark.long
DAY_S = 86400
KIND = os.environ.get("ROUTED_HYPERVISOR_KERNEL_KIND")
# Of user-mode Linux and of QEMU: what the environment says is not enough to set a clock.
MARKS = {"uml": ("/proc/cpuinfo", "User Mode Linux"), "qemu": ("/sys/class/dmi/id/sys_vendor", "QEMU")}


def has_own_clock() -> bool:
    file, mark = MARKS.get(str(KIND), ("/nonexistent", ""))
    return Path(file).exists() and mark in Path(file).read_text()


@pytest.fixture(scope="module")
def host(run_module_once, systemd_image):
    if not has_own_clock():
        pytest.skip("this is no lab kernel: run in bin/lab-kernel")
    with made_host(run_module_once, systemd_image) as host:
        yield host


@pytest.fixture
def settled(host):
    yield host
    leave_unarmed(host)


@pytest.mark.parametrize("name", IN_LAB_KERNEL)
def test_a_cut_undoes_itself_in_time(settled, name):
    assert_undoes_itself(settled, name)


@pytest.fixture
def jump(settled):
    """A function that sets the clock forward or back by so many seconds. It is right again after the test."""
    start, elapsed = time.time(), time.monotonic()

    def jump(seconds: float) -> None:
        assert has_own_clock()
        time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)

    yield jump
    assert has_own_clock()
    time.clock_settime(time.CLOCK_REALTIME, start + time.monotonic() - elapsed)


@pytest.mark.parametrize("seconds", [-400 * DAY_S, -60, 60, 400 * DAY_S])
def test_a_clock_that_jumps_neither_ends_nor_extends_the_time(settled, jump, seconds):
    before = settled.state()
    start = time.monotonic()
    settled.arm(confirm_s=20)
    cut(settled, "all routes are gone")
    jump(seconds)
    stays(settled.is_armed, 3)  # a timer that follows the clock would end
    until(lambda: not settled.is_armed(), 30, what="the change is undone")
    assert time.monotonic() - start >= 20
    is_back(settled, before)


def test_a_change_is_confirmed_after_a_jump(settled, jump):
    settled.arm(confirm_s=CONFIRM_S + 15)
    jump(400 * DAY_S)
    result = settled.arming(state="confirmed")
    assert not result.get("failed"), result["raw"]
    assert not settled.is_armed()
