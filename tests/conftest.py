"""What all tests share: finding the collection, running a module as Ansible would, finding a lab-node image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import ansible
import hypothesis
import pytest

PROJECT = Path(__file__).resolve().parents[1]
COLLECTIONS = PROJECT / "collections"
MODULES = "ansible_collections.routed.hypervisor.plugins.modules"

# How long an example takes says how busy the machine is, and nothing about what is tested.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

# Unit tests import ansible_collections.routed.hypervisor… as plain packages.
sys.path.insert(0, str(COLLECTIONS))


def pytest_sessionfinish(session, exitstatus):
    """Exit code 77 where all tests were skipped: that must not look like success."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter and reporter.stats.get("skipped") and not reporter.stats.get("passed"):
        session.exitstatus = 77


class ModuleRunner:
    """Runs modules of the collection in a process of their own, without Ansible's second of overhead.

    runner("lab_nodes", lab="x", …) returns the module's result as a dictionary; a failed module has `failed: true`.
    Keyword arguments that are not module parameters begin with an underscore:
      _check, _diff: check and diff mode;
      _python: the interpreter (default: the one that runs the tests);
      _path: directories that come first on the module's path, such as another pyroute2's;
      _prefix: a command that runs the module, such as ["nsenter", "-t", "123", "--net"].
    """

    def __init__(self, scratch: Path):
        self.scratch = scratch

    def command(self, name: str, _python: str = sys.executable, _prefix: list[str] | None = None) -> list[str]:
        return [*(_prefix or []), _python, "-m", f"{MODULES}.{name}"]

    def environment(self, _path: list[str] | None = None) -> dict[str, str]:
        # ansible alone, not its whole site-packages: another interpreter's pyroute2 must not be hidden by ours.
        library = self.scratch / "library"
        if not library.exists():
            library.mkdir()
            (library / "ansible").symlink_to(Path(ansible.__file__).parent)
        path = [*map(str, _path or []), str(COLLECTIONS), str(library)]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}

    def arguments(self, args: dict, _check: bool = False, _diff: bool = False) -> str:
        internal = {"_ansible_check_mode": _check, "_ansible_diff": _diff, "_ansible_remote_tmp": str(self.scratch)}
        return json.dumps({"ANSIBLE_MODULE_ARGS": {**args, **internal}})

    def start(self, name, *, _check=False, _diff=False, _python=sys.executable, _path=None, _prefix=None, **args):
        """Starts a module and returns its Popen object, for tests that kill it half way."""
        process = subprocess.Popen(
            self.command(name, _python, _prefix),
            env=self.environment(_path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process.stdin.write(self.arguments(args, _check, _diff))
        process.stdin.close()
        process.stdin = None
        return process

    def __call__(self, name: str, **args) -> dict:
        process = self.start(name, **args)
        output, errors = process.communicate(timeout=120)
        try:
            return json.loads(output)
        except ValueError:
            pytest.fail(f"module {name} gave no result (exit code {process.returncode}):\n{output}\n{errors}")


@pytest.fixture
def run_module(tmp_path) -> ModuleRunner:
    return ModuleRunner(tmp_path)


@pytest.fixture(scope="module")
def run_module_once(tmp_path_factory) -> ModuleRunner:
    """The same for fixtures that several tests share."""
    return ModuleRunner(tmp_path_factory.mktemp("modules"))


@pytest.fixture(scope="session")
def lab_image() -> Path:
    """An unpacked lab-node image: $ROUTED_HYPERVISOR_TEST_IMAGE, or the newest one in the cache."""
    if wanted := os.environ.get("ROUTED_HYPERVISOR_TEST_IMAGE"):
        return Path(wanted)
    cache = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor"))
    found = [path for path in [*cache.glob("images/*"), cache / "image-dev"] if (path / "usr/bin/catatonit").exists()]
    if not found:
        pytest.skip("no lab-node image: run `make setup`, or set ROUTED_HYPERVISOR_TEST_IMAGE")
    return max(found, key=lambda path: path.stat().st_mtime)
