# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an intent file: YAML, with the line of every error and every key."""

from __future__ import annotations

import re
import typing as t

import yaml

from ...module_utils._engine.printable import shown
from .content import Content, Refused
from .mistakes import IntentError, Mistakes, Path

LARGEST = 10_000_000  # bytes
LARGEST_WITHOUT_LIBYAML = 200_000  # bytes, which take PyYAML two seconds
# Not in YAML, or read differently by people and by parsers: other line breaks, and what reverses the order of text.
FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    "|[\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
LINE_BREAK = re.compile(r"\r\n|\r|\n")


def is_intent(path: str, plugin: str) -> bool:
    """Whether the file names PLUGIN as its plugin; works even if the file is invalid YAML further down."""
    try:
        with open(path, "rb") as file:
            start = file.read(LARGEST)
    except OSError:
        return False
    return re.search(rb"(?m)^[\"']?plugin[\"']?\s*:\s*[\"']?" + re.escape(plugin.encode()) + rb"\b", start) is not None


def invalid_yaml(error: yaml.MarkedYAMLError) -> str:
    """The line about what a parser of YAML found."""
    mark = error.problem_mark or error.context_mark
    context = f" ({error.context})" if error.context else ""
    return _invalid((mark.line + 1, mark.column + 1) if mark else None, f"{error.problem}{context}")


def _invalid(place: tuple[int, int] | None, message: str) -> str:
    where = f"line {place[0]}, column {place[1]}: " if place else ""
    return f"{where}invalid YAML: {message}"


class Source:
    """An intent file's text. `data()` is the parsed content, `line_of(path)` the line where a path begins."""

    def __init__(self, path: str):
        self.path = path
        self._content: Content | None = None
        try:
            with open(path, "rb") as file:
                raw = file.read(LARGEST + 1)
        except OSError as error:
            raise IntentError(path, [f"the file cannot be read: {error.strerror}"]) from error
        if len(raw) > LARGEST:
            raise IntentError(path, [f"the file is larger than {LARGEST // 1_000_000} MB; split the fabric"])
        try:
            self.text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self._line(raw[: error.start].decode("utf-8-sig"))
            raise IntentError(
                path, [f"line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"]
            ) from error

    @staticmethod
    def _line(before: str) -> int:
        return len(LINE_BREAK.findall(before)) + 1

    def data(self, mistakes: Mistakes) -> t.Any:
        """The content; keys that are not text are MISTAKES."""
        if found := FORBIDDEN.search(self.text):
            before = self.text[: found.start()]
            column = len(LINE_BREAK.split(before)[-1]) + 1
            self._refuse(
                (self._line(before), column),
                f"character U+{ord(found[0]):04X} is not allowed; in double quotes it can be written as an escape",
            )
        parser = getattr(yaml, "CSafeLoader", None)
        if parser is None:
            if len(self.text) > LARGEST_WITHOUT_LIBYAML:
                wrong = "the file is too large for PyYAML without libyaml, which takes ten times as long"
                raise IntentError(self.path, [f"{wrong}; install PyYAML's wheel, or Debian's python3-yaml"])
            parser = yaml.SafeLoader
        self._content = Content(mistakes)
        try:
            return self._content.read(self.text, parser)
        except Refused as error:
            self._refuse(error.place, error.message)
        except yaml.MarkedYAMLError as error:
            raise IntentError(self.path, [invalid_yaml(error)]) from None
        except (RecursionError, ValueError, yaml.YAMLError) as error:
            self._refuse(None, shown(str(error)))

    def _refuse(self, place: tuple[int, int] | None, message: str) -> t.NoReturn:
        raise IntentError(self.path, [_invalid(place, message)]) from None

    def line_of(self, path: Path) -> int | None:
        """The line of PATH, or of its deepest part that is in the file."""
        return self._content.line_of(path) if self._content else None
