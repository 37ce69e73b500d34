"""Options given with -e, or as variables of hosts: wrong ones are refused before any host is connected to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.modules import PROJECT
from support.production import documented

LAB = PROJECT / "inventories/l3_hypervisor"
SERIAL = "rollout_serial: must be a number of hosts from 1, a percentage from 1% to 100%, or a list of them, such as"


def play(inventory: Path, playbook: str, *options: str) -> tuple[int, str]:
    argv = ["-m", "ansible.cli.playbook", "-i", str(inventory), playbook, *options]
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, cwd=PROJECT)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def production(tmp_path):
    """Hosts that nobody can connect to."""
    inventory = documented(tmp_path / "production")
    hosts = "".join(
        f"    {name}: {{ansible_host: 127.0.0.1, ansible_port: 1}}\n" for name in ("hv1", "hv2", "rr1", "rr2")
    )
    (inventory / "hosts.yml").write_text(f"all:\n  hosts:\n{hosts}")
    return inventory


@pytest.mark.parametrize("value", ["60s", "-1"])
def test_a_wrong_time_to_confirm_is_refused(production, value):
    code, output = play(production, "playbooks/preflight.yml", "-e", f"confirm_s={value}")
    wrong = f"hv1, hv2, rr1, rr2: confirm_s: must be 0, or seconds from 5 to 604800, not {value}"
    assert code and wrong in output and "UNREACHABLE" not in output, output


def test_wrong_times_and_ways_to_manage_are_refused_together(production):
    for name, text in (("hv1", "confirm_s: true\n"), ("rr1", "management: inband\n"), ("rr2", "confirm_s: 0.0\n")):
        (production / "host_vars" / name).mkdir(parents=True, exist_ok=True)
        (production / "host_vars" / name / "more.yml").write_text(text)
    code, output = play(production, "playbooks/preflight.yml")
    assert code and "hv1: confirm_s: must be 0, or seconds from 5 to 604800, not True" in output, output
    assert "rr1: management: must be out_of_band or in_band, not inband" in output and "rr2:" not in output, output


def test_a_wrong_time_to_confirm_is_refused_without_preflight(production):
    code, output = play(production, "site.yml", "--tags", "network", "-e", "confirm_s=true")
    assert code and "confirm_s: must be 0, or seconds from 5 to 604800, not true" in output, output
    assert "UNREACHABLE" not in output, output


@pytest.mark.parametrize("value", ["0", "[1,2]", '{"rollout_serial": [1, "101%"]}'])
def test_a_wrong_size_of_batches_is_refused(production, value):
    given = value if value.startswith("{") else f"rollout_serial={value}"
    code, output = play(production, "playbooks/rollback.yml", "-e", given, "-e", "to=20260131T120000Z")
    assert code and SERIAL in output and "Traceback" not in output and "UNREACHABLE" not in output, output


def test_a_right_size_of_batches_is_accepted(production):
    _code, output = play(production, "playbooks/rollout.yml", "-e", '{"rollout_serial": [1, "50%"]}')
    assert SERIAL not in output and "4 of 4 hosts cannot be reached" in output, output


@pytest.mark.parametrize(
    ("playbook", "option", "more"),
    [
        ("rollout", "skip_unreachable=maybe", ()),
        ("retire", "force=maybe", ("--limit", "hv1")),
        ("preflight", "verify_probe=maybe", ()),
    ],
)
def test_what_is_no_boolean_is_refused(production, playbook, option, more):
    code, output = play(production, f"playbooks/{playbook}.yml", "-e", option, *more)
    assert code and f"argument '{option.partition('=')[0]}' is of type" in output and "'maybe'" in output, output
    assert "UNREACHABLE" not in output, output


@pytest.mark.parametrize(
    "command",
    [
        ("playbooks/render.yml", "-e", "render_directory=/nonexistent"),
        ("playbooks/drift.yml",),
        ("site.yml", "--tags", "routing"),
    ],
)
def test_what_is_drained_is_checked_wherever_it_is_used(production, command):
    code, output = play(production, *command, "-e", '{"drained": ["C"]}')
    assert code and "drained: must be true for a reflector, a border or a leaf, or a list of fabrics" in output, output
    assert "UNREACHABLE" not in output, output


def test_all_wrong_options_of_a_drill_are_refused_with_their_names():
    options = ("drill=cut_uplink", "drill_fabrik=B", "drill_runs=0", "drill_limit=x")
    more = [word for option in options for word in ("-e", option)]
    code, output = play(LAB, "playbooks/drill.yml", *more, "--check")
    known = "drill_node, drill_fabric, drill_runs, drill_limit, drill_path"
    assert code and f"unknown: drill_fabrik; known are {known};" in output, output
    assert "drill_runs: must be a number from 1, not 0; drill_limit: must be more than 0 seconds, not x" in output
