"""Jobs in the kernel of one lab do not disturb each other."""

from __future__ import annotations

import concurrent.futures
import hashlib
import importlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from run_lab import DEADLINE, lab, run, start, up
from support.modules import PROJECT
from support.signals import answering
from support.waiting import until, until_equal

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client as client


@pytest.fixture(scope="module", name="name")
def lab_that_is_up():
    name = f"jobs-{os.getpid()}"
    up(name)
    yield name
    lab("down", name)


def test_outputs_of_fifty_jobs_at_once_do_not_mix(name):
    script = "i=0; while [ $i -lt 40 ]; do echo $0 out; echo $0 err >&2; i=$((i + 1)); done; exit $0"

    def job(number):
        return client.run(name, {"kind": "exec", "command": ["sh", "-c", script, str(number)], "directory": "/"})

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        for number, result in enumerate(pool.map(job, range(50))):
            assert result == (number, f"{number} out\n".encode() * 40, f"{number} err\n".encode() * 40)


def test_a_large_output_arrives_whole(name):
    size = 20_000_000
    job = start(name, "bash", "-c", f"yes 0123456789abcde | head -c {size} | tee >(sha256sum >&2)")
    output, errors = job.communicate(timeout=DEADLINE)
    assert (job.returncode, len(output)) == (0, size)
    assert hashlib.sha256(output).hexdigest().encode() in errors


def test_a_large_input_arrives_whole(name):
    data = os.urandom(5_000_000)
    job = start(name, "sha256sum", stdin=subprocess.PIPE)
    output, _errors = job.communicate(data, timeout=DEADLINE)
    assert output.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_many_inputs_at_once(name):
    data = [bytes([number]) * 400_000 for number in range(6)]
    jobs = [start(name, "sha256sum", stdin=subprocess.PIPE) for _ in data]
    for job, each in zip(jobs, data, strict=True):
        job.stdin.write(each[:300_000])
        job.stdin.flush()
    for job, each in zip(jobs, data, strict=True):
        output, _errors = job.communicate(each[300_000:], timeout=DEADLINE)
        assert output.split()[0].decode() == hashlib.sha256(each).hexdigest()


def test_a_reader_that_catches_up_with_many_lines_stalls_nobody(name):
    # Each line is a frame of its own, and so is its acknowledgement.
    lines = 8000
    script = f"import time\nfor number in range({lines}):\n    print(number, flush=True)\n    time.sleep(0.0002)\n"
    job = start(name, "python3", "-c", script, pipesize=4096)
    until(lambda: is_stuck(job), what="a client that cannot go on")
    until(lambda: run(name, "pgrep -fc '[i]mport time' || true") == "0\n", DEADLINE, "all lines are written")
    output, _errors = job.communicate(timeout=DEADLINE)
    assert output.split() == [str(number).encode() for number in range(lines)]


def is_stuck(process) -> bool:
    """Whether a thread of it waits for the reader of a pipe."""
    return any("pipe_write" in task.read_text() for task in Path(f"/proc/{process.pid}/task").glob("*/wchan"))


@pytest.mark.parametrize("writes", ["yes", "while :; do printf x; done"], ids=["large", "small"])
def test_a_slow_reader_does_not_hold_up_others(name, writes):
    slow = start(name, "bash", "-c", writes, pipesize=4096)
    try:
        until(lambda: is_stuck(slow), what="a client that cannot go on")
        assert run(name, "seq 50000 | tail -n 1") == "50000\n"
    finally:
        slow.kill()
        slow.communicate()


@pytest.mark.parametrize("trap", ["", "trap '' TERM HUP;"], ids=["obedient", "stubborn"])
def test_a_command_ends_with_its_client(name, trap):
    job = start(name, "bash", "-c", f"{trap} echo started; while :; do sleep 0.2; done; : my-mark")
    assert job.stdout.readline() == b"started\n"
    job.kill()
    job.communicate()
    until(lambda: run(name, "pgrep -f [m]y-mark | wc -l") == "0\n", what="the command has ended")


