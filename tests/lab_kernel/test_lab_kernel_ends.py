"""Signals, a kernel that fails, and what is left of it when it has ended: nothing."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from pathlib import Path

import pytest
from run_lab_kernel import DEADLINE, LAB_KERNEL, UML, lab_kernel, running
from support.signals import answering
from support.waiting import until, until_equal


def processes_of(session: int) -> list[str]:
    """Command lines of the user-mode Linux processes that descend from a process group or were left by it."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            marks = (directory / "environ").read_bytes().split(b"\0")
            if f"LAB_KERNEL_TEST={session}".encode() in marks or f"mem={session}M" in command:
                found.append(command)
    return found


@pytest.mark.parametrize("trapped", ["INT", "TERM", "HUP"])
def test_a_signal_reaches_the_command(trapped):
    with running(*answering(trapped, f"got {trapped}", 5)) as process:
        process.send_signal(getattr(signal, f"SIG{trapped}"))
        output, _ = process.communicate(timeout=DEADLINE)
        assert (process.returncode, output) == (5, f"got {trapped}\n".encode())


def test_ctrl_c_reaches_the_whole_group_and_gives_130():
    # Both processes are there; one that bash is about to start would not receive it.
    with running("bash", "-c", "sh -c 'echo started; exec sleep 1000'; exit 1") as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130


def test_the_third_ctrl_c_ends_a_command_that_ignores_it():
    with running(*answering("INT", "ignored")) as process:
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"ignored\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130


def test_a_signal_during_the_boot_ends_it_at_once():
    memory = 519  # tells this run's processes from those of others
    uml = {**UML, "ROUTED_HYPERVISOR_KERNEL_MEMORY": str(memory)}
    process = subprocess.Popen([LAB_KERNEL, "sleep", "1000"], env=uml, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    until(lambda: processes_of(memory), what="a kernel that boots")
    process.terminate()
    process.communicate(timeout=DEADLINE)
    assert process.returncode in (143, -signal.SIGTERM)


def test_killing_the_wrapper_leaves_no_process_and_no_file():
    memory = 517  # tells this run's processes from those of others
    places = [Path("/dev/shm"), Path.home(), Path("/tmp")]
    uml = {**UML, "ROUTED_HYPERVISOR_KERNEL_MEMORY": str(memory)}
    before = {place: set(place.iterdir()) for place in places}
    process = subprocess.Popen(
        [LAB_KERNEL, "bash", "-c", "echo started; sleep 1000"],
        env=uml,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout and process.stdout.readline() == b"started\n"
    assert processes_of(memory)
    process.kill()
    process.communicate()
    until(lambda: not processes_of(memory), what="no process of user-mode Linux is left")

    def left():
        new = {str(path) for place in places for path in set(place.iterdir()) - before[place]}
        return {path for path in new if re.search(r"uml|vm_file|lab-kernel|linux", path)}

    until_equal(left, set())


def test_two_at_the_same_time_do_not_meet():
    with running("bash", "-c", "ip link add only-here type dummy; echo started; sleep 1000"):
        assert lab_kernel("ip", "link", "show", "only-here").returncode != 0


def test_a_kernel_panic_is_a_failure_with_a_sentence():
    result = lab_kernel("bash", "-c", "echo c >/proc/sysrq-trigger; sleep 1000")
    assert result.returncode == 125
    assert b"lab-kernel: user-mode Linux ended before the command did: Kernel panic" in result.stderr


def test_too_little_memory_is_a_failure_with_a_sentence():
    script = "python3 -c 'x = [b\"x\" * (1 << 20 | i) for i in range(1024)]'; exit 0"
    result = lab_kernel("bash", "-c", script, environment={"ROUTED_HYPERVISOR_KERNEL_MEMORY": "256"})
    assert result.returncode == 125
    assert b"ran out of memory (256 MB) and killed python3: set ROUTED_HYPERVISOR_KERNEL_MEMORY" in result.stderr
