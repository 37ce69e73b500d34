"""A lab kernel that runs out of memory: whatever fails from it gives the reason and the variable to set."""

from __future__ import annotations

import importlib
import json
import os
import signal
from types import SimpleNamespace

import pytest
from run_lab import lab, status, up
from support.modules import PROJECT

GREEDY = ["python3", "-c", "x = [b'x' * (1 << 20 | i) for i in range(1024)]"]
SENTENCE = (
    "the lab kernel ran out of memory (256 MB) and killed python3: "
    "set ROUTED_HYPERVISOR_KERNEL_MEMORY to more megabytes"
)
ADVICE = f"{SENTENCE}, then take the lab down and bring it up again"


@pytest.fixture(scope="module", name="name")
def lab_that_ran_out_of_memory():
    name = f"memory-{os.getpid()}"
    up(name)
    yield name
    lab("down", name)


@pytest.fixture(scope="module", name="modules")
def modules_of_the_supervisor():
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(PROJECT / "bin" / "lib")
    names = ("frames", "kernels", "supervisor")
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    patch.undo()


def test_a_command_that_is_killed_gives_the_reason(name):
    assert "out of memory" not in lab("status").stdout
    result = lab("exec", name, "", *GREEDY)
    assert (result.returncode, result.stderr) == (128 + signal.SIGKILL, f"lab: {ADVICE}\n")


def test_a_task_that_is_killed_gives_the_reason_in_its_errors_and_as_a_warning(name, modules):
    warnings = []
    head = {"kind": "exec", "command": GREEDY, "directory": "/"}
    code, _output, errors = modules.supervisor.lab_client.run(name, head, warn=warnings.append)
    assert (code, errors.decode(), warnings) == (128 + signal.SIGKILL, f"{ADVICE}\n", [ADVICE])


def test_the_status_of_the_lab_mentions_it_and_what_succeeds_does_not(name):
    assert lab("exec", name, "", *GREEDY).returncode
    assert status(name)["out_of_memory"] == SENTENCE
    assert lab("status").stdout.rstrip().endswith(f"; {SENTENCE}")
    assert lab("exec", name, "", "true").stderr == ""


def ends_of(modules, victims: list[str], end: dict, kind: str = "uml") -> list[dict]:
    supervisor = modules.supervisor.Supervisor("x", {"kind": kind, "tools": "", "memory": 256, "owner": "/x"})
    supervisor.kernel.victims += victims
    found: list[dict] = []
    supervisor.explaining(lambda _kind, data: found.append(json.loads(data)))(
        modules.frames.EXIT, json.dumps(end).encode()
    )
    return found


def test_a_module_whose_process_was_killed_fails_with_the_reason(modules):
    error = {"error": "the module's process on hv1 was killed by SIGKILL"}
    assert ends_of(modules, ["python3"], error) == [{"error": f"{ADVICE} ({error['error']})"}]
    assert ends_of(modules, [], error) == [error]


@pytest.mark.parametrize(("kind", "end"), [("uml", {"code": 0}), ("host", {"code": 1})])
def test_other_ends_are_passed_on_as_they_are(modules, kind, end):
    assert ends_of(modules, ["python3"], end, kind) == [end]


@pytest.mark.parametrize("panic", ["System is deadlocked on memory", "Out of memory and no killable processes..."])
def test_a_kernel_that_panics_for_want_of_memory_gives_the_reason(modules, panic):
    kernel = modules.kernels.Kernel("uml", "", 256)
    kernel.messages.append(f"Kernel panic - not syncing: {panic}")
    sentence = "the lab kernel ran out of memory (256 MB): set ROUTED_HYPERVISOR_KERNEL_MEMORY to more megabytes"
    assert kernel.verdict() == sentence