def test_the_third_ctrl_c_lets_go_of_a_command(name):
    job = start(name, *answering("INT", "ignored"))
    assert job.stdout.readline() == b"started\n"
    for _ in range(2):
        job.send_signal(signal.SIGINT)
        assert job.stdout.readline() == b"ignored\n"
    job.send_signal(signal.SIGINT)
    assert job.wait(DEADLINE) == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_a_command_that_has_just_begun(name, number):
    frames = client.frames
    head = {"kind": "exec", "command": ["sleep", "1000"], "directory": "/"}
    for _ in range(10):
        with client.connect(name) as connection:
            connection.sendall(
                frames.pack(0, frames.OPEN, json.dumps(head).encode() + b"\n")
                + frames.pack(0, frames.SIGNAL, frames.NUMBER.pack(number))
            )
            end = next(frames.frames_of(connection))
            assert json.loads(end.data) == {"code": 128 + number}


def test_an_invalid_request_is_refused(name):
    for head in (
        {"kind": "exec"},
        {"kind": "exec", "command": 5},
        {"kind": "exec", "command": ["true"], "node": 7},
    ):
        with pytest.raises(client.JobFailed, match="the request is invalid"):
            client.run(name, head)
    assert run(name, "echo works") == "works\n"


def test_what_a_command_wrote_is_there_when_it_has_ended(name, tmp_path):
    run(name, f"echo text > {tmp_path}/file")
    assert (tmp_path / "file").read_text(encoding="ascii") == "text\n"
    (tmp_path / "file").write_text("something longer\n", encoding="ascii")
    assert run(name, f"cat {tmp_path}/file") == "something longer\n"


def test_the_environment_is_the_callers_without_what_only_works_outside(name):
    result = lab(
        "exec",
        name,
        "",
        "bash",
        "-c",
        'printf "%s\n" "$VALUE" "${SSH_AUTH_SOCK-none}" "$MAKEFLAGS" "$ROUTED_HYPERVISOR_KERNEL_KIND"',
        environment={"VALUE": "two words", "SSH_AUTH_SOCK": "/nowhere", "MAKEFLAGS": "k -j4 --jobserver-auth=3,4"},
    )
    assert result.stdout.splitlines() == ["two words", "none", "k", "uml"]


def test_jobs_leave_no_files_and_no_descriptors(name):
    script = "ls /run/routed-hypervisor-requests/requests | wc -l; ls /proc/1/fd | wc -l"
    run(name, "true")
    before = run(name, script)
    for job in [start(name, "cat", stdin=subprocess.PIPE) for _ in range(4)]:
        job.communicate(b"x" * 100_000, timeout=DEADLINE)
    until_equal(lambda: run(name, script), before)


def test_a_node_that_is_not_up_is_reported(name):
    result = lab("exec", name, "hv1", "true")
    assert (result.returncode, result.stderr) == (125, f"lab: node hv1 of lab {name} is not up: make lab\n")


def test_payloads_of_modules_that_changed_are_not_kept_for_ever(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "bin" / "lib")
    kernel = importlib.import_module("kernels").Kernel("host", "", 0, str(tmp_path))
    (tmp_path / "payloads").mkdir()
    for number in range(120):
        kernel.keep_payload(f"payload-{number}", b"zip")
        os.utime(tmp_path / "payloads" / f"payload-{number}.zip", (number, number))
    kernel.keep_payload("payload-120", b"zip")
    kept = {path.stem for path in (tmp_path / "payloads").iterdir()}
    assert kept == {f"payload-{number}" for number in range(21, 121)}
    assert kernel.has_payload("payload-120") and not kernel.has_payload("payload-0")


def test_a_payload_that_many_clients_bring_at_once_is_kept_once(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(PROJECT / "bin" / "lib")
    kernels = importlib.import_module("kernels")
    (tmp_path / "payloads").mkdir()
    kernel = kernels.Kernel("uml", "", 256, str(tmp_path))
    data = bytes(200_000)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for name in ("first", "second"):
            list(pool.map(lambda _client, name=name: kernel.keep_payload(name, data), range(200)))
    assert {path.name: path.read_bytes() for path in (tmp_path / "payloads").iterdir()} == {
        "first.zip": data,
        "second.zip": data,
    }
