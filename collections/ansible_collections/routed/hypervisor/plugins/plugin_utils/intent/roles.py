# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that addresses and prefixes suit their role, which the schema states beside the key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...module_utils._addresses.roles import ROLES, refusal
from .mistakes import Mistakes, Path
from .schema import schema


def check(data: dict[str, Any], mistakes: Mistakes) -> None:
    """DATA has passed through check_shape: values of a wrong form are absent or None."""
    for path, text, role in _given(data, schema(), ()):
        wrong = refusal(text, role)
        if wrong:
            mistakes.add(path, f"{text} {wrong}", ROLES[role].right)


def _given(value: Any, part: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    """(path, text, role) of every string whose schema has a role."""
    if not isinstance(part, dict) or not _has_role(part):
        return
    if isinstance(value, str) and "role" in part:
        yield path, value, part["role"]
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _given(item, part.get("items"), (*path, position))
    elif isinstance(value, dict):
        known, others, names = part.get("properties", {}), part.get("additionalProperties"), part.get("propertyNames")
        for key, below in value.items():
            yield from _given(key, names, (*path, key))
            yield from _given(below, known.get(key, others), (*path, key))


# By the identity of a part of the schema, which is never freed. Guests, most of an intent, have none.
_HAVE_ROLES: dict[int, bool] = {}


def _has_role(part: dict[str, Any]) -> bool:
    """Whether the schema has a role here or below."""
    if id(part) not in _HAVE_ROLES:
        below = [value for value in part.values() if isinstance(value, dict)]
        _HAVE_ROLES[id(part)] = isinstance(part.get("role"), str) or any(map(_has_role, below))
    return _HAVE_ROLES[id(part)]
