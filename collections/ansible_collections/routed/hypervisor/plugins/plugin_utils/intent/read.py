# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an intent file into its model, or reports all its mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import (
    bgp_checks,
    carrier_checks,
    container_checks,
    draft,
    guest_checks,
    leaf_checks,
    metrics_checks,
    name_checks,
    ospf_checks,
    peering_checks,
    placement,
    policy_checks,
    references,
    relay_checks,
    roles,
    runtime_checks,
    uniqueness,
)
from .build import build
from .load import Source
from .mistakes import IntentError, Mistakes, Path
from .model import Intent, complete
from .schema import check_shape, kind_of

# Optional sections that other parts of an intent refer to.
OPTIONAL = ("segments", "loopbacks", "reflectors", "container_networks")
NODES = ("hypervisors", "reflectors", "borders", "leaves")


def read(path: str) -> Intent:
    """The intent in the file PATH. Raises IntentError with one line for every mistake in it."""
    source = Source(path)
    mistakes = Mistakes()
    data = source.data(mistakes)
    if not isinstance(data, dict):
        kind = "is empty" if data is None else f"is {kind_of(data)}, not a map"
        raise IntentError(path, [f"the file {kind}; begin with plugin: routed.hypervisor.fabric"])
    nodes = {section: [*map(str, data[section])] for section in NODES if isinstance(data.get(section), dict)}
    intent = check(data, mistakes)
    if intent is None:
        raise IntentError(path, mistakes.lines(source.line_of), mistakes.count, nodes)
    return intent


def check(data: dict[str, Any], mistakes: Mistakes) -> Intent | None:
    """The model of DATA, or None if there are MISTAKES. Removes invalid parts from DATA."""
    intent = _checked(data, mistakes)
    return None if mistakes else complete(intent)


def _checked(data: dict[str, Any], mistakes: Mistakes) -> draft.Intent:
    declared = {
        section: list(map(str, data[section]))
        if isinstance(data.get(section), dict)
        else []
        if section in OPTIONAL
        else None
        for section in ("vrfs", "fabrics", *OPTIONAL)
    }
    written = {path for section in ("bgp", "ospf", "segments") for path in _paths(data.get(section), (section,))}
    check_shape(data, mistakes)
    roles.check(data, mistakes)
    for section in OPTIONAL:
        if (section,) in mistakes:
            declared[section] = None
    intent = build(data)
    references.References(intent, declared, mistakes).check()
    uniqueness.check_numbers(intent, mistakes)
    uniqueness.check_router_ids(intent, mistakes)
    name_checks.check(intent, mistakes)
    uniqueness.check_prefixes(intent, mistakes)
    placed = placement.Placement(intent, mistakes)
    placed.check()
    bgp_checks.check(intent, written, mistakes)
    leaf_checks.check(intent, mistakes, placed.addresses)
    ospf_checks.check(intent, written, mistakes)
    container_checks.check(intent, mistakes, placed.addresses)
    runtime_checks.check(intent, mistakes, placed.addresses)
    policy_checks.check(intent, declared["container_networks"], mistakes)
    peering_checks.check(intent, mistakes, placed)
    carrier_checks.check(intent, mistakes)
    guest_checks.check(intent, mistakes)
    relay_checks.check(intent, written, mistakes, placed)
    metrics_checks.check(intent, mistakes, placed)
    return intent


def _paths(value: Any, path: Path) -> Iterator[Path]:
    """The keys of a map, and of the maps in it."""
    for key, below in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from _paths(below, (*path, key))
