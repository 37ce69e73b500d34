"""Passwords are checked as they are written: what a daemon would read differently is refused, and never shown."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml
from support.modules import PROJECT

REFUSED = {
    "text for a map": ({"bgp_passwords": "hunter2secret"}, "bgp_passwords is not a map"),
    "a list for a map": ({"bgp_passwords": ["hunter2secret"]}, "bgp_passwords is not a map"),
    "a number, as YAML makes of 012345670": (
        {"bgp_passwords": {"public": 2739128}},
        "put the password in quotes",
    ),
    "a truth": ({"bgp_passwords": {"public": True}}, "put the password in quotes"),
    "a newline at its end": ({"bgp_passwords": {"public": "hunter2secret\n"}}, "no usable entry for public"),
    "a newline in it": ({"bgp_passwords": {"public": "hunter2\nsecret"}}, "no usable entry for public"),
    "nothing": ({"bgp_passwords": {"public": None}}, "no usable entry for public"),
    "an area's number": (
        {"bgp_passwords": {"public": "hunter2secret"}, "ospf_passwords": {"0.0.0.0": 2739128}},
        "ospf_passwords has a number",
    ),
    "an area's newline": (
        {"bgp_passwords": {"public": "hunter2secret"}, "ospf_passwords": {"0.0.0.0": "hunter2secret\n"}},
        "ospf_passwords has no usable entry for 0.0.0.0",
    ),
    "an area's text for a map": (
        {"bgp_passwords": {"public": "hunter2secret"}, "ospf_passwords": "hunter2secret"},
        "ospf_passwords is not a map",
    ),
}
ACCEPTED = {"bgp_passwords": {"public": "hunter2secret", "unused": 5}, "ospf_passwords": {"0.0.0.0": "hunter2secret"}}


def preflight(tmp_path, variables: dict) -> subprocess.CompletedProcess:
    keys = {"bgp_password_keys": ["public"], "ospf_password_keys": ["0.0.0.0"]}
    role = {"ansible.builtin.import_role": {"name": f"{PROJECT}/roles/preflight", "rolespec_validate": False}}
    play = {"hosts": "localhost", "gather_facts": False, "vars": {**keys, **variables}, "tasks": [role]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    argv = [sys.executable, "-m", "ansible.cli.playbook", "-i", "localhost,", str(tmp_path / "play.yml")]
    environment = {**os.environ, "ANSIBLE_INVENTORY_ENABLED": "host_list", "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False, cwd=PROJECT)


@pytest.mark.parametrize("case", REFUSED)
def test_an_unusable_password_is_one_sentence_without_it(case, tmp_path):
    variables, expected = REFUSED[case]
    done = preflight(tmp_path, variables)
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and expected in output, output
    assert "hunter2" not in output and "2739128" not in output and "Traceback" not in output


def test_usable_passwords_are_accepted(tmp_path):
    done = preflight(tmp_path, ACCEPTED)
    assert done.returncode == 0, done.stdout + done.stderr
