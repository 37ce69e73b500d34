# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the report that is added when a run ends: how long its stages took.

It imports no template engine, because every run loads this module.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

from markupsafe import escape

from .document import MARKDOWN, PAGE, replace
from .escapes import for_markdown

PLACE = "<!-- stages -->"  # in the page


def add_stages(directory: Path, playbook: str, stages: t.Sequence[tuple[str, float]]) -> None:
    """Adds the stages of a run to the report that it has written. Nothing happens without such a report."""
    try:
        found = (directory / PAGE).read_text(encoding="utf-8")
        text = (directory / MARKDOWN).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if PLACE not in found:
        return
    total = sum(seconds for _name, seconds in stages)
    rows = "".join(f"<tr><td>{seconds:.1f} s</td><td>{escape(name)}</td></tr>\n" for name, seconds in stages)
    heading = f"<p>{escape(playbook)}: {total:.1f} s in all.</p>"
    table = f'<table class="stages"><tbody>\n{rows}</tbody></table>'
    replace(directory / PAGE, found.replace(PLACE, f"{heading}\n{table}", 1))
    lines = "".join(f"| {for_markdown(name)} | {seconds:.1f} s |\n" for name, seconds in stages)
    head = f"\n## Stages of {for_markdown(playbook)}, {total:.1f} s\n\n| stage | time |\n| --- | ---: |\n"
    replace(directory / MARKDOWN, text + head + lines)
