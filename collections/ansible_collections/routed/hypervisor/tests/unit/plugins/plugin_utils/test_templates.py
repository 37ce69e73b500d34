"""What compiling a template came to is kept for the next process, and made anew for another text."""

from __future__ import annotations

import os

import jinja2
import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.routed.hypervisor.plugins.plugin_utils import templates


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ROUTED_HYPERVISOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "templates"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "a.j2"

    def text(source):
        path.write_text(source)
        variables = templates.Variables({"own": "A", "other": "B"}, Templar(DataLoader()))
        return templates.Templates(lambda _name: str(path), []).text("a.j2", variables, {})

    return text


def test_a_text_is_the_same_from_what_is_kept_and_another_one_is_compiled_anew(cache, text, monkeypatch):
    assert text("{{ own }} 1\n") == "A 1\n"
    compiled = []
    compile_template = jinja2.Environment.compile
    monkeypatch.setattr(
        jinja2.Environment, "compile", lambda *given, **more: compiled.append(1) or compile_template(*given, **more)
    )
    assert text("{{ own }} 1\n") == "A 1\n"
    assert compiled == []
    assert text("{{ other }} 2\n") == "B 2\n"
    assert compiled == [1]


def test_nothing_is_taken_from_where_others_can_write(cache, text):
    text("{{ own }}\n")
    (directory,) = cache.iterdir()
    before = set(os.listdir(directory))
    directory.chmod(0o777)
    assert text("{{ other }}\n") == "B\n"
    assert set(os.listdir(directory)) == before
