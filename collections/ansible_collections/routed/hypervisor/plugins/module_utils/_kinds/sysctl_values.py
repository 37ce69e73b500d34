# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares sysctl values: a value has several spellings, of which the kernel prints one. Private to this collection."""

from __future__ import annotations

import re

NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")  # as the kernel parses: hexadecimal, octal, decimal
DECIMAL = re.compile(r"-?[0-9]+")
MASK = re.compile(r"[0-9a-f]+(,[0-9a-f]{8})*")


def as_wanted(seen: str | None, wanted: str | None) -> str | None:
    """The value that the kernel printed, in the spelling of the wanted value if both are equal."""
    return wanted if seen is not None and wanted is not None and is_same(seen, wanted) else seen


def is_same(seen: str, wanted: str) -> bool:
    """Whether the kernel prints `seen` after `wanted` was written. Blanks are single spaces in both."""
    if seen == wanted:
        return True
    if "," in seen + wanted or "-" in (seen + wanted)[1:]:
        ranges, mask = _ranges(seen), _mask(seen)
        return (ranges is not None and ranges == _ranges(wanted)) or (mask is not None and mask == _mask(wanted))
    ours, theirs = seen.split(), wanted.split()
    return len(ours) == len(theirs) and all(
        one == other or (DECIMAL.fullmatch(one) and NUMBER.fullmatch(other) and int(one) == _number(other))
        for one, other in zip(ours, theirs, strict=True)
    )


def _number(text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") else 10
    return sign * int(digits, base)


def _ranges(text: str) -> list[tuple[int, int]] | None:
    """A list such as 8080,1-3,4 as ranges, sorted and joined; None if it is not one."""
    found = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not NUMBER.fullmatch(first) or (dash and not NUMBER.fullmatch(last)):
            return None
        found.append((_number(first), _number(last) if dash else _number(first)))
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and start <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _mask(text: str) -> int | None:
    """A bit mask in groups of eight hexadecimal digits; None if it is not one."""
    return int(text.replace(",", ""), 16) if MASK.fullmatch(text.lower()) and "," in text else None
