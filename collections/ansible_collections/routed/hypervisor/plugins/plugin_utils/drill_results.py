# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of drills' results, drills.json: the last result of each drill. Private to this collection."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ..module_utils._engine.printable import shown
from .report.document import DocumentError, replace

FORMAT = 1


def read(path: Path, fabric: str) -> list[dict[str, t.Any]]:
    """The drills of FABRIC, none if there is no file. Raises DocumentError for a file that must not be replaced."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise DocumentError(f"{path} cannot be read ({error}); remove it") from None
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        raise DocumentError(f"{path} has no format number; remove it")
    if found["format"] > FORMAT:
        raise DocumentError(f"{path} has the format {found['format']}; this version reads up to {FORMAT}, so update it")
    if found.get("fabric") != fabric or not isinstance(found.get("drills"), list):
        raise DocumentError(f"{path} has the drills of {shown(found.get('fabric'))}, not of {fabric}; remove it")
    return t.cast("list[dict[str, t.Any]]", found["drills"])


def add(path: Path, fabric: str, result: dict[str, t.Any]) -> None:
    """Replaces the former result of the same drill: the same thing broken in the same way."""
    kept = [one for one in read(path, fabric) if one["title"] != result["title"]]
    document = {"format": FORMAT, "fabric": fabric, "drills": [*kept, result]}
    replace(path, json.dumps(document, indent=1) + "\n")
