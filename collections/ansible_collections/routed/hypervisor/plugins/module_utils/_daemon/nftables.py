# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings one nftables table in line with a text. Private to this collection.

The text is loaded in a network namespace of its own, and the listing there is compared with the listing here. So this
code need not parse the nft language, detects any difference, and has had nft and the kernel accept the text before
anything changes.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .followed_sets import elements, kept, without_elements

Run = t.Callable[[list[str]], tuple[int, str, str]]  # argv -> exit code, output, errors

TABLE = "routed_hypervisor"  # the name of the table on a hypervisor
MARK = "Managed by Routed Hypervisor"
ALONE = ["unshare", "--net", "--"]
# The minimum that our tables need: the family, and a base chain in it.
PROBE = "add table inet probe; add chain inet probe input { type filter hook input priority 0; }"


class NftablesError(Exception):
    """One message for the user."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of family inet."""

    name: str
    run: Run

    def _listing(self, prefix: list[str]) -> list[str]:
        # Stateless: changing counters are not a difference.
        return [*prefix, "nft", "--stateless", "list", "table", "inet", self.name]

    def here(self) -> str | None:
        """The table in the kernel, as nft lists it; None if there is none."""
        code, output, errors = self.run(self._listing([]))
        if code == 0:
            return without_elements(output)
        if self.name in _tables(self.run(["nft", "list", "tables", "inet"])[1]):
            raise NftablesError(f"the table inet {self.name} cannot be listed: {errors.strip()}")
        return None

    def meaning(self, path: str) -> str:
        """The table that the kernel would have if the file were loaded, as nft lists it."""
        # The namespace has nothing else, so the whole ruleset is this table, in the same form as when listed by name.
        script = 'nft --file "$0" && nft --stateless list ruleset'
        code, output, errors = self.run([*ALONE, "sh", "-c", script, path])
        if code:
            raise NftablesError(f"nft refuses the text, nothing was changed:\n{_errors_of(errors, path)}")
        found = _tables(output, family=None)
        others = [name for name in found if name != f"inet {self.name}"]
        if others:
            raise NftablesError(f"the text has other tables than inet {self.name}: {', '.join(others)}")
        if not found:
            raise NftablesError(f"the text has no table inet {self.name}, nothing was changed")
        return output

    def check(self, path: str) -> None:
        """Raises NftablesError unless the kernel would accept the text here, alongside the existing tables."""
        code, _output, errors = self.run(["nft", "--check", "--file", path])
        if code:
            raise NftablesError(f"nft refuses the text, nothing was changed:\n{_errors_of(errors, path)}")

    def load(self, path: str, wanted: str) -> None:
        """Also adds what is in the sets of guests' ports to the file: one transaction, so that no packet is lost."""
        with open(path, "r+", encoding="utf-8") as file:
            text = file.read()
            file.write("\n" * (not text.endswith("\n")) + kept(self.name, elements(self.name, self.run), text))
        code, _output, errors = self.run(["nft", "--file", path])
        if code:
            raise NftablesError(f"nft did not load the text, nothing was changed:\n{_errors_of(errors, path)}")
        if self.here() != wanted:
            raise NftablesError(
                f"the table inet {self.name} was loaded but differs from the text: does another program change it?"
            )

    def delete(self) -> None:
        code, _output, errors = self.run(["nft", "delete", "table", "inet", self.name])
        if code:
            raise NftablesError(f"the table inet {self.name} was not deleted: {errors.strip()}")


def _errors_of(errors: str, path: str) -> str:
    """The errors of nft, with `the text` for the name of the temporary file."""
    return errors.strip().replace(path, "the text")


def _tables(output: str, family: str | None = "inet") -> list[str]:
    """The names in `nft list tables` or `nft list ruleset`, or families and names."""
    rows = [line.split()[1:3] for line in output.splitlines() if line.startswith("table ")]
    return [" ".join(row) if family is None else row[1] for row in rows if family in (None, row[0])]


def lacking(run: Run) -> str | None:
    """Why this kernel does not support tables of family inet, or None. Tried in a namespace of its own."""
    code, _output, errors = run([*ALONE, "nft", PROBE])
    if code == 0:
        return None
    first = errors.strip().splitlines()[:1] or [f"nft ended with {code}"]
    return f"this kernel has no nftables of family inet ({first[0]})"
