# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the report."""

from __future__ import annotations

import typing as t
from pathlib import Path

from .build import HostVars, build
from .document import JUNIT, MARKDOWN, PAGE, Document, replace
from .junit import junit
from .markdown import markdown
from .mermaid import mermaid
from .page import page
from .svg import svg

GRAPHS = ("graph.svg", "graph.mmd")


def write(
    directory: Path,
    host_vars: HostVars,
    document: Document,
    previous: Document | str | None,
    drilled: list[t.Any] | str = "",
) -> None:
    report = build(host_vars, document, previous, drilled)
    replace(directory / PAGE, page(report))
    replace(directory / MARKDOWN, markdown(report))
    replace(directory / JUNIT, '<?xml version="1.0" encoding="UTF-8"?>\n' + junit(report))


def graphs(host_vars: HostVars, document: Document) -> dict[str, str]:
    """The drawing alone, by name of the file."""
    report = build(host_vars, document)
    return {GRAPHS[0]: svg(report, is_alone=True), GRAPHS[1]: mermaid(report)}
