# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the program `routed-hypervisor` from the collection's engine. Private to this collection.

The modules are those that the command imports, directly or not.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..module_utils._agent.archive import INTERPRETER, Program

SOURCES = Path(__file__).resolve().parents[1] / "module_utils"
START = "_agent/main.py"
PACKAGE = "routed_hypervisor"
# -I: neither the environment nor the current directory has modules for root to load.
HEADER = "# Managed by Routed Hypervisor (role agent): changes made here are overwritten."
PREFIX = f"#!{INTERPRETER} -I\n{HEADER}\n".encode()
RUN = f"import sys\n\nfrom {PACKAGE}._agent.main import main\n\nsys.exit(main())\n"
# Parsing the sources would take a hundred times as long, for each host.
IMPORT = re.compile(r"^ *from (\.+)([\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)
NAME = re.compile(r"(?<!as )\b[A-Za-z_]\w*")


def build(sources: Path = SOURCES) -> Program:
    entries = {"__main__.py": RUN.encode(), f"{PACKAGE}/__init__.py": b""}
    entries |= {f"{PACKAGE}/{path}": text for path, text in _needed(sources).items()}
    return Program(PREFIX, entries)


def _needed(sources: Path) -> dict[str, bytes]:
    """The start, and every module that it imports relatively, with their packages."""
    found: dict[str, bytes] = {}
    left = [START]
    while left:
        path = left.pop()
        if path in found:
            continue
        found[path] = (sources / path).read_bytes()
        left += [f"{parent}/__init__.py" for parent in map(str, Path(path).parents) if parent != "."]
        for dots, module, names in IMPORT.findall(found[path].decode()):
            package = Path(path).parents[len(dots) - 1]
            left += _imported(package.joinpath(*filter(None, module.split("."))), NAME.findall(names), sources)
    return found


def _imported(base: Path, names: list[str], sources: Path) -> list[str]:
    candidates = [base.with_suffix(".py")] if base.name else []
    candidates += [base / f"{name}.py" for name in names]
    return [str(path) for path in candidates if (sources / path).is_file()]
