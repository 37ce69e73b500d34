"""The name and the owner of a lab, as make takes them from an inventory."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess

import pytest
from support.modules import PROJECT


def commands(target: str, *variables: str) -> str:
    """What make would run."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", target, *variables],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def refusal(target: str, *variables: str) -> str:
    """What make says instead of running it."""
    command = ["make", "--no-print-directory", "--dry-run", target, *variables]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode
    return done.stderr


@pytest.fixture
def inventory(tmp_path):
    """A function that writes an intent and returns what gives it to make."""

    def write(text: str, directory: str = "racks") -> str:
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "fabric.yml").write_text(text)
        return f"INVENTORY={tmp_path / directory}"

    return write


@pytest.mark.parametrize("line", ["name: harbour", 'name: "harbour"', "name: harbour  # of ships"])
def test_the_name_of_a_lab_is_in_its_intent(inventory, line):
    given = inventory(f"plugin: routed.hypervisor.fabric\n{line}\nlab: {{{{}}}}\nvrfs:\n  name: {{}}\n")
    assert "bin/lab down harbour --owner" in commands("down", given)
    assert 'harbour "hv1"' in commands("shell", given, "NODE=hv1")


def test_a_lab_without_a_name_has_that_of_its_directory(inventory):
    given = inventory("plugin: routed.hypervisor.fabric\nsegments:\n  web:\n    name: not-this\n")
    assert "bin/lab down racks --owner" in commands("down", given)
    assert "bin/lab down racks --owner" in commands("down", f"{given}/")


def test_make_down_gives_the_inventory_as_owner(inventory):
    given = inventory("name: harbour\n")
    assert commands("down", given).rstrip().endswith(f"bin/lab down harbour --owner {given.partition('=')[2]}")


def test_make_twin_brings_up_another_inventory_than_it_is_given(inventory):
    given = inventory("name: harbour\nvrfs: {}\n")
    setup, made, play = commands("twin", given).strip().splitlines()
    assert setup.endswith("bin/setup")
    assert made.endswith(f"bin/twin {given.partition('=')[2]} artifacts/harbour/twin")
    assert "ansible-playbook -i artifacts/harbour/twin -f 6 site.yml" in play


def test_a_lab_whose_inventory_is_gone_is_taken_down_by_the_directorys_name(tmp_path):
    assert commands("down", f"INVENTORY={tmp_path}/gone").rstrip().endswith("bin/lab down gone")


def test_the_default_lab_is_the_one_of_the_readme():
    assert "bin/lab down l3_hypervisor --owner inventories/l3_hypervisor" in commands("down")


def test_a_lab_that_is_not_up_is_reported_before_it_is_verified(inventory):
    given = inventory("name: harbour\nlab: {}\n")
    directory = given.partition("=")[2]
    first, second = commands("verify", given).split("&&")
    assert f"bin/lab status harbour --inventory {directory}" in first
    assert "playbooks/verify.yml" in second


def test_real_hosts_are_verified_without_a_lab(inventory):
    assert "bin/lab" not in commands("verify", inventory("name: harbour\nvrfs: {}\n"))


@pytest.mark.parametrize("target", ["lab", "shell", "reboot", "capture", "impair"])
def test_real_hosts_are_no_nodes(inventory, target):
    given = inventory("name: harbour\nvrfs: {}\n")
    assert "racks is no lab: " in refusal(target, "NODE=hv1", "INTERFACE=eno1", given)


def test_a_delay_or_loss_without_a_unit_is_refused():
    given = ("NODE=hv1", "INTERFACE=fabric-A")
    assert "DELAY has no unit: DELAY=20ms" in refusal("impair", *given, "DELAY=20")
    assert 'delay "20ms"' in commands("impair", *given, "DELAY=20ms")
    assert "LOSS has no unit: LOSS=1%" in refusal("impair", *given, "LOSS=100")
    assert 'loss "1.5%"' in commands("impair", *given, "LOSS=1.5%")


def test_a_capture_that_cannot_begin_replaces_none(inventory):
    lines = commands("capture", "NODE=hv1", "INTERFACE=fabric-A", inventory("name: harbour\nlab: {}\n")).splitlines()
    tried = next(number for number, line in enumerate(lines) if 'tcpdump -i "fabric-A" -d' in line)
    assert not any(".pcap" in line for line in lines[:tried])


def test_an_interrupted_run_reports_that_the_next_one_completes_it(tmp_path):
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for program, script in (("bin/setup", "exit 0"), (".venv/bin/ansible-playbook", "echo began; exec sleep 60")):
        path = tmp_path / program
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    run = subprocess.Popen(
        # Who starts tests in the background may have them ignore SIGINT.
        ["env", "--default-signal=INT", "make", "lab", "ROOT="],
        cwd=tmp_path,
        # A make that runs this test would have this one print its directory.
        env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    with run:
        assert run.stdout.readline() == "began\n"
        os.killpg(run.pid, signal.SIGINT)
        _output, errors = run.communicate(timeout=30)
    assert run.returncode
    assert errors.startswith("Interrupted: the next run completes it.\n")


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("vm22", "; did you mean vm2? The lab's nodes: hv1, vm1, vm2"),
        ("HV1", "; did you mean hv1? The lab's nodes: hv1, vm1, vm2"),
        ("router", ". The lab's nodes: hv1, vm1, vm2"),
        ("vm1", ": make lab"),
    ],
)
def test_a_mistyped_node_is_answered_with_the_labs_nodes(node, expected, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "bin" / "lib"))
    namespaces = importlib.import_module("namespaces")
    monkeypatch.setattr(namespaces, "RUN", str(tmp_path))
    (tmp_path / "harbour" / "nodes").mkdir(parents=True)
    for name in ("vm1", "vm2", "hv1"):
        (tmp_path / "harbour" / "nodes" / f"{name}.pid").write_text("0")
    with pytest.raises(namespaces.NoSuchNode) as refused:
        namespaces.find_node("harbour", node)
    assert str(refused.value) == f"node {node} of lab harbour is not up{expected}"
