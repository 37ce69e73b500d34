# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML file that needs neither a network nor any other file."""

from __future__ import annotations

import base64
import json
import typing as t
import zlib
from collections import Counter

from .model import LAYERS, PASSED, Report, Result
from .plot import plot
from .svg import fitted, summary, svg
from .templates import environment, source

SHOWN = 200  # failures in the page itself; the table of all results has the others
FIRST = 8  # of them before the others are folded away
LISTED = 30  # of each kind of change
SCRIPTS = ("page.js", "graph.js", "tables.js")


Texts = t.Mapping[str, t.Mapping[str, str]]


def page(report: Report, texts: str = "") -> str:
    """TEXTS are packed."""
    failures = report.failures
    layers = Counter(result.kind for result in failures)
    found = environment()
    found.filters["fitted"] = fitted
    return found.get_template("page.html.j2").render(
        report=report,
        summary=summary(report),
        counts=report.counts,
        kinds=Counter(result.kind for result in report.results if result.state == PASSED),
        layers=LAYERS,
        silent=sum(result.is_silence for result in report.results if result.state == PASSED),
        failures=failures[:SHOWN],
        first=FIRST,
        failed_kinds={LAYERS.get(kind, kind): count for kind, count in layers.items()},
        more=len(failures) - SHOWN,
        listed=LISTED,
        plots=[(drill, plot(drill)) for drill in report.drills],
        drawing=svg(report),
        styles=[source("topology.css"), source("page.css")],
        scripts=[source(name) for name in SCRIPTS],
        data=packed(data(report)),
        texts=texts,
    )


def packed(value: t.Any) -> str:
    """Compressed, because results repeat the same words; the browser unpacks it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode("utf-8", "backslashreplace"), 6)).decode("ascii")


def packed_texts(texts: Texts) -> str:
    """By path first: the same file of two nodes differs little, and what compresses looks back 32 kB."""
    paths: dict[str, dict[str, str]] = {}
    for node, files in texts.items():
        for path, text in files.items():
            paths.setdefault(path, {})[node] = text
    return packed(paths) if paths else ""


def data(report: Report) -> dict[str, t.Any]:
    """What the scripts show: names of nodes and kinds as numbers, because each is in thousands of results."""
    kinds = list(dict.fromkeys(result.kind for result in report.results))
    number = {kind: position for position, kind in enumerate(kinds)}
    return {
        "fabric": report.fabric,
        "layers": LAYERS,
        "kinds": kinds,
        "nodes": [
            {
                "name": node.name,
                "kind": node.kind,
                "parent": node.parent,
                "vrf": node.vrf,
                "state": node.state,
                "facts": node.facts,
                "addresses": [(one.place, one.vrf, one.family, one.text) for one in node.addresses],
            }
            for node in report.nodes.values()
        ],
        "links": [(link.node, link.fabric, link.interface, link.state) for link in report.links],
        "sessions": [
            {**vars(session), "state": session.state, "families": ", ".join(session.families)}
            for session in report.sessions
        ],
        "results": [_row(result, number[result.kind]) for result in report.results],
        "counters": {result.node: result.counters for result in report.results if result.counters},
    }


# The columns of a result, in the order in which page.js names them.
def _row(result: Result, kind: int) -> tuple[t.Any, ...]:
    return (
        result.node,
        kind,
        result.state,
        result.title,
        result.seen,
        "" if result.state == PASSED else result.wanted,
        result.seconds,
        result.to,
        "" if result.source == result.node else result.source,
        result.vrf,
        result.to_vrf,
        result.family,
        int(result.is_silence),
        result.prefix,
        result.table,
    )
