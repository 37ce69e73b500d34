# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that is built for hosts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import archive
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.plan import is_ours
from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp


def test_the_same_sources_give_the_same_bytes(tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(zipapp.SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*.py"):
        os.utime(path, (0, 0))
        path.chmod(0o600)
    assert zipapp.build(copy).encode() == zipapp.build().encode()


def test_another_source_gives_other_bytes(tmp_path):
    shutil.copytree(zipapp.SOURCES, tmp_path / "changed")
    with (tmp_path / "changed/_engine/plan.py").open("a") as file:
        file.write("# changed\n")
    assert zipapp.build(tmp_path / "changed").digest() != zipapp.build().digest()


def test_it_has_the_engine_and_neither_labs_nor_what_needs_ansible():
    found = list(zipapp.build().entries)
    assert "routed_hypervisor/_kinds/route/kind.py" in found
    assert not [name for name in found if "/_lab/" in name or name.endswith("ansible_module.py")]
    # What metrics read of BIRD and the firewall, the verification reads in the same way.
    used = {name.rpartition("/")[2] for name in found if "/_verify/" in name}
    assert used == {"__init__.py", "bird.py", "command.py", "firewall.py"}


def test_it_is_recognized_as_ours():
    assert is_ours(zipapp.build().encode())


def test_the_host_adds_byte_code_that_is_not_part_of_the_digest():
    built = zipapp.build()
    installed = archive.decode(built.with_byte_code().encode())
    assert installed is not None
    assert installed.digest() == built.digest()
    assert installed.sources().encode() == built.encode()
    assert installed.has_byte_code() and not built.has_byte_code()
    name = "routed_hypervisor/_engine/plan.py"
    stale = archive.Program(installed.prefix, {**installed.entries, f"{name}c": b"byte code of another Python"})
    assert not stale.has_byte_code()
    assert archive.decode(b"#!/bin/sh\n") is None


@pytest.mark.parametrize("damage", [b"", b"byte code of another Python"])
def test_a_program_starts_with_its_byte_code_or_compiles_itself(tmp_path, damage):
    program = tmp_path / "routed-hypervisor"
    entries = zipapp.build().with_byte_code().entries
    # Of the source, only what is not needed is left: the byte code is used.
    for name in [name for name in entries if name.endswith(".py")] if not damage else ():
        entries[name] = b""
    for name in [name for name in entries if name.endswith(".pyc")] if damage else ():
        entries[name] = damage
    program.write_bytes(archive.Program(zipapp.PREFIX, entries).encode())
    done = subprocess.run([sys.executable, "-I", "-S", program, "--help"], capture_output=True, text=True, check=True)
    assert "bring the kernel to the stored state" in done.stdout


def test_it_runs_without_ansible_and_pyroute2(tmp_path):
    program = tmp_path / "routed-hypervisor"
    program.write_bytes(zipapp.build().encode())
    # -S: the standard library alone
    done = subprocess.run([sys.executable, "-I", "-S", program, "--help"], capture_output=True, text=True, check=True)
    assert "bring the kernel to the stored state" in done.stdout


def test_a_damaged_state_is_reported_without_loading_the_engine(tmp_path):
    program = tmp_path / "routed-hypervisor"
    program.write_bytes(zipapp.build().encode())
    command = [sys.executable, "-I", "-X", "importtime", program, "--directory", tmp_path, "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{tmp_path}/state does not exist" in done.stderr or "needs root" in done.stderr
    assert "_kinds" not in done.stderr
