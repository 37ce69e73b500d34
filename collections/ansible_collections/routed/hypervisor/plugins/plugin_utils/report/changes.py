# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed since an earlier report."""

from __future__ import annotations

import typing as t
from collections import Counter

from .document import Document
from .model import FAILED, PASSED, Changes, Result


def changes(results: t.Sequence[Result], previous: Document | None) -> Changes:
    """Compares nodes that both reports have: a run may be limited to some of them."""
    if previous is None:
        return Changes(refused="there is no earlier report")
    found = Changes(since=previous["time"])
    before = {
        key: state for node, listed in previous["nodes"].items() for key, state in _numbered(_states(node, listed))
    }
    unseen = set(before)
    nodes = {result.recorded for result in results}
    keys = _numbered(((one.recorded, one.kind, one.title), one.state) for one in results)
    for result, (key, _state) in zip(results, keys, strict=True):
        former = before.get(key)
        unseen.discard(key)
        if former is None:
            found.added += 1
        elif former == PASSED and result.state == FAILED:
            found.failing.append(result)
        elif former == FAILED and result.state == PASSED:
            found.fixed.append(result)
        elif former == result.state == FAILED:
            found.still.append(result)
    found.gone = sum(key[0][0] in nodes for key in unseen)
    return found


def _states(node: str, listed: t.Any) -> t.Iterator[tuple[tuple[str, str, str], str]]:
    for result in listed if isinstance(listed, list) else ():
        yield (node, result["kind"], result["title"]), result["state"]


def _numbered(found: t.Iterable[tuple[t.Any, str]]) -> t.Iterator[tuple[t.Any, str]]:
    """Two results of a node may have the same title."""
    seen: Counter[t.Any] = Counter()
    for key, state in found:
        seen[key] += 1
        yield (key, seen[key]), state
