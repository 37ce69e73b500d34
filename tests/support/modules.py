"""Running a module of the collection as Ansible would, and the files that it needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ansible
import pytest

PROJECT = Path(__file__).resolve().parents[2]
COLLECTIONS = PROJECT / "collections"
MODULES = "ansible_collections.routed.hypervisor.plugins.modules"


def library(place: Path) -> Path:
    """A copy, where another root directory sees it, of the collection and the part of Ansible that modules use."""
    hide = shutil.ignore_patterns("__pycache__", "tests", "roles")
    shutil.copytree(COLLECTIONS, place, ignore=hide)
    (place / "ansible").mkdir()
    (place / "ansible/__init__.py").touch()
    shutil.copytree(Path(ansible.__file__).parent / "module_utils", place / "ansible/module_utils", ignore=hide)
    return place


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
