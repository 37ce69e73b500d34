# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an intent file: YAML, with the line of every error and every key."""

from __future__ import annotations

import re
import typing as t

import yaml

from .mistakes import IntentError, Path

if t.TYPE_CHECKING:
    _Base = yaml.SafeLoader
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster; large intents need it


class _Loader(_Base):
    """YAML 1.1 without sexagesimal numbers (52:54:00:12:34:56 is a MAC, not a number), and with unique keys."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]+$"), list("-+0123456789"))


def _unique_mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[t.Any, t.Any]:
    seen: dict[str, int] = {}
    for key, _value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key.value!r} is already defined in line {seen[key.value]}", key.start_mark
            )
        seen[key.value] = key.start_mark.line + 1
    loader.flatten_mapping(node)
    return {
        loader.construct_object(key, deep=True): loader.construct_object(value, deep=True) for key, value in node.value
    }


_Loader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)


def is_intent(path: str, plugin: str) -> bool:
    """Whether the file names PLUGIN as its plugin; works even if the file is invalid YAML further down."""
    try:
        with open(path, "rb") as file:
            return (
                re.search(rb"(?m)^[\"']?plugin[\"']?\s*:\s*[\"']?" + re.escape(plugin.encode()) + rb"\b", file.read())
                is not None
            )
    except OSError:
        return False


class Source:
    """An intent file's text. `data()` is the parsed content, `line_of(path)` the line where a path begins."""

    def __init__(self, path: str):
        self.path = path
        self._root: yaml.Node | None = None
        try:
            with open(path, "rb") as file:
                raw = file.read()
        except OSError as error:
            raise IntentError(path, [f"the file cannot be read: {error.strerror}"]) from error
        try:
            self.text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise IntentError(
                path, [f"line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"]
            ) from error

    def data(self) -> t.Any:
        try:
            return yaml.load(self.text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
            context = f" ({error.context})" if error.context else ""
            raise IntentError(self.path, [f"{place}invalid YAML: {error.problem}{context}"]) from error
        except yaml.reader.ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            raise IntentError(
                self.path,
                [f"line {line}: invalid YAML: character U+{ord(self.text[error.position]):04X} is not allowed"],
            ) from error
        except (RecursionError, ValueError) as error:
            raise IntentError(self.path, [f"invalid YAML: {error}"]) from error

    def line_of(self, path: Path) -> int | None:
        """The line of PATH, or of its deepest part that is in the file."""
        if self._root is None:
            self._root = yaml.compose(self.text, Loader=_Loader)
        node, line = self._root, None
        for part in path:
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if getattr(key, "value", None) == str(part):
                        node, line = value, key.start_mark.line + 1
                        break
                else:
                    return line
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                return line
        return line
