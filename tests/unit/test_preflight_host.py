"""What the module preflight reports about a host."""

from __future__ import annotations

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
