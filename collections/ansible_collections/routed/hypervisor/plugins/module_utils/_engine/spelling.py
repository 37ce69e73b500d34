# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which known name an unknown one was probably meant to be.

Private to this collection.
"""

from __future__ import annotations

import difflib
import typing as t

ALIKE = 0.6  # of 1, as difflib counts


def closest(word: str, known: t.Iterable[str]) -> str | None:
    """The known word closest to WORD, in upper or lower case; the first of several that are equally close."""
    choices: dict[str, str] = {}
    for choice in known:
        choices.setdefault(choice.lower(), choice)
    matcher = difflib.SequenceMatcher(b=word.lower())  # prepared for many comparisons with b
    best, ratio = None, 0.0
    for lower, choice in choices.items():
        matcher.set_seq1(lower)
        needed = max(ratio, ALIKE)
        if matcher.real_quick_ratio() >= needed and matcher.quick_ratio() >= needed:
            found = matcher.ratio()
            if found >= ALIKE and found > ratio:
                best, ratio = choice, found
    return best


def suggestion(word: str, known: t.Iterable[str]) -> str:
    """Appended to a message about an unknown word: the one that was probably meant, or nothing."""
    near = closest(word, known)
    return f"; did you mean {near}?" if near else ""
