"""The schema is complete, and its documentation is the schema's."""

from __future__ import annotations

from intent_reference import DOCUMENT, document

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.formats import FORMATS
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.schema import schema


def parts(part, path=()):
    if isinstance(part, dict):
        yield path, part
        for key, below in part.items():
            yield from parts(below, (*path, key))
    elif isinstance(part, list):
        for position, below in enumerate(part):
            yield from parts(below, (*path, position))


def test_every_key_is_described_and_every_map_closed():
    for path, part in parts(schema()):
        if path and path[-2:-1] == ("properties",):
            assert part.get("description", "").endswith("."), path
        if part.get("type") == "object":
            assert "additionalProperties" in part, path


def test_every_form_is_known():
    used = {part["format"] for _path, part in parts(schema()) if isinstance(part.get("format"), str)}
    assert used == set(FORMATS)


def test_every_form_has_an_example_or_a_rule():
    for name, form in FORMATS.items():
        assert "; " in form.wanted, name


def test_the_document_has_the_tables_of_the_schema():
    text = DOCUMENT.read_text()
    assert text == document(text), "run python tests/unit/intent_reference.py"
