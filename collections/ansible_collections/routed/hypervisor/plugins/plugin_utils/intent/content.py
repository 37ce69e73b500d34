# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a YAML document, made from its events in one pass, with the line of every key.

Stricter than YAML 1.1: no tags that make other types, no sexagesimal numbers (52:54:00:12:34:56 is a MAC), dates, octal
or hexadecimal numbers, unique keys that are text, and limits to depth and repetition. Every refusal has its line.
"""

from __future__ import annotations

import copy
import re
import typing as t
from dataclasses import dataclass, field

import yaml

from ...module_utils._engine.printable import shown
from .mistakes import Mistakes, Path

DEEPEST = 20  # an intent has six levels
MOST = 1_000_000  # values; a file of the largest size that is allowed has half as many
MOST_REPEATED = 100_000  # values that aliases may add
MOST_DIGITS = 20
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FRACTION = re.compile(r"[-+]?[0-9]+\.[0-9]+")
# YAML 1.1, as everywhere in Ansible.
WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
TEXT, TAGS = "tag:yaml.org,2002:str", "tag:yaml.org,2002:"
OF_COLLECTIONS = (None, f"{TAGS}map", f"{TAGS}seq")
QUOTES = "text that begins with { or [ needs quotes"


class Refused(Exception):
    def __init__(self, mark: t.Any, message: str):
        super().__init__(message)
        self.place, self.message = (mark.line + 1, mark.column + 1), message


@dataclass
class Place:
    """Where the parts of a map or list are: their lines, and the places below them."""

    lines: dict[str | int, int] = field(default_factory=dict)
    below: dict[str | int, Place] = field(default_factory=dict)


class Level:
    """A map or list that is being read."""

    __slots__ = ("anchor", "expects_key", "is_map", "key", "merged", "place", "size", "start", "value")

    def __init__(self, value: t.Any, start: t.Any, anchor: str | None):
        self.value, self.start, self.anchor = value, start, anchor
        self.place = Place()
        self.size = 1
        self.is_map = self.expects_key = isinstance(value, dict)
        self.key: str | None = ""  # whose value comes next; None: what is merged
        self.merged: list[tuple[dict[str, t.Any], Place]] = []

    def path_part(self) -> str | int:
        if self.is_map:
            return "<<" if self.key is None else self.key
        return len(self.value)


class Content:
    def __init__(self, mistakes: Mistakes):
        self.mistakes = mistakes
        self.place = Place()
        self.levels: list[Level] = []
        self.anchors: dict[str, tuple[t.Any, Place | None, int]] = {}
        self.open: set[str] = set()  # anchors of what is being read
        self.documents = self.repeated = 0
        self.root: t.Any = None

    def read(self, text: str, loader: t.Any) -> t.Any:
        handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }
        parser = loader(text)
        try:
            for count, event in enumerate(iter(parser.get_event, None)):
                if count > MOST:
                    raise Refused(event.start_mark, f"more than {MOST:,} values; split the fabric")
                if (handle := handlers.get(type(event))) is not None:
                    handle(event)
        finally:
            parser.dispose()
        return self.root

    def _document(self, event: t.Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise Refused(event.start_mark, "a second document; an intent is one document")

    def line_of(self, path: Path) -> int | None:
        place, line = self.place, None
        for part in path:
            if part not in place.lines:
                break
            line = place.lines[part]
            if part not in place.below:
                break
            place = place.below[part]
        return line

    def _scalar(self, event: t.Any) -> None:
        level = self.levels[-1] if self.levels else None
        tag = event.tag
        if tag is not None and tag != TEXT:
            self._no_tag(event)
        is_plain = tag is None and event.implicit[0]
        if level is not None and level.expects_key:
            self._key(level, event, is_plain)
            return
        value = _plain(event) if is_plain else event.value
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, None, 1)
        self._add(value, None, 1, event)

    def _key(self, level: Level, event: t.Any, is_plain: bool) -> None:
        key, line = event.value, event.start_mark.line + 1
        if event.anchor is not None:
            self.anchors[event.anchor] = (key, None, 1)
        level.expects_key = False
        if is_plain and key == "<<":
            level.key = None
            return
        level.key = key
        if key in level.place.lines:
            defined = level.place.lines[key]
            raise Refused(event.start_mark, f"the key {shown(key)} is already defined in line {defined}")
        level.place.lines[key] = line
        if is_plain and not isinstance(_plain(event), str):
            path = (*self._path()[:-1], key)
            self.mistakes.add(path, f"the key {key or 'without text'} is not text", "put it in quotes")

    def _path(self) -> Path:
        return tuple(level.path_part() for level in self.levels)

    def _no_tag(self, event: t.Any) -> t.NoReturn:
        tag = event.tag.replace(TAGS, "!!")
        raise Refused(event.start_mark, f"the tag {shown(tag)} has no use in an intent; remove it")

    def _start(self, event: t.Any) -> None:
        if self.levels and self.levels[-1].expects_key:
            kind = "a map" if isinstance(event, yaml.MappingStartEvent) else "a list"
            raise Refused(event.start_mark, f"{kind} is used as a key; {QUOTES}, and an intent has no templates")
        if event.tag not in OF_COLLECTIONS:
            self._no_tag(event)
        if len(self.levels) >= DEEPEST:
            raise Refused(
                event.start_mark, f"more than {DEEPEST} levels of maps and lists; no key of an intent has so many"
            )
        value: dict[str, t.Any] | list[t.Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.anchor is not None:
            self.open.add(event.anchor)
        self.levels.append(Level(value, event, event.anchor))

    def _end(self, _event: t.Any) -> None:
        level = self.levels.pop()
        for value, place in level.merged:  # of maps only
            for key in value:
                if key not in level.value:
                    level.value[key] = value[key]
                    level.place.lines[key] = place.lines[key]
                    if key in place.below:
                        level.place.below[key] = place.below[key]
        if level.anchor is not None:
            self.open.discard(level.anchor)
            self.anchors[level.anchor] = (level.value, level.place, level.size)
        self._add(level.value, level.place, level.size, level.start)

    def _alias(self, event: t.Any) -> None:
        if event.anchor in self.open:
            raise Refused(event.start_mark, f"the alias *{event.anchor} refers to what it is in")
        if event.anchor not in self.anchors:
            raise Refused(event.start_mark, f"nothing is called &{event.anchor}")
        value, place, size = self.anchors[event.anchor]
        if self.levels and self.levels[-1].expects_key:
            raise Refused(event.start_mark, "an alias is used as a key; write the key")
        self.repeated += size
        if self.repeated > MOST_REPEATED:
            raise Refused(event.start_mark, f"aliases repeat more than {MOST_REPEATED:,} values; write them out")
        # A copy: what is removed in one place must stay in the other.
        self._add(copy.deepcopy(value), place, size, event)

    def _add(self, value: t.Any, place: Place | None, size: int, event: t.Any) -> None:
        """Puts a value where it belongs."""
        if not self.levels:
            self.root, self.place = value, place or self.place
            return
        level = self.levels[-1]
        level.size += size
        part: str | int
        if level.is_map:
            level.expects_key = True
            if level.key is None:
                self._merge(level, value, place, event)
                return
            part = level.key
            level.value[part] = value
        else:
            part = len(level.value)
            level.place.lines[part] = event.start_mark.line + 1
            level.value.append(value)
        if place is not None:
            level.place.below[part] = place

    def _merge(self, level: Level, value: t.Any, place: Place | None, event: t.Any) -> None:
        maps = value if isinstance(value, list) else [value]
        places = (
            [place] if isinstance(value, dict) else [place.below.get(at) for at in range(len(maps))] if place else []
        )
        for one, where in zip(maps, places, strict=False):
            if not isinstance(one, dict) or where is None:
                break
            level.merged.append((one, where))
        else:
            if len(places) == len(maps):
                return
        raise Refused(event.start_mark, "<< takes a map or a list of maps; in a name it needs quotes")


def _plain(event: t.Any) -> t.Any:
    """The value of a scalar without quotes."""
    text = event.value
    if text in WORDS:
        return WORDS[text]
    if text[0] in "-+0123456789":
        if INTEGER.fullmatch(text):
            if len(text) > MOST_DIGITS:
                raise Refused(event.start_mark, f"a number of {len(text)} digits; {MOST_DIGITS} are the most")
            return int(text)
        if FRACTION.fullmatch(text):
            return float(text)
    return text
