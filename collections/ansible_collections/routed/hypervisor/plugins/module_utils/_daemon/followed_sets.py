# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of a table that the agent fills as guests come and go. Private to this collection.

Their elements are no difference between a table and its text, and loading the text keeps them.
"""

from __future__ import annotations

import json
import re
import typing as t

PREFIX = "followed_"
Run = t.Callable[[list[str]], tuple[int, str, str]]
Elements = dict[str, set[tuple[str, ...]]]
# As nft lists them: `elements = { … }` may span lines, and contains no other braces.
_SET = re.compile(rf"^(\s*set {PREFIX}\w+ {{.*?)\n\s*elements = {{[^}}]*}}", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(rf"^\s*set {PREFIX}\w+ {{.*?^\s*}}$", re.MULTILINE | re.DOTALL)


def without_elements(listing: str) -> str:
    """A listing of a table without the elements of these sets."""
    return _BLOCK.sub(lambda block: _SET.sub(r"\1", block.group()), listing)


def elements(table: str, run: Run) -> Elements:
    """The elements of each such set in the kernel; empty without the table."""
    code, output, _errors = run(["nft", "--json", "list", "table", "inet", table])
    if code:
        return {}
    sets = (entry["set"] for entry in json.loads(output)["nftables"] if "set" in entry)
    return {
        entry["name"]: {_words(element) for element in entry.get("elem", ())}
        for entry in sets
        if entry["name"].startswith(PREFIX)
    }


def _words(element: t.Any) -> tuple[str, ...]:
    if isinstance(element, dict):
        return tuple(map(str, element["concat"]))
    return (str(element),)


def kept(table: str, found: Elements, text: str) -> str:
    """Commands that add these elements again, as far as a text has the sets."""
    here = {name: entries for name, entries in found.items() if entries and f"set {name} " in text}
    return "".join(command("add", table, name, here[name]) for name in sorted(here))


def command(verb: str, table: str, name: str, entries: t.Iterable[tuple[str, ...]]) -> str:
    """Adds or deletes elements of a set, of which the first words are names of interfaces."""
    names = 1 if "sources" in name else 2
    listed = (" . ".join([f'"{word}"' for word in one[:names]] + list(one[names:])) for one in sorted(entries))
    return f"{verb} element inet {table} {name} {{ {', '.join(listed)} }}\n"
