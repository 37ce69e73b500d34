"""What stops a lab from coming up is one sentence that says what to do."""

from __future__ import annotations

import importlib
import os
import re
import subprocess

import pytest
from run_lab import BASE, OWNER, fake_kernel, lab, nothing_left, status, up
from support.modules import PROJECT
from support.waiting import until


@pytest.fixture(name="name")
def name_of_a_lab():
    name = f"refused-{os.getpid()}"
    with nothing_left(name):
        yield name


def refusal(name: str, *, prefix: tuple[str, ...] = (), owner: str = OWNER, **environment: str) -> str:
    result = lab("up", name, "--owner", owner, prefix=prefix, environment=environment)
    assert result.returncode == 125
    (sentence,) = result.stderr.splitlines()
    return sentence


def test_no_kernel_at_all(name):
    sentence = refusal(name, ROUTED_HYPERVISOR_CACHE="/nonexistent")
    assert sentence == "lab: user-mode Linux is not in /nonexistent/tools: run 'make setup'."


def test_a_kernel_that_hangs_at_boot(name, tmp_path):
    cache = fake_kernel(tmp_path, "echo first; echo waiting for root; sleep 1000")
    sentence = refusal(name, ROUTED_HYPERVISOR_CACHE=cache, ROUTED_HYPERVISOR_BOOT_SECONDS="3")
    assert sentence == (
        f"lab: lab {name} is not up: user-mode Linux was not up after 3 s and was ended; its last messages: first / "
        "waiting for root. ROUTED_HYPERVISOR_BOOT_SECONDS=SECONDS gives it more time"
    )


def test_a_kernel_that_does_not_start(name, tmp_path):
    cache = fake_kernel(tmp_path, "echo 'Kernel panic - not syncing: no init'; exit 1")
    sentence = refusal(name, ROUTED_HYPERVISOR_CACHE=cache)
    assert sentence.endswith("user-mode Linux ended before it was asked to: Kernel panic - not syncing: no init")


def test_a_long_boot_shows_progress(name, tmp_path):
    cache = fake_kernel(tmp_path, "sleep 1000")
    environment = {"ROUTED_HYPERVISOR_CACHE": cache, "ROUTED_HYPERVISOR_BOOT_SECONDS": "5"}
    result = lab("up", name, "--owner", OWNER, environment=environment)
    shown = [re.fullmatch(r"  still booting after (\d+) s", line) for line in result.stdout.splitlines()[1:]]
    assert len(shown) > 1 and all(shown), result.stdout


@pytest.mark.parametrize("text", ["soon", "0", "-1"])
def test_a_time_limit_that_is_none(name, text):
    sentence = refusal(name, ROUTED_HYPERVISOR_BOOT_SECONDS=text)
    assert sentence == f"lab: ROUTED_HYPERVISOR_BOOT_SECONDS is '{text}': it must be a number of seconds"


def test_less_memory_than_a_kernel_needs(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "bin" / "lib")
    memory = importlib.import_module("memory")

    monkeypatch.delenv("ROUTED_HYPERVISOR_KERNEL_MEMORY", raising=False)
    monkeypatch.setattr(memory, "available", lambda: 400)
    with pytest.raises(
        memory.NotEnough, match="needs 512 MB of memory, but three quarters of free memory are 300 MB: end"
    ):
        memory.kernel_memory()


def test_memory_that_is_none(name):
    sentence = refusal(name, ROUTED_HYPERVISOR_KERNEL_MEMORY="16")
    assert sentence == "lab: ROUTED_HYPERVISOR_KERNEL_MEMORY is '16': it must be a number of megabytes, 128 or more"


def test_a_lab_of_another_inventory(name, tmp_path):
    up(name)
    assert refusal(name, owner=str(tmp_path)).startswith(
        f"lab: lab {name} is up and belongs to {OWNER}, not to {tmp_path}: take it down first (make down "
        f"INVENTORY={OWNER}), give this lab another name, or set the variable lab_owner to {OWNER} "
    )
    for command in (("down", "--owner", str(tmp_path), name), ("exec", "--owner", str(tmp_path), name, "", "true")):
        result = lab(*command)
        assert result.returncode == 125 and "belongs to" in result.stderr
    assert lab("exec", "--owner", OWNER, name, "", "true").returncode == 0
    another = tmp_path / name  # another checkout's inventory, with a lab of the same name
    another.mkdir()
    result = subprocess.run(
        ["make", "down", f"INVENTORY={another}"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert f"lab {name} is up and belongs to {OWNER}, not to {another}" in result.stderr
    assert status(name)["owner"] == OWNER


def private_run(preparation: str) -> tuple[str, ...]:
    """A /run of its own for a command."""
    script = f'{preparation}; exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh")


def test_a_directory_that_belongs_to_another_user(name):
    preparation = f"mount -t tmpfs tmpfs /run; mkdir {BASE}; chown 65534 {BASE}"
    sentence = refusal(name, prefix=private_run(preparation))
    assert sentence == (
        f"lab: lab {name} is not up: {BASE} belongs to nobody, who could take over the lab: remove it, and try again"
    )


@pytest.mark.parametrize("size", ["nr_inodes=2", "nr_inodes=4"])
def test_no_space_left(name, size):
    sentence = refusal(name, prefix=private_run(f"mount -t tmpfs -o {size} tmpfs /run"))
    assert "no space left in /run for " in sentence and "df -i /run" in sentence


def test_a_directory_that_a_killed_supervisor_left(name):
    (BASE / name / "requests").mkdir(parents=True)
    (BASE / name / "requests" / "1").write_text("old", encoding="ascii")
    (BASE / name / "socket").write_text("", encoding="ascii")
    assert f"lab {name} was up; its supervisor was killed. Starting it again." in up(name).stdout
    assert not (BASE / name / "requests").exists()
    until((BASE / name / "socket").is_socket, what="the socket is there")


@pytest.mark.parametrize("bad", ["../up", "", "a b", "-x-", "UPPER"])
def test_a_name_that_is_none(bad):
    result = lab("exec", "--", bad, "", "true")
    assert result.returncode == 125
    assert "is not a lab name: use 1 to 63 of" in result.stderr


def test_the_status_of_one_lab_is_refused_if_it_is_not_up(name):
    result = lab("status", name, "--inventory", "inventories/racks")
    reason = f"lab: lab {name} is not up. Bring it up with make lab INVENTORY=inventories/racks\n"
    assert (result.returncode, result.stdout, result.stderr) == (125, "", reason)
