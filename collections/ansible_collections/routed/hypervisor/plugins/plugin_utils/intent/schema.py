# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks an intent's shape against the schema, reports mistakes in plain language, and fills in defaults.

The schema is in keys/: one file per key, beginning with intent.json. Defaults are defined there and nowhere else.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import re
import typing
from collections.abc import Sequence

from ...module_utils._engine.printable import LONGEST as LONGEST_SHOWN
from ...module_utils._engine.printable import shown
from ..libraries import jsonschema
from .formats import FORMATS, INTERFACE_LENGTH
from .mistakes import Mistakes, Path

KEYS = os.path.join(os.path.dirname(__file__), "keys")
Bad = tuple[Path, Sequence["str | int"]]  # keys or positions, and where they are

# Unknown keys first, because they may be missing ones, misspelled.
_ORDER = {"additionalProperties": 0, "required": 2}
MOST_UNKNOWN = 1000  # keys of one map that are mistakes each; others are counted
LONGEST = 300  # characters; no name or address is as long
_KINDS = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}


@functools.cache
def schema(name: str = "intent") -> dict:
    """The schema in keys/NAME.json with its references inlined: resolving them at every node costs more than all other
    checks."""
    with open(os.path.join(KEYS, f"{name}.json"), encoding="utf-8") as file:
        return _inline(json.load(file))


def _inline(part):
    if isinstance(part, dict):
        if "$ref" in part:
            return schema(part["$ref"].removesuffix(".json"))
        made = {key: _inline(value) for key, value in part.items()}
        if "items" in made:  # the list is described, and so is what is in it
            made["items"] = {"description": made["description"], **made["items"]}
        return made
    return [_inline(item) for item in part] if isinstance(part, list) else part


@functools.cache
def _validator():
    checker = jsonschema.FormatChecker(formats=())
    for name, form in FORMATS.items():
        checker.checks(name)(
            lambda value, is_valid=form.is_valid: (
                not isinstance(value, str) or (len(value) <= LONGEST and is_valid(value))
            )
        )
    # In JSON 65000.0 is an integer; the daemons that it is written for disagree.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _checker, value: isinstance(value, int) and not isinstance(value, bool)
    )
    extended = jsonschema.validators.extend(
        jsonschema.Draft202012Validator,
        {"additionalProperties": _others, "properties": _known, "propertyNames": _names},
        type_checker=types,
    )
    return extended(schema(), format_checker=checker)


# As jsonschema's own keywords, for maps with many entries: those make a validator for every value, and sort all unknown
# keys for a message. A validator for each part of the schema takes two thirds of the time.


def _known(validator, properties, instance, _part):
    for key, below in properties.items() if isinstance(instance, dict) else ():
        if key in instance:
            yield from _below(validator, below, instance[key], key)


def _others(validator, others, instance, part):
    known, patterns = part.get("properties", {}), part.get("patternProperties", {})
    for key in instance if isinstance(instance, dict) else ():
        if key in known or any(re.search(pattern, key) for pattern in patterns):
            continue
        if others is False:
            yield jsonschema.ValidationError("unknown keys")
            return
        yield from _below(validator, others, instance[key], key)


def _names(validator, names, instance, _part):
    for key in instance if isinstance(instance, dict) else ():
        yield from _errors(validator, names, key)


def _below(validator, part, value, key):
    for error in _errors(validator, part, value):
        error.path.appendleft(key)
        yield error


# By the identity of a part of the schema, which is never freed.
_VALIDATORS: dict[int, typing.Any] = {}
_TEXT_TESTS: dict[int, typing.Any] = {}
_DESCRIBING = {"type", "format", "role", "default", "description"}  # keywords of text of which only the format matters
_OF_A_MAP = {"type", "additionalProperties", "properties", "description"}


def _is_short(value) -> bool:
    return len(value) <= LONGEST


def _text_test(part):
    """What tests the texts of a part of the schema that is text and nothing else."""
    if part.get("type", "string") != "string" or not part.keys() <= _DESCRIBING:
        return None
    return FORMATS[part["format"]].is_valid if "format" in part else _is_short


def _is_valid(part, value):
    """Whether VALUE is a valid text, or a map of known keys and valid texts: most of an intent, tested in a fifth of
    the time that validators take."""
    if isinstance(value, dict):
        if part.keys() != _OF_A_MAP or part["additionalProperties"] is not False:
            return False
        known = part["properties"]
        return all(key in known and _is_valid(known[key], below) for key, below in value.items())
    if id(part) not in _TEXT_TESTS:
        _TEXT_TESTS[id(part)] = _text_test(part)
    test = _TEXT_TESTS[id(part)]
    return test is not None and isinstance(value, str) and len(value) <= LONGEST and test(value)


def _errors(validator, part, value):
    if _is_valid(part, value):
        return ()
    made = _VALIDATORS.get(id(part))
    if made is None:
        made = _VALIDATORS[id(part)] = validator.evolve(schema=part)
    return made.iter_errors(value)


def check_shape(data: dict, mistakes: Mistakes) -> None:
    """Adds violations of the schema to MISTAKES. In DATA, defaults replace invalid and missing values."""
    _fill_empty(data, schema(), (), mistakes)
    errors = sorted(_validator().iter_errors(data), key=lambda error: _ORDER.get(error.validator, 1))
    bad = [_explain(error, mistakes) for error in errors]
    for path, keys in sorted(bad, key=lambda part: len(part[0]), reverse=True):
        _remove(data, path, keys)
    fill(data, schema())


