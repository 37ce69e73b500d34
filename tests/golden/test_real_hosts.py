"""The inventory that docs/real_hosts.md shows: resolved, and rendered, as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.production import documented as documented_inventory
from test_render import PROJECT, files_of, play

from ansible_collections.routed.hypervisor.plugins.module_utils._preflight.host import PROGRAMS

PAGE = (PROJECT / "docs" / "real_hosts.md").read_text()
# Documented commands that connect to hosts: here only their syntax is checked.
CONNECTING = ("site.yml", "playbooks/retire.yml")


@pytest.fixture
def production(tmp_path) -> Path:
    """The directory."""
    made = documented_inventory(tmp_path / "production")
    files = {str(path.relative_to(made)) for path in made.rglob("*.yml")}
    assert files == {"fabric.yml", "hosts.yml", "group_vars/all/vault.yml"}
    return made


def test_the_inventory_has_real_hosts_and_nothing_of_a_lab(production):
    command = [sys.executable, "-m", "ansible.cli.inventory", "-i", str(production), "--list"]
    enabled = {**os.environ, "ANSIBLE_INVENTORY_ENABLED": "routed.hypervisor.source"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT, env=enabled)
    found = json.loads(done.stdout)
    hosts = found["_meta"]["hostvars"]
    assert set(hosts) == {"hv1", "hv2", "rr1", "rr2"}
    assert {name: variables["ansible_host"] for name, variables in hosts.items()} == {
        "hv1": "192.0.2.11",
        "hv2": "192.0.2.12",
        "rr1": "192.0.2.21",
        "rr2": "192.0.2.22",
    }
    assert not any("ansible_become_method" in variables or "lab" in variables for variables in hosts.values())
    names = [entry["name"] for entry in hosts["hv2"]["network"]["interfaces"]]
    assert {"enp5s0f0.90", "enp5s0f1.90", "tap-web2"} <= set(names)


def test_every_host_is_rendered(production, tmp_path):
    play(production, tmp_path / "out")
    files = files_of(tmp_path / "out")
    assert {path.split("/")[0] for path in files} == {"hv1", "hv2", "rr1", "rr2"}
    assert "interface=tap-web1" in files["hv1/etc/dnsmasq.conf"][0]
    assert "a-long-one-of-yours" in files["hv1/etc/bird/secrets.conf"][0]


def test_hosts_may_have_host_names_of_any_length(production, tmp_path):
    names = {"hv1": "hv1.example.net", "hv2": "the-second-hypervisor-of-rack-7", "rr1": "192.0.2.21"}
    for file in ("fabric.yml", "hosts.yml"):
        text = (production / file).read_text()
        for old, new in names.items():
            text = re.sub(rf"\b{old}\b(?=:)", new, text)
        (production / file).write_text(text)
    play(production, tmp_path / "out")
    files = files_of(tmp_path / "out")
    assert {path.split("/")[0] for path in files} == {*names.values(), "rr2"}
    reflector, host = (
        re.findall(r"protocol bgp (\S+)", files[f"{name}/etc/bird/bird.conf"][0])
        for name in ("192.0.2.21", "hv1.example.net")
    )
    assert {"hv1_example_net_public_ipv4", "the_second_hypervisor_of_rack_7_public_ipv4"} <= set(reflector)
    assert any(name.startswith("_192_0_2_21_public_ipv4_") for name in host)


def documented(program: str) -> list[str]:
    """The commands in the page that begin with a program, in its order."""
    indented = re.findall(rf"^    ({program}.*)$", PAGE, re.MULTILINE)
    return indented + [re.sub(r"\s+", " ", text) for text in re.findall(rf"`({program}[^`]+)`", PAGE)]


@pytest.fixture
def documented_place(production, tmp_path) -> tuple[Path, dict[str, str]]:
    """A directory in which the commands of the page can be run as they are, and their environment."""
    place = tmp_path / "project"
    (place / "inventories").mkdir(parents=True)
    for path in PROJECT.iterdir():
        if path.name not in ("inventories", "artifacts", ".git"):
            (place / path.name).symlink_to(path)
    for path in (PROJECT / "inventories").iterdir():
        (place / "inventories" / path.name).symlink_to(path)
    production.rename(place / "inventories" / "production")
    (tmp_path / "password").write_text("a password of mine\n")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return place, {
        **os.environ,
        "PATH": programs,
        "ANSIBLE_INVENTORY": "inventories/production",
        "ANSIBLE_NOCOLOR": "1",
    }


def test_the_documented_commands_work_as_they_are(documented_place, tmp_path):
    place, environment = documented_place

    def run(command: str) -> str:
        # Nobody is there to be prompted.
        command = command.replace("production@prompt", f"production@{tmp_path / 'password'}")
        done = subprocess.run(command.split(), check=False, capture_output=True, text=True, cwd=place, env=environment)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    vault = place / "inventories/production/group_vars/all/vault.yml"
    [encrypt] = documented("ansible-vault")
    run(encrypt)
    assert vault.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;production\n")
    playbooks = documented("ansible-playbook")
    assert len(playbooks) >= 3 and [command for command in playbooks if "retire.yml" in command]
    identity = " --vault-id production@prompt"
    for command in playbooks:
        full = command if identity in command else command + identity
        connects = any(word in CONNECTING for word in command.split())
        where = "" if connects else f" -e render_directory={tmp_path / 'out'}"
        output = run(full + (" --syntax-check" if connects else where))
        assert "a-long-one-of-yours" not in output
    assert (tmp_path / "out/hv1/etc/bird/secrets.conf").read_text().count("<bgp_passwords.public>") == 1
    for command in documented("ansible-inventory"):
        assert "hv1" in run(command + identity) or "router_id" in run(command + identity)


def test_the_table_of_packages_has_everything_that_preflight_asks_for():
    table = PAGE[PAGE.index("| host | packages |") : PAGE.index("The stage `preflight`")]
    packages = {package for programs in PROGRAMS.values() for package in programs.values()}
    missing = {package for package in [*packages, "python3", "python3-pyroute2", "sudo"] if f"`{package}`" not in table}
    assert not missing


def preflight(production, *options):
    command = ["ansible-playbook", "-i", production, "playbooks/preflight.yml", "--limit", "hv1", *options]
    variables = ["-e", "ansible_connection=local", "-e", "ansible_become=false"]
    enabled = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    return subprocess.run([*command, *variables], check=False, capture_output=True, text=True, cwd=PROJECT, env=enabled)


def test_a_host_without_that_variable_is_looked_at(production):
    output = preflight(production, "-e", "ansible_python_interpreter=/usr/bin/python3").stdout
    assert "TASK [preflight : Check packages, programs and the kernel of this host]" in output, output


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("in_band", "management: in_band needs changes that undo themselves, and confirm_s is 0"),
        ("inband", "management: must be out_of_band or in_band, not inband"),
    ],
)
def test_a_host_that_is_managed_in_band_is_refused_before_anything_is_touched(production, value, reason):
    done = preflight(production, "-e", f"management={value}", "-e", "confirm_s=0")
    assert done.returncode != 0
    assert reason in re.sub(r"\s+", " ", done.stdout + done.stderr)
