# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in an intent: collected instead of raised one by one, so that all are reported together."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from ...module_utils._engine.printable import counted, printable, shortened
from ...module_utils._engine.spelling import closest

Path = tuple["str | int", ...]  # keys, and positions in lists
LineOf = Callable[[Path], "int | None"]

ALIKE = 10  # mistakes of one kind; if there are more, the first few are shown and the others counted
SHOWN = 3  # of those
WORDS_OF_A_KIND = 12  # at the beginning of a message
SCREEN = 45  # lines
LONGEST_LINE = 1000
WORDS = 40  # the longest word, and
SUGGESTIONS = 200  # the most words, that other spellings are looked for


def render(path: Path) -> str:
    """The path in readable form: hypervisors.hv1.guests.vm1, vrfs.private.host[0]."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shortened(part)}" if text else shortened(str(part))
    return text or "the file"


@functools.lru_cache(4096)
def _closest(word: str, known: tuple[str, ...]) -> str | None:
    return None if len(word) > WORDS or len(known) > SUGGESTIONS else closest(word, known)


def listed(things: Iterable[object], limit: int = 8) -> str:
    """A comma-separated list; a long one is truncated with an ellipsis."""
    words = list(things)
    shown = ", ".join(shortened(str(word)) for word in words[:limit])
    return f"{shown}, … ({len(words)} in all)" if len(words) > limit else shown or "none"


@dataclass(slots=True)
class Mistake:
    path: Path
    message: str
    cause: Path | None = None  # what is probably wrong instead, if this is one of many

    @property
    def kind(self) -> object:
        """The same for mistakes that differ only in names, numbers and addresses."""
        if self.cause is not None:
            return self.cause
        names = set(map(str, self.path))
        words = _words(self.message.partition(";")[0])
        return self.where, *[word for word in words if word not in names][:WORDS_OF_A_KIND]

    @property
    def where(self) -> tuple[Path, int]:
        """The section, and how deep: the same for mistakes in the same key of other nodes."""
        return self.path[:-1][:1], len(self.path)


@functools.lru_cache(4096)
def _words(message: str) -> list[str]:
    """The words of a message without names, numbers, addresses and values."""
    return [word for word in _CALLED.sub("", message[:LONGEST_LINE]).split(" ") if word.strip(",;:.?()").isalpha()]


# Ansible's own start with ansible_
OF_HOSTS = ("confirm_s", "management", "drained", "bgp_passwords", "ospf_passwords")
_CALLED = re.compile(r" called \S+")


@dataclass
class Mistakes:
    """Mistakes by path. Only the first at a path is kept; later ones are mostly its consequences."""

    found: dict[Path, Mistake] = field(default_factory=dict)
    touched: set[Path] = field(default_factory=set)  # every part of the intent with a mistake in it
    meant: set[Path] = field(default_factory=set)  # keys that are probably there, misspelled
    words: set[str] = field(default_factory=set)  # that other spellings were looked for
    left_out: int = 0  # more like those that were found

    @property
    def count(self) -> int:
        return len(self.found) + self.left_out

    def add(self, path: Path, wrong: str, right: str = "", cause: Path | None = None) -> None:
        path = tuple(path)
        if path in self:
            return
        self.found[path] = Mistake(path, f"{wrong}; {right}" if right else wrong, cause)
        for length in range(len(path), -1, -1):
            part = path[:length]
            if part in self.touched:
                break
            self.touched.add(part)

    def did_you_mean(self, word: str, known: Iterable[str]) -> str | None:
        """The known word closest to WORD; not looked for once there are more mistakes than anyone reads."""
        if word not in self.words and len(self.words) >= SUGGESTIONS:
            return None
        self.words.add(word)
        return _closest(word, tuple(known))

    def unknown_key(
        self, path: Path, key: str, known: Iterable[str], given: Container[str], place: str | None = None
    ) -> None:
        """A key that is not one of KNOWN but possibly of PLACE, which is one, in a map that has the keys GIVEN.

        Probably one of the others was meant, which is then not reported as missing.
        """
        if key.startswith("ansible_") or key in OF_HOSTS:
            self.add((*path, key), "unknown key", "it is a variable of hosts: move it to host_vars or group_vars")
            return
        close = self.did_you_mean(key, sorted(known, key=given.__contains__))
        right = f"it belongs under {place}" if place else f"known here: {listed(known, 20)}"
        self.add((*path, key), "unknown key", f"did you mean {close}?" if close else right)
        if close is not None and close not in given:
            self.meant.add((*path, close))

    def __bool__(self) -> bool:
        return bool(self.found)

    def __contains__(self, path: Path) -> bool:
        """Whether a mistake at PATH was found, or a misspelled key that was meant to be there."""
        return tuple(path) in self.found or tuple(path) in self.meant

    def lines(self, line_of: LineOf = lambda path: None) -> list[str]:
        """One line per mistake, in the order of the file as far as LINE_OF returns lines.

        Of many mistakes of one kind only the first are shown, after all others: more likely they have one cause.
        """
        groups = self._groups(lambda mistake: mistake.kind)
        if sum(len(alike) if len(alike) <= ALIKE else SHOWN + 1 for alike in groups) > SCREEN:
            groups = self._groups(lambda mistake: mistake.cause or mistake.where)
        single = [mistake for alike in groups if len(alike) <= ALIKE for mistake in alike]
        made = [_line(line, mistake) for line, mistake in _in_order(single, line_of)]
        shown = len(made)
        for alike in sorted((alike for alike in groups if len(alike) > ALIKE), key=len, reverse=True):
            ordered = _in_order(alike, line_of)
            if len(made) < SCREEN - SHOWN:
                made += [_line(line, mistake) for line, mistake in ordered[:SHOWN]]
                made.append(_others(ordered, line_of))
                shown += len(alike)
        if len(made) > SCREEN:
            shown -= len(made) - SCREEN
            del made[SCREEN:]
        if hidden := self.count - shown:
            made.append(f"and {hidden:,} more")
        return made

    def _groups(self, key: Callable[[Mistake], object]) -> list[list[Mistake]]:
        made: dict[object, list[Mistake]] = {}
        for mistake in self.found.values():
            made.setdefault(key(mistake), []).append(mistake)
        return list(made.values())


def _in_order(mistakes: list[Mistake], line_of: LineOf) -> list[tuple[int | None, Mistake]]:
    return sorted(((line_of(mistake.path), mistake) for mistake in mistakes), key=lambda item: item[0] or 0)


def _line(line: int | None, mistake: Mistake) -> str:
    return (f"line {line}, " if line else "") + f"{render(mistake.path)}: {mistake.message}"


def _others(ordered: list[tuple[int | None, Mistake]], line_of: LineOf) -> str:
    last, mistake = ordered[-1]
    text = f"and {len(ordered) - SHOWN:,} more like it" + (f", up to line {last}" if last else "")
    if mistake.cause is not None:
        line = line_of(mistake.cause)
        place = f"line {line}, {render(mistake.cause)}" if line else render(mistake.cause)
        text += f"; check their common cause: {place}"
    return text


class IntentError(Exception):
    """The intent cannot be used. `lines` has one line per mistake, `count` is their number if not all have a line.

    `nodes` has the names of its nodes by section, as far as it could be read.
    """

    def __init__(
        self, source: str, lines: list[str], count: int | None = None, nodes: dict[str, list[str]] | None = None
    ):
        count = len(lines) if count is None else count
        self.nodes = nodes or {}
        self.source, self.lines = source, [printable(shortened(line, LONGEST_LINE)) for line in lines]
        head = f"{counted(count, 'mistake(s)')} in {source}"
        super().__init__("\n".join([f"{printable(head)}; nothing was touched.", *(f"  {line}" for line in self.lines)]))
