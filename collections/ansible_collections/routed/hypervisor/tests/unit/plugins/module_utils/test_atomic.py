# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._engine import atomic


def test_what_an_interrupted_run_left_is_replaced_and_nothing_is_left(tmp_path):
    path = str(tmp_path / "bird.conf")
    with open(atomic.draft_of(path), "wb") as file:
        file.write(b"half")
    atomic.replace(path, b"whole", 0o640)
    assert (tmp_path / "bird.conf").read_bytes() == b"whole"
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["bird.conf"]


def test_a_failed_write_leaves_the_old_content_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "bird.conf"
    path.write_bytes(b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.replace(str(path), b"new", 0o640)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["bird.conf"]


def test_a_draft_does_not_follow_links(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"other")
    os.symlink(other, atomic.draft_of(str(tmp_path / "bird.conf")))
    atomic.replace(str(tmp_path / "bird.conf"), b"new", 0o600)
    assert other.read_bytes() == b"other"
    assert not os.path.islink(tmp_path / "bird.conf")
