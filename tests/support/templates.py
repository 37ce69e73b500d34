"""Texts of templates, from data that are written by hand, and what parsers of the lab-node image say to them."""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml

from .modules import PROJECT

GOLDEN = PROJECT / "tests/golden"
TEMPLATES = PROJECT / "templates"


def variables(node: str) -> dict:
    return yaml.safe_load((GOLDEN / "data" / f"{node}.yml").read_text())


@functools.cache
def _environment(directory: Path) -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(directory)
    return jinja2.Environment(
        loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )


def render(file: str, values: dict) -> str:
    """As Ansible's template lookup renders it."""
    template = TEMPLATES / f"{file}.j2"
    return _environment(template.parent).get_template(template.name).render(values)


def parser_says(image: Path, files: dict[str, str], *argv: str) -> tuple[int, str]:
    """Runs a parser of the image on files in a directory that only it sees: nothing is written to the image."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for the parsers of the image")
    place = image / "mnt"
    put = [f"printf %s {shlex.quote(text)} > {shlex.quote(str(place / name))}" for name, text in files.items()]
    # The parser must not be able to touch anything else: the rest of the image is read-only for it.
    script = [f"mount --bind -o ro {shlex.quote(str(image))} {shlex.quote(str(image))}"]
    script += [f"mount -t tmpfs tmpfs {shlex.quote(str(place))}", *put]
    script += [f"exec chroot {shlex.quote(str(image))} {shlex.join(argv)}"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-e", "-c", "\n".join(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr
