# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in an intent: collected instead of raised one by one, so that all are reported together."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Path = tuple["str | int", ...]  # keys, and positions in lists


def render(path: Path) -> str:
    """The path in readable form: hypervisors.hv1.guests.vm1, vrfs.private.host[0]."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text or "the file"


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to WORD, if any is close."""
    close = difflib.get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.6)
    return close[0] if close else None


def listed(things: Iterable[object], limit: int = 8) -> str:
    """A comma-separated list; a long one is truncated with an ellipsis."""
    words = [str(thing) for thing in things]
    shown = ", ".join(words[:limit])
    return f"{shown}, … ({len(words)} in all)" if len(words) > limit else shown or "none"


@dataclass
class Mistakes:
    """Mistakes by path. Only the first at a path is kept; later ones are mostly its consequences."""

    found: dict[Path, str] = field(default_factory=dict)
    touched: set[Path] = field(default_factory=set)  # every part of the intent with a mistake in it

    def add(self, path: Path, wrong: str, right: str = "") -> None:
        self.found.setdefault(tuple(path), f"{wrong}; {right}" if right else wrong)
        self.touched.update(tuple(path[:length]) for length in range(len(path) + 1))

    def __bool__(self) -> bool:
        return bool(self.found)

    def __contains__(self, path: Path) -> bool:
        return tuple(path) in self.found

    def lines(self, line_of: Callable[[Path], int | None] = lambda path: None) -> list[str]:
        """One line per mistake, sorted by line as far as LINE_OF returns one."""
        numbered = [(line_of(path), render(path), message) for path, message in self.found.items()]
        numbered.sort(key=lambda item: item[0] or 0)
        return [(f"line {line}, " if line else "") + f"{path}: {message}" for line, path, message in numbered]


class IntentError(Exception):
    """The intent cannot be used. `lines` has one line per mistake."""

    def __init__(self, source: str, lines: list[str]):
        self.source, self.lines = source, lines
        count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        super().__init__("\n".join([f"{count} in {source}; nothing was touched.", *(f"  {line}" for line in lines)]))
