"""A lab that is up is asked itself; only one that is not up takes the program."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from ansible_collections.routed.hypervisor.plugins.action import lab_kernel

UP = {"lab": "x", "owner": "/inventories/x", "kind": "uml", "release": "7.2"}


@pytest.fixture
def run(monkeypatch, tmp_path):
    def run(answer, check_mode=False, owner="/inventories/x", start=True):
        program = tmp_path / "lab"
        program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n{answer}\n')
        program.chmod(0o755)
        plugin = lab_kernel.ActionModule.__new__(lab_kernel.ActionModule)
        plugin._task = SimpleNamespace(check_mode=check_mode)
        return plugin.bring_up({"lab": "x", "owner": owner, "program": str(program), "start": start})

    run.calls = lambda: (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else ""
    return run


def test_a_lab_of_this_inventory_that_is_up_takes_no_program(run, monkeypatch):
    monkeypatch.setattr(lab_kernel.lab_client, "ask", lambda _lab, _kind: UP)
    assert run("exit 1") == {**UP, "changed": False, "state": "up"}
    assert run.calls() == ""


@pytest.mark.parametrize(("check_mode", "state"), [(False, "started"), (True, "absent")])
def test_a_lab_that_is_down_is_started_and_in_check_mode_it_is_not(run, monkeypatch, check_mode, state):
    def ask(_lab, _kind):
        raise lab_kernel.lab_client.LabDown("no")

    monkeypatch.setattr(lab_kernel.lab_client, "ask", ask)
    result = run(f"echo starting; echo '{json.dumps({**UP, 'state': state})}'", check_mode)
    assert result == {**UP, "state": state, "changed": True, "msg": "starting"}
    assert run.calls().rstrip().endswith("--json --check" if check_mode else "--json")


def test_a_lab_of_another_inventory_is_left_to_the_program_to_refuse(run, monkeypatch):
    monkeypatch.setattr(lab_kernel.lab_client, "ask", lambda _lab, _kind: UP)
    result = run("echo 'lab: it belongs to others' >&2; exit 125", owner="/elsewhere")
    assert result == {"failed": True, "changed": False, "msg": "lab: it belongs to others"}


def test_a_lab_that_is_down_and_must_not_be_started_is_refused(run, monkeypatch, tmp_path):
    monkeypatch.setattr(lab_kernel.lab_client, "BASE", str(tmp_path / "run"))
    assert run("exit 1", start=False) == {
        "failed": True,
        "changed": False,
        "msg": "lab x is not up: run site.yml without --tags and --skip-tags, or make lab INVENTORY=/inventories/x",
    }
    (tmp_path / "run" / "x").mkdir(parents=True)
    assert run("exit 1", start=False)["msg"].startswith("lab x is not up (its supervisor was killed): run site.yml")
    assert run.calls() == ""


def test_a_lab_that_cannot_be_asked_is_not_called_down(run, monkeypatch):
    def ask(_lab, _kind):
        raise lab_kernel.lab_client.LabDown("lab x belongs to root: run this as root (sudo -E)")

    monkeypatch.setattr(lab_kernel.lab_client, "ask", ask)
    assert run("exit 1", start=False)["msg"] == "lab x belongs to root: run this as root (sudo -E)"
