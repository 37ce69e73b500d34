# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the results of drills to what the report shows of them."""

from __future__ import annotations

import typing as t

from .model import FAILED, Drill, DrillPair, Gap


def drills(results: t.Iterable[t.Mapping[str, t.Any]]) -> list[Drill]:
    """The failed ones first."""
    return sorted(map(_drill, results), key=lambda drill: drill.state != FAILED)


def _drill(result: t.Mapping[str, t.Any]) -> Drill:
    runs = result["runs"]
    pairs = [DrillPair(pair["title"]) for pair in runs[0]["pairs"]]
    for run in runs:
        for pair, one in zip(pairs, run["pairs"], strict=True):
            pair.sent += one["sent"]
            pair.lost += one["lost"]
            pair.longest_ms = max(pair.longest_ms, one["longest_ms"])
            pair.gaps.append([Gap(gap["from_ms"], gap["to_ms"], gap["lost"]) for gap in one["gaps"]])
    return Drill(
        name=result["drill"],
        title=result["title"],
        time=result["time"],
        budget_ms=result.get("budget_ms"),
        bfd_ms=result.get("bfd_ms"),
        pairs=pairs,
        longest_ms=[max(pair["longest_ms"] for pair in run["pairs"]) for run in runs],
        restored_ms=[run.get("restored_ms") for run in runs],
        ended_ms=[run["ended_ms"] for run in runs],
    )
