"""A lab that loses its supervisor, its kernel or the program in it, and what is left when it is taken down: nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest
from run_lab import (
    BASE,
    DEADLINE,
    ENVIRONMENT,
    LAB,
    OWNER,
    descendants,
    fake_kernel,
    lab,
    nothing_left,
    run,
    start,
    status,
    supervisor,
    up,
)
from support.waiting import until


def started(name: str) -> subprocess.Popen:
    client = start(name, "bash", "-c", "echo started; exec sleep 1000")
    assert client.stdout and client.stdout.readline() == b"started\n"
    return client


def start_up(name: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [LAB, "up", name, "--owner", OWNER],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture(name="name")
def name_of_a_lab():
    name = f"ends-{os.getpid()}"
    with nothing_left(name) as begun:
        up(name)
        begun |= {supervisor(name), *descendants(supervisor(name))}
        yield name


def test_a_lab_that_is_taken_down_leaves_nothing(name):
    assert run(name, "echo $ROUTED_HYPERVISOR_KERNEL_KIND") == "uml\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/autogroup"), reason="sessions are not scheduled as groups here")
def test_a_lab_has_the_niceness_of_the_command_that_brought_it_up(name):
    lab("down", name)
    up(name, prefix=("nice", "-n", "5"))
    (kernel, *_processes) = descendants(supervisor(name))
    for process in (supervisor(name), kernel):
        with open(f"/proc/{process}/autogroup", encoding="ascii") as file:
            assert file.read().endswith(" nice 5\n")


def test_two_labs_at_once_do_not_meet(name):
    other = f"other-{os.getpid()}"
    with nothing_left(other):
        up(other)
        run(name, "ip link add only-here type dummy; touch /run/only-here")
        assert run(other, "ip link show only-here 2>&1 || ls /run/only-here 2>&1 || echo neither").endswith("neither\n")
        assert {status(name)["process"], status(other)["process"]} == {supervisor(name), supervisor(other)}
        lab("down", other)
        assert "release" in status(name)


def assert_reported_and_recovered(name: str, why: str) -> None:
    until(lambda: "note" in status(name), what="the lab is down")
    sentence = next(line for line in lab("status").stdout.splitlines() if line.startswith(f"{name}: "))
    assert re.fullmatch(
        rf"{name}: not up: {why}[.] Bring it up again with make lab, or clean up with bin/lab down {name}", sentence
    )
    result = lab("exec", name, "", "true")
    assert result.returncode == 125
    assert re.fullmatch(rf"lab: lab {name} is not up: {why}[.] Bring it up with make lab\n", result.stderr)
    assert f"lab {name} was up; " in up(name).stdout
    assert run(name, "echo works") == "works\n"


def test_a_supervisor_that_is_killed(name):
    kernel = descendants(supervisor(name))
    client = started(name)
    os.kill(supervisor(name), signal.SIGKILL)
    _output, errors = client.communicate(timeout=DEADLINE)
    assert (client.returncode, errors) == (125, b"lab: the lab ended meanwhile\n")
    until(lambda: not [each for each in kernel if os.path.exists(f"/proc/{each}")], what="its kernel has ended")
    assert_reported_and_recovered(name, "its supervisor was killed")


def test_a_kernel_that_is_killed(name):
    client = started(name)
    os.kill(descendants(supervisor(name))[0], signal.SIGKILL)
    _output, errors = client.communicate(timeout=DEADLINE)
    assert client.returncode == 125
    assert errors == b"lab: user-mode Linux ended before it was asked to: it was killed by SIGKILL\n"
    assert_reported_and_recovered(name, "it ended at [0-9:]+: user-mode Linux ended before it was asked to: .*")


def test_a_kernel_that_panics(name):
    lab("exec", name, "", "bash", "-c", "echo c >/proc/sysrq-trigger; sleep 1000")
    assert_reported_and_recovered(name, "it ended at [0-9:]+: .*: Kernel panic.*")


def test_the_program_in_the_kernel_is_killed():
    name = f"host-{os.getpid()}"
    with nothing_left(name):
        up(name, environment={"ROUTED_HYPERVISOR_KERNEL": "host"})
        client = started(name)
        (guest, *commands) = descendants(supervisor(name))
        assert commands
        os.kill(guest, signal.SIGKILL)
        _output, errors = client.communicate(timeout=DEADLINE)
        assert client.returncode == 125
        assert errors.startswith(b"lab: the lab's program on this machine ended before it was asked to: ")
        until(lambda: not [each for each in commands if os.path.exists(f"/proc/{each}")], what="its commands ended")
        until(lambda: "the lab's program on this machine ended" in status(name).get("note", ""), what="the lab is down")
        up(name, environment={"ROUTED_HYPERVISOR_KERNEL": "host"})
        assert lab("exec", name, "", "uname", "-r").stdout.strip() == os.uname().release


def test_a_lab_may_be_taken_down_while_it_is_brought_up(name, tmp_path):
    lab("down", name)
    with nothing_left(name):
        attempt = start_up(name, ROUTED_HYPERVISOR_CACHE=fake_kernel(tmp_path, "sleep 1000"))  # which takes long
        until((BASE / name).exists, what="the attempt has begun")
        lab("down", name)
        _output, errors = attempt.communicate(timeout=DEADLINE)
        assert errors.decode() == f"lab: lab {name} is not up: another command took it down\n"


def test_a_supervisor_that_does_not_answer_is_ended_by_down(name):
    os.kill(supervisor(name), signal.SIGSTOP)
    assert lab("down", name).returncode == 0


def test_the_status_of_a_lab_whose_kernel_does_not_answer_says_so(name):
    kernel = descendants(supervisor(name))
    for process in kernel:
        os.kill(process, signal.SIGSTOP)
    try:
        assert f"the kernel of lab {name} does not answer" in lab("status").stdout
    finally:
        for process in kernel:
            os.kill(process, signal.SIGCONT)


def test_the_second_up_waits_for_the_first(name):
    lab("down", name)
    first, second = start_up(name), start_up(name)
    outputs = [each.communicate(timeout=DEADLINE)[0].decode() for each in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted("is up after" in output for output in outputs) == [False, True]
    assert len({supervisor(name)}) == 1


def test_an_up_that_is_killed_leaves_a_lab_that_is_up(name):
    lab("down", name)
    attempt = start_up(name)
    until((BASE / name).exists, what="the attempt has begun")
    attempt.kill()
    attempt.communicate()
    up(name)
    assert run(name, "echo works") == "works\n"
