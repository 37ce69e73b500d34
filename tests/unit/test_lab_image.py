"""The image of lab nodes: what names it, what counts as one, and what is said when it cannot be built."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._lab import image as lab_image
from ansible_collections.routed.hypervisor.plugins.module_utils._lab.image import Image, ImageError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="an image is built as root")

# Stands in for mmdebstrap: the last argument is the directory, the one before it the suite.
BUILDER = """
import pathlib, sys
tree = pathlib.Path(sys.argv[-1])
for name in ("etc", "usr/share/doc/bird2", "usr/bin"):
    (tree / name).mkdir(parents=True)
(tree / "etc/machine-id").write_text("0123\\n")
(tree / "etc/hostname").write_text("build-machine\\n")
(tree / "usr/share/doc/bird2/README").write_text("text")
(tree / "usr/bin/options").write_text("\\n".join(sys.argv[1:]))
"""
FAILING = "import sys; print({message!r}, file=sys.stderr); sys.exit(1)"


def image(tmp_path: Path, *packages: str, suite: str = "bookworm") -> Image:
    return Image(tmp_path / "images", suite, packages or ("bird2",))


@pytest.fixture
def build(tmp_path, run_module):
    def run(program: str = BUILDER, packages=("bird2", "iproute2"), **options) -> dict:
        script = tmp_path / "mmdebstrap.py"
        script.write_text(program)
        return run_module(
            "lab_image", path=str(tmp_path), packages=list(packages), command=[sys.executable, str(script)], **options
        )

    return run


def test_the_fingerprint_is_that_of_suite_and_packages_in_any_order(tmp_path):
    one = image(tmp_path, "bird2", "frr")
    assert one.fingerprint == image(tmp_path, "frr", "bird2", "frr").fingerprint
    assert one.fingerprint != image(tmp_path, "bird2").fingerprint
    assert one.fingerprint != image(tmp_path, "bird2", "frr", suite="trixie").fingerprint


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("E: write error: No space left on device\nE: Failed to fetch x", "is full"),
        ("E: Unable to locate package brid2\nE: setup failed", "Debian bookworm has no package brid2"),
        ("E: Package 'ndppd' has no installation candidate", "Debian bookworm has no package ndppd"),
        ("Err:1 Temporary failure resolving 'mirror'", "could not be reached"),
        ("W: GPG error: NO_PUBKEY 123\nE: Failed to fetch", "signature could not be checked"),
        ("I: start\nE: something else\nE: more", "mmdebstrap failed: something else"),
        ("", "mmdebstrap failed: it printed nothing"),
    ],
)
def test_a_failed_build_is_explained_in_one_sentence(tmp_path, output, sentence):
    text = lab_image.explain(image(tmp_path), output)
    assert sentence in text and "\n" not in text


def test_a_disk_without_room_is_refused_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr(lab_image, "NEEDED_MB", 10**9)
    wanted = image(tmp_path)
    wanted.images.mkdir()
    with pytest.raises(ImageError, match=r"MB free: the image needs 1000000000 MB"):
        lab_image.build(wanted, ["never-run"], None, run=None)
    assert list(wanted.images.iterdir()) == []


def test_a_missing_mmdebstrap_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ImageError, match="mmdebstrap is missing: run `make setup`"):
        lab_image.find_builder(tmp_path, None)


def test_an_unpacked_mmdebstrap_is_run_by_perl(tmp_path, monkeypatch):
    program = tmp_path / "tools/usr/bin/mmdebstrap"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setattr(lab_image.shutil, "which", lambda name: "/usr/bin/perl" if name == "perl" else None)
    assert lab_image.find_builder(tmp_path, None) == ["/usr/bin/perl", str(program)]


def test_another_run_that_builds_is_waited_for_but_not_for_ever(tmp_path):
    refused = pytest.raises(ImageError, match="another run has been building")
    with lab_image.locked(tmp_path), refused, lab_image.locked(tmp_path, seconds=0.1):
        pass


@needs_root
def test_an_image_is_built_once(build, tmp_path):
    first, second = build(), build(packages=("iproute2", "bird2"))
    assert (first["changed"], second["changed"]) == (True, False), first
    assert first["path"] == second["path"] == str(tmp_path / "images" / first["fingerprint"])
    options = Path(first["path"], "usr/bin/options").read_text().splitlines()
    assert "--variant=minbase" in options and "--include=bird2,iproute2" in options and options[-2] == "bookworm"


@needs_root
def test_an_image_is_trimmed_and_has_no_identity_of_its_own(build):
    tree = Path(build()["path"])
    assert list((tree / "usr/share/doc").iterdir()) == []
    assert (tree / "etc/machine-id").read_text() == ""
    assert (tree / "etc/hostname").read_text() == "node\n"
    assert all((tree / name).is_dir() for name in ("proc", "sys", "dev", "run"))
    assert tree.stat().st_mode & 0o777 == 0o755


@needs_root
def test_check_mode_says_what_would_be_and_does_nothing(build, tmp_path):
    result = build(_check=True)
    assert result["changed"] and not (tmp_path / "images").exists()


@needs_root
def test_an_image_that_is_there_needs_no_builder(build, run_module, tmp_path):
    build()
    result = run_module("lab_image", path=str(tmp_path), packages=["bird2", "iproute2"], command=["/nonexistent"])
    assert result.get("changed") is False


@needs_root
def test_what_a_cut_off_build_left_is_removed_by_the_next(build, tmp_path):
    half = tmp_path / "images/.building-0123-x/usr"
    half.mkdir(parents=True)
    result = build()
    # A directory without its record is half an image too, as removing one in two steps may leave it.
    (tmp_path / "images" / f"{result['fingerprint']}.json").unlink()
    again = build()
    assert again["changed"]
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == sorted([".lock", result["fingerprint"], f"{result['fingerprint']}.json"])


@needs_root
def test_a_failed_build_leaves_nothing_and_fails_with_its_sentence(build, tmp_path):
    result = build(FAILING.format(message="E: Unable to locate package brid2"))
    assert result["failed"] and result["msg"] == "the image was not built: Debian bookworm has no package brid2"
    assert [path.name for path in (tmp_path / "images").iterdir()] == [".lock"]


@needs_root
def test_absent_removes_this_image_and_no_other(build, tmp_path):
    kept, gone = build(), build(packages=("frr",))
    assert build(packages=("frr",), state="absent")["changed"]
    assert not build(packages=("frr",), state="absent")["changed"]
    assert Path(kept["path"]).is_dir() and not Path(gone["path"]).exists()


def test_the_cache_in_a_file_is_refused_in_one_sentence(tmp_path, build):
    (tmp_path / "images").write_text("in the way")
    result = build()
    assert result["failed"] and "\n" not in result["msg"]
