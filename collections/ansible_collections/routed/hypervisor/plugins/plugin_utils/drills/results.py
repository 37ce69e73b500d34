# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of drills' results, drills.json: the last result of each drill."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ...module_utils._engine.printable import shown
from ..report.document import DocumentError, replace

NAME = "drills.json"  # beside verify.json
FORMAT = 1
MS = range(-(10**9), 10**9)

Result = dict[str, t.Any]


def read(path: Path, fabric: str) -> list[Result]:
    """The drills of FABRIC, none if there is no file. Raises DocumentError for a file that must not be replaced."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise DocumentError(f"{path} cannot be read ({error}); remove it") from None
    if reason := _flaw(found, fabric):
        raise DocumentError(f"{path} {reason}")
    return t.cast("list[Result]", found["drills"])


def add(path: Path, fabric: str, result: Result) -> None:
    """Replaces the former result of the same drill: the same thing broken in the same way."""
    kept = [one for one in read(path, fabric) if one["title"] != result["title"]]
    document = {"format": FORMAT, "fabric": fabric, "drills": [*kept, result]}
    replace(path, json.dumps(document, indent=1) + "\n")


def _flaw(found: t.Any, fabric: str) -> str:
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        return "has no format number; remove it"
    if found["format"] > FORMAT:
        return f"has the format {shown(found['format'])}; this version reads up to {FORMAT}, so update it"
    if not isinstance(found.get("drills"), list):
        return "has no list of drills; remove it"
    if found.get("fabric") != fabric:
        return f"has the drills of {shown(found.get('fabric'))}, not of {fabric}; remove it"
    for number, drill in enumerate(found["drills"]):
        if not _is_drill(drill):
            return f"has no complete drill at drills[{number}]; remove it"
    return ""


def _is_drill(found: t.Any) -> bool:
    return (
        _has(found, str, "drill", "title", "time")
        and all(found.get(key) is None or _has(found, int, key) for key in ("budget_ms", "bfd_ms"))
        and _has(found, list, "runs")
        and all(_is_run(run) for run in found["runs"])
        # All runs have the same pairs.
        and len({tuple(pair["title"] for pair in run["pairs"]) for run in found["runs"]}) == 1
    )


def _is_run(found: t.Any) -> bool:
    return (
        _has(found, int, "ended_ms")
        and (found.get("restored_ms") is None or _has(found, int, "restored_ms"))
        and _has(found, list, "pairs")
        and found["pairs"] != []
        and all(_is_pair(pair) for pair in found["pairs"])
    )


def _is_pair(found: t.Any) -> bool:
    return (
        _has(found, str, "title")
        and _has(found, int, "sent", "lost", "longest_ms")
        and _has(found, list, "gaps")
        and all(_has(gap, int, "from_ms", "to_ms", "lost") for gap in found["gaps"])
    )


def _has(found: t.Any, kind: type, *keys: str) -> bool:
    """Whether a map has values of a kind; numbers are those that a drill can have."""
    values = [found.get(key) for key in keys] if isinstance(found, dict) else [None]
    return all(isinstance(value, kind) and (kind is not int or _is_ms(value)) for value in values)


def _is_ms(value: object) -> bool:
    return not isinstance(value, bool) and value in MS
