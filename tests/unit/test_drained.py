"""The host variable `drained`: what it may be, and what it makes of a router's configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
import yaml
from support.modules import PROJECT
from support.templates import render, variables

FABRICS = {
    "A": {
        "interface": "fabric-A",
        "addresses": {"public": {"ipv4": "198.51.100.101/25", "ipv6": "2001:db8:c633:6400::1/120"}},
    },
    "B": {
        "interface": "fabric-B",
        "addresses": {"public": {"ipv4": "198.51.100.201/25", "ipv6": "2001:db8:c633:6401::1/120"}},
    },
}
ADDED = "bgp_community.add((65535, 0));"


def play(tmp_path, drained: dict, playbook: str, *options: str) -> subprocess.CompletedProcess:
    overlay = tmp_path / "hosts.yml"
    overlay.write_text(
        yaml.safe_dump({"all": {"hosts": {name: {"drained": value} for name, value in drained.items()}}})
    )
    argv = [
        "-m",
        "ansible.cli.playbook",
        "-i",
        "inventories/l3_hypervisor",
        "-i",
        str(overlay),
        f"playbooks/{playbook}.yml",
        *options,
    ]
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, cwd=PROJECT)


def test_all_wrong_values_are_refused_together(tmp_path):
    wrong = {"hv1": ["A", "C"], "hv2": True, "hv3": "A", "rr1": ["A"], "rr2": True}
    done = play(tmp_path, wrong, "preflight")
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and "is wrong for hv1 (['A', 'C']), hv2 (True), hv3 (A), rr1 (['A'])" in output, output


def test_right_values_are_accepted(tmp_path):
    right = {"hv1": ["A"], "hv2": [], "hv3": False, "rr1": True, "internet": True}
    done = play(tmp_path, right, "preflight")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("playbook", "options", "mistake"),
    [
        (
            "drain",
            ("--limit", "vm1"),
            "there is no router in --limit vm1; routers are hv1, hv2, hv3, rr1, rr2, internet",
        ),
        ("drain", ("--limit", "rr2", "-e", "drain_s=1m"), "drain_s: must be a number of seconds, not 1m"),
        ("undrain", ("--limit", "vm1"), "there is no router in --limit vm1"),
        ("undrain", ("--limit", "hv1", "-e", "fabric=B"), "hv1, fabric B is not drained"),
        ("undrain", ("--limit", "rr1", "-e", "fabric=A"), "fabric: all of rr1 is drained; leave it out"),
    ],
)
def test_what_would_drain_or_undrain_nothing_is_refused(tmp_path, playbook, options, mistake):
    done = play(tmp_path, {"hv1": ["A"], "rr1": True}, playbook, *options)
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and mistake in output, output


@pytest.mark.parametrize(("playbook", "former"), [("drain", None), ("undrain", "drained: true\n")])
def test_a_router_that_is_out_of_reach_changes_no_inventory(tmp_path, playbook, former):
    inventory = tmp_path / "inventory"
    shutil.copytree(PROJECT / "inventories/l3_hypervisor", inventory)
    intent = inventory / "fabric.yml"
    intent.write_text(re.sub("(?m)^name: .*", "name: out-of-reach", intent.read_text()))
    noted = inventory / "host_vars/rr1/drained.yml"
    if former:
        noted.parent.mkdir(parents=True)
        noted.write_text(former)
    argv = ["-m", "ansible.cli.playbook", "-i", str(inventory), f"playbooks/{playbook}.yml", "--limit", "rr1"]
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode and "Reach this router before the inventory is changed" in done.stdout, done.stdout
    assert (noted.read_text() if noted.exists() else None) == former


def sessions(text: str) -> dict[str, str]:
    return {part.partition(" ")[0]: part for part in text.split("\nprotocol bgp ")[1:]}


def test_sessions_of_a_drained_fabric_ask_others_to_avoid_them_and_are_avoided():
    values = {**variables("hypervisor"), "topology": {"fabrics": FABRICS}}
    drained = sessions(render("bird/bird.conf", {**values, "drained": ["A"]}))
    for name, text in sessions(render("bird/bird.conf", values)).items():
        assert ADDED not in text
        local = next(one["local_address"] for one in values["bgp"]["sessions"] if one["name"] == name)
        is_on_a = any(one.startswith(f"{local}/") for one in FABRICS["A"]["addresses"]["public"].values())
        assert drained[name].count(ADDED) == (2 if is_on_a else 0), name
        assert drained[name].count("bgp_local_pref = 0;") == (1 if is_on_a else 0), name
        assert is_on_a or drained[name] == text


@pytest.mark.parametrize("nothing", [False, [], None])
def test_nothing_drained_is_as_without_the_variable(nothing):
    values = {**variables("hypervisor"), "topology": {"fabrics": FABRICS}}
    assert render("bird/bird.conf", {**values, "drained": nothing}) == render("bird/bird.conf", values)
