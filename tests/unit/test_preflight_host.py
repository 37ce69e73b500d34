"""What the module preflight reports about a host."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from support.waiting import until

from ansible_collections.routed.hypervisor.plugins.module_utils._preflight import host


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A host without any program, and a directory in which to install some."""
    monkeypatch.setattr(host, "PATH", str(tmp_path))
    return tmp_path


def install(directory, name: str, output: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\necho '{output}'\n")
    (directory / name).chmod(0o755)


def test_all_missing_packages_are_reported_at_once(bare):
    needs = ["bird", "ndppd", "radvd", "dnsmasq", "dhcrelay", "nftables", "cni", "podman", "docker", "verify"]
    found = host.check(needs, ["vrf"])
    wanted = {package for need in ["all", *needs] for package in host.PROGRAMS[need].values()}
    assert wanted <= set(found.packages)
    for package in wanted:
        assert any(f"(package {package})" in mistake for mistake in found.mistakes)


def test_an_old_version_is_reported_along_with_what_is_missing(bare):
    install(bare, "bird", "BIRD version 1.6.8")
    install(bare, "birdc", "")
    mistakes = host.check(["bird", "nftables"], []).mistakes
    assert "bird must be version 2.0 or newer, not BIRD version 1.6.8" in mistakes
    assert "nft is missing (package nftables)" in mistakes


def test_a_podman_without_cni_is_reported(bare):
    install(bare, "podman", "podman version 4.3.1")
    assert not any("podman" in mistake for mistake in host.check(["podman"], []).mistakes)
    install(bare, "podman", "podman version 5.4.2")
    wrong = "podman must be version 4.0 or newer, and older than 5.0, not podman version 5.4.2"
    assert wrong in host.check(["podman"], []).mistakes


def test_a_daemon_that_is_not_needed_is_reported_if_it_runs(tmp_path):
    radvd = tmp_path / "radvd"
    shutil.copy(shutil.which("sleep"), radvd)
    with subprocess.Popen([radvd, "60"]) as process:
        try:
            remark = "radvd is running, and the intent does not need it on this host"
            # The kernel names a process after it has closed the pipe by which Popen waits for it.
            until(lambda: remark in host.daemons(["bird"]), 10, "the process has its name")
            assert remark not in host.daemons(["bird", "radvd"])
        finally:
            process.kill()


def test_links_that_ifupdown2_manages_are_reported(bare, monkeypatch):
    assert not any("ifupdown2" in remark for remark in host.managers())
    monkeypatch.setattr(host.os.path, "isdir", lambda path: path == "/usr/share/ifupdown2")
    install(bare, "ifquery", "lo eno2 eno1")
    assert "ifupdown2 manages eno1, eno2" in host.managers()


def test_chains_of_others_that_drop_by_default_are_reported(bare):
    base = {"name": "c", "type": "filter", "prio": 0, "policy": "drop"}
    chains = [
        {**base, "family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward"},
        {**base, "family": "inet", "table": "filter", "hook": "input"},
        {**base, "family": "inet", "table": "filter", "hook": "output"},
        {**base, "family": "inet", "table": "filter", "hook": "forward", "policy": "accept"},
        {**base, "family": "bridge", "table": "filter", "hook": "forward"},
        {**base, "family": "inet", "table": "routed_hypervisor", "hook": "forward"},
        {"family": "inet", "table": "filter", "name": "regular"},
    ]
    install(bare, "nft", json.dumps({"nftables": [{"metainfo": {}}, *({"chain": chain} for chain in chains)]}))
    forward, other = host.drop_policies()
    assert forward.startswith("the chain FORWARD of the table ip filter drops by default: guests' packets are lost")
    assert other.startswith("the chain c of the table inet filter drops by default: BGP and BFD of neighbours")
    install(bare, "nft", "no JSON")
    assert host.drop_policies() == []
