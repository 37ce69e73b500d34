# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One table of nftables, brought to what a text says. Private to this collection.

What the text means is found out by loading it in a network namespace of its own, and listing what the kernel has there:
this is compared with what it has here. So nothing of nft's language has to be understood, any difference is noticed,
and the text has been through nft and the kernel before anything changes.
"""

from __future__ import annotations

import dataclasses
import typing as t

Run = t.Callable[[list[str]], tuple[int, str, str]]  # argv -> exit code, output, errors

TABLE = "routed_hypervisor"  # what the table of a hypervisor is called
MARK = "Managed by Routed Hypervisor"
ALONE = ["unshare", "--net", "--"]
# All that a table of ours cannot do without: the family, and a base chain in it.
PROBE = "add table inet probe; add chain inet probe input { type filter hook input priority 0; }"


class NftablesError(Exception):
    """One message for the user."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of family inet."""

    name: str
    run: Run

    def _listing(self, prefix: list[str]) -> list[str]:
        # Stateless: counters count, which is no difference.
        return [*prefix, "nft", "--stateless", "list", "table", "inet", self.name]

    def here(self) -> str | None:
        """What the kernel has, as nft lists it; None if there is no such table."""
        code, output, errors = self.run(self._listing([]))
        if code == 0:
            return output
        if self.name in _tables(self.run(["nft", "list", "tables", "inet"])[1]):
            raise NftablesError(f"the table inet {self.name} cannot be listed: {errors.strip()}")
        return None

    def meaning(self, path: str) -> str:
        """What the kernel would have if the text in the file were loaded, as nft lists it."""
        # Nothing else is in that namespace, so the list of all has this table alone, as it would be listed by its name.
        script = 'nft --file "$0" && nft --stateless list ruleset'
        code, output, errors = self.run([*ALONE, "sh", "-c", script, path])
        if code:
            raise NftablesError(f"nft refuses the text, nothing was changed:\n{_said(errors, path)}")
        found = _tables(output, family=None)
        others = [name for name in found if name != f"inet {self.name}"]
        if others:
            raise NftablesError(f"the text has more than the table inet {self.name}: {', '.join(others)}")
        if not found:
            raise NftablesError(f"the text has no table inet {self.name}, nothing was changed")
        return output

    def check(self, path: str) -> None:
        """Whether the kernel would take the text here: beside other tables, and all or nothing."""
        code, _output, errors = self.run(["nft", "--check", "--file", path])
        if code:
            raise NftablesError(f"nft refuses the text, nothing was changed:\n{_said(errors, path)}")

    def load(self, path: str, wanted: str) -> None:
        code, _output, errors = self.run(["nft", "--file", path])
        if code:
            raise NftablesError(f"nft did not load the text, nothing was changed:\n{_said(errors, path)}")
        if self.here() != wanted:
            raise NftablesError(
                f"the table inet {self.name} was loaded, but is not as it should be: who else changes it?"
            )

    def delete(self) -> None:
        code, _output, errors = self.run(["nft", "delete", "table", "inet", self.name])
        if code:
            raise NftablesError(f"the table inet {self.name} was not deleted: {errors.strip()}")


def _said(errors: str, path: str) -> str:
    """nft's words, with places in the text instead of in a file that is gone by then."""
    return errors.strip().replace(path, "the text")


def _tables(output: str, family: str | None = "inet") -> list[str]:
    """The names in `nft list tables` or `nft list ruleset`, or families and names."""
    rows = [line.split()[1:3] for line in output.splitlines() if line.startswith("table ")]
    return [" ".join(row) if family is None else row[1] for row in rows if family in (None, row[0])]


def lacking(run: Run) -> str | None:
    """Why this kernel cannot have tables of family inet, or None. It is tried where it does no harm."""
    code, _output, errors = run([*ALONE, "nft", PROBE])
    if code == 0:
        return None
    first = errors.strip().splitlines()[:1] or [f"nft ended with {code}"]
    return f"this kernel has no nftables of family inet ({first[0]})"
