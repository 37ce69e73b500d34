# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the report."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from .build import HostVars, build
from .document import JUNIT, MARKDOWN, PAGE, Document, replace
from .junit import junit
from .markdown import markdown
from .mermaid import mermaid
from .page import Texts, packed_texts, page
from .svg import svg

TEXTS = re.compile(r'<script type="text/plain" id="texts">([A-Za-z0-9+/=]*)</script>')
GRAPHS = ("graph.svg", "graph.mmd")


def write(
    directory: Path,
    host_vars: HostVars,
    document: Document,
    previous: Document | str | None,
    drilled: list[t.Any] | str = "",
    texts: Texts | None = None,
) -> None:
    """TEXTS are configuration files by node and path; without them, those of the page that is replaced are kept."""
    report = build(host_vars, document, previous, drilled)
    kept = _kept(directory / PAGE) if texts is None else packed_texts(texts)
    replace(directory / PAGE, page(report, kept))
    replace(directory / MARKDOWN, markdown(report))
    replace(directory / JUNIT, '<?xml version="1.0" encoding="UTF-8"?>\n' + junit(report))


def _kept(path: Path) -> str:
    """The packed texts of a page; none if there is no page, or one of an earlier version."""
    try:
        found = TEXTS.search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1] if found else ""


def graphs(host_vars: HostVars, document: Document) -> dict[str, str]:
    """The drawing alone, by name of the file."""
    report = build(host_vars, document)
    return {GRAPHS[0]: svg(report, is_alone=True), GRAPHS[1]: mermaid(report)}
