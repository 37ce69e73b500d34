"""Which user-mode Linux of the cache is booted, without booting any."""

from __future__ import annotations

import json

import pytest
from run_lab import DESCRIPTION
from run_lab_kernel import lab_kernel


@pytest.fixture(name="cache")
def empty_cache(tmp_path):
    """A cache as an earlier version has left it: user-mode Linux without a description."""
    (tmp_path / "tools" / "uml" / "bin").mkdir(parents=True)
    (tmp_path / "tools" / "uml" / "ready").write_text("user-mode Linux 6.1.9\n")
    return tmp_path


def add_kernel(cache, kind, version, mode=0o755):
    directory = cache / "tools" / "uml" / kind
    directory.mkdir()
    (directory / "linux").write_text("")
    (directory / "linux").chmod(mode)
    (directory / "kernel.json").write_text(json.dumps({"version": version, **DESCRIPTION}))


def probe(cache, **environment):
    return lab_kernel("--probe", environment={"ROUTED_HYPERVISOR_CACHE": str(cache), **environment})


def running(cache, **environment):
    return probe(cache, **environment).stdout.decode().split()[-1]


def test_a_newer_kernel_is_preferred(cache):
    for kind, version in (("debian-6.1", "6.1.176"), ("debian-7.10", "7.10.1"), ("debian-7.2", "7.2.7")):
        add_kernel(cache, kind, version)
    assert running(cache) == "7.10.1"


def test_a_kernel_built_for_the_lab_is_preferred_to_a_newer_one(cache):
    add_kernel(cache, "built", "7.2.12")
    add_kernel(cache, "debian-7.3", "7.3.1")
    assert running(cache) == "7.2.12"


def test_the_environment_forces_a_kind(cache):
    add_kernel(cache, "built", "7.2.12")
    add_kernel(cache, "debian-6.1", "6.1.176")
    assert running(cache, ROUTED_HYPERVISOR_UML="debian-6.1") == "6.1.176"


def test_a_forced_kind_that_is_missing_is_refused(cache):
    add_kernel(cache, "debian-6.1", "6.1.176")
    result = probe(cache, ROUTED_HYPERVISOR_UML="built")
    assert result.returncode == 125
    assert result.stderr.decode() == (
        f"lab-kernel: there is no user-mode Linux 'built' in {cache}/tools/uml, only debian-6.1.\n"
    )


def test_a_description_without_its_program_is_ignored(cache):
    add_kernel(cache, "built", "7.2.12", mode=0o644)
    add_kernel(cache, "debian-6.1", "6.1.176")
    assert running(cache) == "6.1.176"


def test_an_older_cache_must_be_set_up_again(cache):
    result = probe(cache)
    assert result.returncode == 125
    assert result.stderr.decode().endswith("run 'make setup'.\n")


def test_the_cache_may_be_moved(cache):
    add_kernel(cache, "built", "7.2.12")
    assert running(cache.rename(cache.with_name("moved"))) == "7.2.12"
