# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text as it is put into Markdown and Mermaid. HTML and SVG are escaped by the template engine, XML by its library."""

from __future__ import annotations

import re

from ...module_utils._engine.printable import printable


def for_markdown(text: str) -> str:
    """TEXT on one line, with nothing that Markdown or HTML would interpret."""
    # An underscore inside a word is just that.
    return re.sub(r"[\\`*{}\[\]<>#|!~$&@]|(?<!\w)_|_(?!\w)", lambda found: f"&#{ord(found[0])};", printable(text))


def for_mermaid(text: str) -> str:
    """Inside quotes Mermaid reads HTML; its own escapes are entities with # instead of &."""
    return re.sub(r"[\"<>&#`\\\[\]{}|]", lambda found: f"#{ord(found[0])};", printable(text))
