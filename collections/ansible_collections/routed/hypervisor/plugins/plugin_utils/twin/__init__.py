# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twin of a production inventory: the same intent as a lab, with a list of what differs.

Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

from ..intent.mistakes import IntentError, Mistakes
from .convert import twin
from .differences import Differences
from .names import CHOSEN
from .read import Refused, production
from .write import is_for_a_twin, variables, write

__all__ = ["IntentError", "Made", "Refused", "make"]


@dataclass
class Made:
    directory: Path
    differences: Differences


def make(inventory: str, directory: str = "") -> Made:
    """Writes the twin of INVENTORY to DIRECTORY, by default artifacts/NAME/twin. Raises Refused or IntentError."""
    found = production(inventory)
    mistakes = Mistakes()
    chosen: t.Any = next((given[CHOSEN] for given in found.variables.values() if CHOSEN in given), {})
    made = twin(found.data, found.intent, chosen, mistakes)
    if mistakes:
        raise IntentError(found.source.path, mistakes.lines(found.source.line_of))
    host_vars = variables(found.variables, made.names, made.differences)
    for path in found.sealed:
        made.differences.add("encrypted files were not opened, and the twin has passwords of its own", path)
    place = Path(directory or Path("artifacts", found.intent.name, "twin"))
    if not is_for_a_twin(place):
        raise Refused(f"{place} is not empty, and no twin: name a directory for the twin alone; nothing was written")
    write(place, made, host_vars, found.intent, inventory)
    return Made(place, made.differences)
