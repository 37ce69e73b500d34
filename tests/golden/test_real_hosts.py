"""The inventory that docs/real_hosts.md shows: resolved, and rendered, as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_render import PROJECT, files_of, play


@pytest.fixture
def production(tmp_path) -> Path:
    """The directory; each block begins with its file's name."""
    blocks = re.findall(r"```yaml\n# (\S+)\n(.*?)```", (PROJECT / "docs" / "real_hosts.md").read_text(), re.DOTALL)
    assert [name for name, _text in blocks] == ["fabric.yml", "hosts.yml", "group_vars/all/vault.yml"]
    for name, text in blocks:
        (tmp_path / "production" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "production" / name).write_text(text)
    return tmp_path / "production"


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
