# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates beside this file. Whatever they print is escaped, except in Markdown, which has a filter for it."""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

import jinja2
from markupsafe import Markup

from ..templates import Compiled

HERE = Path(__file__).parent


@functools.cache
def source(name: str) -> Markup:
    """A style sheet or script of ours, as it is."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


@functools.cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=jinja2.select_autoescape(["html.j2", "svg.j2"]),
        undefined=jinja2.StrictUndefined,
        bytecode_cache=Compiled().byte_code,  # compiling takes longer than all of the rest of a small report
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, t.Callable[..., t.Any]] = {"css": lambda state: state.replace(" ", "-")}
    made.filters.update(filters)
    return made