def fill(value, part: dict) -> None:
    """Fills the defaults of PART and of everything below it into VALUE."""
    if not isinstance(value, dict):
        return
    known, others = part.get("properties", {}), part.get("additionalProperties")
    for key, below in known.items():
        if key not in value and "default" in below:
            value[key] = copy.copy(below["default"])
    for key, inner in value.items():
        below = known.get(key, others)
        if isinstance(inner, dict) and isinstance(below, dict):
            fill(inner, below)


def defaults(name: str) -> dict:
    """The default of section NAME or, if it has named entries, of one entry."""
    part = schema(name)
    made: dict = {}
    fill(made, part if "properties" in part else part["additionalProperties"])
    return made


def _fill_empty(value, part: dict, path: Path, mistakes: Mistakes) -> None:
    """Turns keys without a value (`guests:`) into empty maps, and rejects keys that are not strings."""
    if not isinstance(value, dict):
        return
    for key in [key for key in value if not isinstance(key, str)]:
        if f"{key}" not in value:
            mistakes.add((*path, f"{key}"), f"the key {key!r} is not text", "put it in quotes")
        del value[key]
    known, others = part.get("properties", {}), part.get("additionalProperties")
    for key in value if isinstance(others, dict) else value.keys() & known.keys():
        below = known.get(key, others)
        if isinstance(below, dict):
            if value[key] is None and below.get("type") == "object":
                value[key] = {}
            if isinstance(value[key], dict):
                _fill_empty(value[key], below, (*path, key), mistakes)


def _explain(error, mistakes: Mistakes) -> Bad:
    """Adds the mistakes behind a jsonschema error; returns what to hide from later checks."""
    path, value, rule = tuple(error.absolute_path), error.instance, error.validator
    if rule == "propertyNames" or (error.parent is None and "propertyNames" in error.absolute_schema_path):
        mistakes.add((*path, value), _not_the_format(value, error.schema.get("format", "name")))
        return path, [value]
    if rule in _OF_KEYS:
        return _OF_KEYS[rule](error, path, mistakes)
    mistakes.add(path, *_of_value(error))
    return path[:-1], path[-1:]


def _unknown_keys(error, path: Path, mistakes: Mistakes) -> Bad:
    known = error.schema.get("properties", {})
    unknown = [key for key in error.instance if key not in known]
    mistakes.left_out += max(len(unknown) - MOST_UNKNOWN, 0)
    for key in unknown[:MOST_UNKNOWN]:
        place = next((name for name, below in known.items() if key in below.get("properties", {})), None)
        mistakes.unknown_key(path, key, known, error.instance, place)
    return path, unknown


def _missing_keys(error, path: Path, mistakes: Mistakes) -> Bad:
    known, wanted = error.schema["properties"], error.validator_value
    if error.validator == "dependentRequired":
        wanted = [key for given, keys in wanted.items() if given in error.instance for key in keys]
    for key in wanted:
        if key not in error.instance:
            mistakes.add((*path, key), "missing", known[key]["description"])
    return path, ()


def _none_of_the_keys(error, path: Path, mistakes: Mistakes) -> Bad:
    choices = [choice["required"][0] for choice in error.validator_value]
    if not any((*path, choice) in mistakes for choice in choices):
        mistakes.add(path, f"has neither {' nor '.join(choices)}", f"give it one of them: {_about(error)}")
    return path, ()


_OF_KEYS = {
    "additionalProperties": _unknown_keys,
    "required": _missing_keys,
    "dependentRequired": _missing_keys,
    "anyOf": _none_of_the_keys,
}


def _of_value(error) -> tuple[str, str]:
    """(wrong, right) for an invalid value."""
    value, wanted, about = error.instance, error.validator_value, _about(error)
    wrong, right = "", about
    match error.validator:
        case "type" if error.schema.get("writeOnly") and isinstance(value, (str, int, float)):
            wrong = "a secret in clear text"
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            wrong = f"{kind_of(value)} where {' or '.join(_KINDS[kind] for kind in kinds)} is expected"
        case "minimum" | "maximum":
            wrong = f"{shown(value)} is out of range"
            right = f"{error.schema['minimum']} to {error.schema['maximum']}: {about}"
        case "format":
            wrong, right = _not_the_format(value, wanted), ""
        case "enum":
            wrong, right = f"{shown(value)} is not known", f"{', '.join(wanted)}: {about}"
        case "minProperties":
            wrong, right = "empty", f"name one or more: {about}"
        case "minItems":
            wrong, right = "empty", f"list one or more: {about}"
        case "uniqueItems":
            wrong, right = "the same twice", f"each once: {about}"
        case "const" if wanted is True:
            wrong, right = "only true has a meaning here", "true, or remove it"
        case "const":
            wrong, right = f"{shown(value)} is not {wanted}", f"write {wanted}"
        case "not":
            wrong = f"{shown(value)} is reserved" if wanted else "a secret in clear text"
    return wrong, right


def _about(error) -> str:
    return error.schema.get("description", "") if isinstance(error.schema, dict) else ""


def _not_the_format(value: str, name: str) -> str:
    length = (
        f" ({len(value)} characters)"
        if LONGEST_SHOWN >= len(value) > INTERFACE_LENGTH and str(INTERFACE_LENGTH) in FORMATS[name].wanted
        else ""
    )
    return f"{shown(value)}{length} {FORMATS[name].rejection(value)}"


def kind_of(value) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "a map", list: "a list", str: "text", int: "a whole number", float: "a number"}
    quoted = f" ({shown(value)})" if isinstance(value, (str, int, float)) else ""
    return f"{names.get(type(value), 'something else')}{quoted}"


def _remove(data, path: Path, keys: Sequence[str | int]) -> None:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return
    for key in keys:
        if isinstance(data, dict):
            data.pop(key, None)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data[key] = None
