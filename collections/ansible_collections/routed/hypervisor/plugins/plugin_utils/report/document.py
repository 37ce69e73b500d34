# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of results, verify.json: written by the module report, read to compare with it or to report it again."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ...module_utils._engine.printable import shown

PAGE, MARKDOWN, JUNIT = "report.html", "report.md", "report.xml"  # beside it
FORMAT = 1  # increased whenever an earlier version of this file would misread a newer document
STATES = ("failed", "absent", "not run", "passed")  # the worst first

Results = dict[str, t.Any]  # by node: a list of results, or an empty map for a node that failed before
Document = dict[str, t.Any]


class DocumentError(ValueError):
    """Why a file of results cannot be used, in one sentence."""


def read(path: Path, fabric: str) -> Document:
    """The results of FABRIC in a file. Raises DocumentError if they are incomplete, another fabric's, or too new."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DocumentError(f"{path} does not exist; verify the network first") from None
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(
            f"{path} is not complete JSON ({error}); verify the network again, which replaces it"
        ) from None
    if reason := _flaw(found, fabric):
        raise DocumentError(f"{path} {reason}")
    return t.cast("Document", found)


def _flaw(found: t.Any, fabric: str) -> str:
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        return "has no format number; verify the network again, which replaces it"
    if found["format"] > FORMAT:
        return f"has the format {shown(found['format'])}; this version reads up to {FORMAT}, so update it"
    if found.get("fabric") != fabric:
        return f"has the results of {shown(found.get('fabric'))}, not of {fabric}; give a file of {fabric}"
    nodes = found.get("nodes")
    if not isinstance(nodes, dict) or not isinstance(found.get("time"), str):
        return "lacks its time or its nodes; verify the network again, which replaces it"
    for node, results in nodes.items():
        if results == {}:
            continue
        for number, result in enumerate(results if isinstance(results, list) else [None]):
            if not _is_result(result):
                place = f"nodes.{shown(node)[1:-1]}[{number}]"
                return f"has no result at {place}; verify the network again, which replaces it"
    return ""


def _is_result(result: t.Any) -> bool:
    return (
        isinstance(result, dict)
        and isinstance(result.get("title"), str)
        and isinstance(result.get("kind"), str)
        and result.get("state") in STATES
        and isinstance(result.get("seen", ""), str)
        and isinstance(result.get("seconds", 0), (int, float))
    )


def text(document: Document) -> str:
    """The document as JSON with a line for each result: JSON indented by Python takes ten times as long."""
    head = json.dumps({key: value for key, value in document.items() if key != "nodes"}, indent=2)
    nodes = ",\n".join(f"    {json.dumps(node)}: {_listed(results)}" for node, results in document["nodes"].items())
    return f'{head[:-2]},\n  "nodes": {{\n{nodes}\n  }}\n}}\n'


def _listed(results: t.Any) -> str:
    if not results:
        return json.dumps(results)
    return "[\n" + ",\n".join(f"      {json.dumps(result)}" for result in results) + "\n    ]"


def replace(path: Path, content: str) -> None:
    """Writes a file in one step: a reader finds the former one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(content, encoding="utf-8", errors="backslashreplace")
    draft.replace(path)
