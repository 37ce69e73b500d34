# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results as JUnit XML, which CI systems show: a suite for each node, a case for each result.

Drills are a suite, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from xml.etree import ElementTree

from ...module_utils._engine.printable import printable
from .model import ABSENT, FAILED, NOT_RUN, Drill, Report, Result


def junit(report: Report) -> str:
    found = [*report.results, *map(_of_drill, report.drills)]
    suites = defaultdict(list)
    for result in found:
        suites[result.node].append(result)
    root = ElementTree.Element("testsuites", {"name": printable(report.fabric), **_counts(found)})
    for node, results in suites.items():
        suite = ElementTree.SubElement(
            root, "testsuite", {"name": printable(node), "timestamp": printable(report.time), **_counts(results)}
        )
        for result in results:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                {
                    "classname": printable(f"{report.fabric}.{node}.{result.kind}"),
                    "name": printable(result.title),
                    "time": f"{result.seconds:.3f}",
                },
            )
            if result.state == FAILED:
                # XML has no control characters, not even escaped.
                seen, right = printable(result.seen), printable(result.wanted)
                failure = ElementTree.SubElement(case, "failure", {"message": seen, "type": printable(result.kind)})
                failure.text = f"seen: {seen}" + (f"\nright: {right}" if right else "")
            elif result.state in (NOT_RUN, ABSENT):
                ElementTree.SubElement(case, "skipped", {"message": printable(result.seen)})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _of_drill(drill: Drill) -> Result:
    """Fails if it exceeds its budget."""
    seconds = sum(drill.ended_ms) / 1000
    return Result("drills", drill.name, drill.title, drill.state, drill.seen, seconds, drill.wanted)


def _counts(results: list[Result]) -> dict[str, str]:
    states = Counter(result.state for result in results)
    seconds = max((result.seconds for result in results), default=0)
    return {
        "tests": str(len(results)),
        "failures": str(states[FAILED]),
        "errors": "0",
        "skipped": str(states[NOT_RUN] + states[ABSENT]),
        "time": f"{seconds:.3f}",
    }
