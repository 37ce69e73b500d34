"""What all tests share: running a module as Ansible would, and a lab-node image."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
import yaml
from support.modules import PROJECT, ModuleRunner

from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.lab import SYSTEMD as SYSTEMD_PACKAGES

SYSTEMD = "lib/systemd/systemd"

# How long an example takes says how busy the machine is, and nothing about what is tested.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")


def pytest_sessionfinish(session, exitstatus):
    """Exit code 77 where all tests were skipped: that must not look like success."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = 77


@pytest.fixture
def run_module(tmp_path) -> ModuleRunner:
    return ModuleRunner(tmp_path)


@pytest.fixture(scope="module")
def run_module_once(tmp_path_factory) -> ModuleRunner:
    """The same for fixtures that several tests share."""
    return ModuleRunner(tmp_path_factory.mktemp("modules"))


@pytest.fixture(scope="session")
def systemd_image(tmp_path_factory) -> Path:
    """The image of the default lab with systemd, built if it is not in the cache."""
    cache = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor"))
    packages = yaml.safe_load((PROJECT / "roles/lab_image/defaults/main.yml").read_text())["lab_image_packages"]
    wanted = {"path": str(cache), "suite": "bookworm", "packages": [*packages, *SYSTEMD_PACKAGES]}
    made = ModuleRunner(tmp_path_factory.mktemp("image"))("lab_image", **wanted)
    if made.get("failed"):
        pytest.skip(f"no image with systemd: {made['msg']}")
    return Path(made["path"])


@pytest.fixture(scope="session")
def lab_image() -> Path:
    """An unpacked lab-node image: $ROUTED_HYPERVISOR_TEST_IMAGE, or the newest one in the cache."""
    if wanted := os.environ.get("ROUTED_HYPERVISOR_TEST_IMAGE"):
        return Path(wanted)
    cache = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor"))
    found = [path for path in [*cache.glob("images/*"), cache / "image-dev"] if (path / "usr/bin/catatonit").exists()]
    # Those of labs with systemd are for tests of them.
    found = [path for path in found if not (path / SYSTEMD).exists()] or found
    if not found:
        pytest.skip("no lab-node image: run `make setup`, or set ROUTED_HYPERVISOR_TEST_IMAGE")
    return max(found, key=lambda path: path.stat().st_mtime)
