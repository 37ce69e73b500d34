# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that is built for hosts."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile

from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.plan import is_ours
from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp


def names(program: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(program)).namelist()


def test_the_same_sources_give_the_same_bytes(tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(zipapp.SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*.py"):
        os.utime(path, (0, 0))
        path.chmod(0o600)
    assert zipapp.build(copy) == zipapp.build()


def test_another_source_gives_other_bytes(tmp_path):
    shutil.copytree(zipapp.SOURCES, tmp_path / "changed")
    with (tmp_path / "changed/_engine/plan.py").open("a") as file:
        file.write("# changed\n")
    assert zipapp.build(tmp_path / "changed") != zipapp.build()


def test_it_has_the_engine_and_neither_labs_nor_what_needs_ansible():
    found = names(zipapp.build())
    assert found == sorted(found)
    assert "routed_hypervisor/_kinds/route/kind.py" in found
    assert not [name for name in found if "/_lab/" in name or "/_verify/" in name or name.endswith("ansible_module.py")]


def test_it_is_recognized_as_ours():
    assert is_ours(zipapp.build())


def test_it_runs_without_ansible_and_pyroute2(tmp_path):
    program = tmp_path / "routed-hypervisor"
    program.write_bytes(zipapp.build())
    # -S: the standard library alone
    done = subprocess.run([sys.executable, "-I", "-S", program, "--help"], capture_output=True, text=True, check=True)
    assert "bring the kernel to the stored state" in done.stdout


def test_a_damaged_state_is_reported_without_loading_the_engine(tmp_path):
    program = tmp_path / "routed-hypervisor"
    program.write_bytes(zipapp.build())
    command = [sys.executable, "-I", "-X", "importtime", program, "--directory", tmp_path, "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{tmp_path}/state does not exist" in done.stderr or "needs root" in done.stderr
    assert "_kinds" not in done.stderr
