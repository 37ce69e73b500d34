# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawing as Mermaid, which GitLab, GitHub and many wikis draw in Markdown."""

from __future__ import annotations

from collections import defaultdict

from ...module_utils._engine.printable import counted
from .escapes import for_mermaid
from .layout import FRAMED
from .model import ABSENT, FAILED, PARTLY, PASSED, Node, Report, worst
from .svg import subtitle

# Readable on white and on black.
STYLES = {
    PASSED: "fill:#d9f0e3,stroke:#1d7a4c,color:#12301f",
    FAILED: "fill:#fbd9d7,stroke:#c4222c,stroke-width:3px,color:#4a0d10",
    PARTLY: "fill:#fdeccb,stroke:#a15c00,color:#3d2600",
    ABSENT: "fill:#eee,stroke:#777,stroke-dasharray:4,color:#333",
}
LINKS = {FAILED: "-. failed .-", PARTLY: "-. some failed .-"}


def mermaid(report: Report) -> str:
    """Hypervisors that are many are drawn as one per set of fabrics, next to those on which something failed."""
    below: dict[str, list[Node]] = defaultdict(list)
    for node in report.nodes.values():
        below[node.parent].append(node)
    hypervisors = [node for node in report.nodes.values() if node.kind == "hypervisor"]
    routers = [node for node in report.nodes.values() if node.fabrics and node.kind != "hypervisor"]
    lines, classes = ["flowchart TB"], defaultdict(list)
    ids: dict[str, str] = {}

    def add(key: str, label: str, state: str, shape: str = '["{}"]') -> None:
        ids[key] = f"n{len(ids)}"
        lines.append(f"  {ids[key]}{shape.format(label)}")
        classes[state].append(ids[key])

    many = len(hypervisors) > FRAMED
    alone = [node for node in hypervisors if not many or _state(node, below) == FAILED]
    groups: dict[tuple[str, ...], list[Node]] = defaultdict(list)
    for node in hypervisors if many else ():
        if _state(node, below) != FAILED:
            groups[tuple(node.fabrics)].append(node)
    for node in routers:
        add(node.name, f"{for_mermaid(node.name)}<br>{for_mermaid(subtitle(node))}", node.state)
    for name, fabric in report.fabrics.items():
        add(f"fabric {name}", f"fabric {for_mermaid(name)}", fabric.state, '(["{}"])')
    for node in alone:
        guests = [for_mermaid(("✕ " if guest.state == FAILED else "") + guest.name) for guest in below[node.name]]
        add(
            node.name,
            "<br>".join([for_mermaid(node.name), for_mermaid(subtitle(node)), " ".join(guests)]),
            _state(node, below),
        )
    for fabrics, members in groups.items():
        add(f"group {fabrics}", counted(len(members), "hypervisor(s)"), worst(node.state for node in members))
    above = {node.name for node in routers}
    for link in report.links:
        if link.node in ids:
            lines.append(f"  {_edge(ids, link.node, link.fabric, link.node in above, link.state)}")
    for fabrics in groups:
        lines += [f"  {ids[f'fabric {fabric}']} --- {ids[f'group {fabrics}']}" for fabric in fabrics]
    for state, style in STYLES.items():
        if classes[state]:
            lines += [f"  classDef {state} {style}", f"  class {','.join(classes[state])} {state}"]
    return "\n".join(lines) + "\n"


def _state(node: Node, below: dict[str, list[Node]]) -> str:
    return FAILED if any(one.state == FAILED for one in (node, *below[node.name])) else node.state


def _edge(ids: dict[str, str], node: str, fabric: str, is_above: bool, state: str) -> str:
    ends = [ids[node], ids[f"fabric {fabric}"]]
    first, second = ends if is_above else reversed(ends)
    return f"{first} {LINKS.get(state, '---')} {second}"
