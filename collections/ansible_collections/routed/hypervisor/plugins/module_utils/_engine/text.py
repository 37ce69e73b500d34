# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints nested lists and dictionaries one value per line, for --diff; PyYAML may be missing on a managed host.

Private to this collection.
"""

from __future__ import annotations

import typing as t


def to_text(value: t.Any, indent: str = "") -> str:
    return "".join(f"{line}\n" for line in _lines(value, indent))


def _lines(value: t.Any, indent: str) -> list[str]:
    lines: list[str] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (dict, list)) and inner:
                lines += [f"{indent}{key}:", *_lines(inner, indent + "  ")]
            else:
                lines.append(f"{indent}{key}: {_scalar(inner)}")
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, (dict, list)) and inner:
                first, *rest = _lines(inner, indent + "  ")
                lines += [f"{indent}- {first[len(indent) + 2 :]}", *rest]
            else:
                lines.append(f"{indent}- {_scalar(inner)}")
    else:
        lines.append(f"{indent}{_scalar(value)}")
    return lines


def _scalar(value: t.Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if not isinstance(value, (dict, list)) else ("{}" if isinstance(value, dict) else "[]")
