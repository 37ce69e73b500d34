"""Modules that Ansible has built are kept from one run to the next, and never used when anything in them changed."""

from __future__ import annotations

import os

import pytest

from ansible_collections.routed.hypervisor.plugins.plugin_utils import kept_modules

OURS = f"{kept_modules.PREFIX}verify-ZIP_DEFLATED-none"


@pytest.fixture
def built(tmp_path):
    directory = tmp_path / "run" / "ansiballz_cache"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "cache" / "modules" / "0123"


def test_only_finished_modules_of_this_collection_are_kept_and_the_next_run_gets_them(built, kept, tmp_path):
    for name in (OURS, f"{OURS}.lock", f"{OURS}-part", "ansible.modules.command-ZIP_DEFLATED-none"):
        (built / name).write_text(name)
    kept_modules.keep(built, kept)
    assert os.listdir(kept) == [OURS]
    assert kept.stat().st_mode & 0o777 == 0o700
    new = tmp_path / "next"
    kept_modules.take(kept, new)
    assert (new / OURS).read_text() == OURS


def test_what_somebody_else_could_have_written_is_not_taken(built, kept):
    kept.mkdir(parents=True)
    kept.chmod(0o777)
    (kept / OURS).write_text("")
    kept_modules.take(kept, built)
    assert os.listdir(built) == []


def test_what_no_run_used_for_weeks_is_removed(built, kept):
    old, recent = kept.with_name("old"), kept.with_name("recent")
    for directory in (old, recent):
        directory.mkdir(parents=True)
    os.utime(old, (0, 0))
    (built / OURS).write_text("")
    kept_modules.keep(built, kept)
    assert not old.exists()
    assert recent.exists()


def test_a_changed_source_file_makes_another_name(monkeypatch, tmp_path):
    (tmp_path / "plugins" / "modules").mkdir(parents=True)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "runtime.yml").write_text("")
    source = tmp_path / "plugins" / "modules" / "verify.py"
    source.write_text("a = 1\n")
    monkeypatch.setattr(kept_modules, "COLLECTION", tmp_path)
    before = kept_modules.fingerprint()
    assert kept_modules.fingerprint() == before
    source.write_text("a = 2\n")
    assert kept_modules.fingerprint() != before


def test_ansible_finds_what_is_taken_where_it_looks_for_what_it_built(built, kept):
    """If Ansible names its files in another way, nothing is found: then this fails, and runs take longer."""
    executor = pytest.importorskip("ansible.executor.module_common")
    with open(executor.__file__, encoding="utf-8") as file:
        text = file.read()
    assert "'ansiballz_cache'" in text
    assert "'-'.join((remote_module_fqn, module_compression, extension_key))" in text
