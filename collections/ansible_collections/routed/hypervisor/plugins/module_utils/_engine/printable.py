# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from outside, made safe to print: in messages, reports and summaries.

Private to this collection.
"""

from __future__ import annotations

import re
import typing as t

LONGEST = 80  # characters shown of one value


def printable(text: str) -> str:
    """TEXT on one line, without characters that control a terminal or change the order in which it is read."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(text: str, longest: int = LONGEST) -> str:
    """The beginning of TEXT, and its length if that is not all of it."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters in all)"


def shown(value: t.Any, longest: int = LONGEST) -> str:
    """A value as it is quoted in messages."""
    if isinstance(value, str):
        return repr(value) if len(value) <= longest else f"{value[:longest]!r}… ({len(value)} characters in all)"
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return shortened(repr(value), longest)


def counted(number: int, things: str) -> str:
    """A number of things: counted(1, "route(s) of hv1") is "1 route of hv1"."""
    ending = "" if number == 1 else r"\1"
    return f"{number:,} {_PLURAL.sub(ending, things)}"


_PLURAL = re.compile(r"\((e?s)\)")
