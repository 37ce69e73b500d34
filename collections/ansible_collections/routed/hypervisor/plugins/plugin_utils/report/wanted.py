# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be right: the counterpart of what was seen, from an expectation. In the words of the verification."""

from __future__ import annotations

import typing as t

Expectation = t.Mapping[str, t.Any]


def wanted(expected: Expectation) -> str:
    """Empty for a kind that has no more than a title."""
    return _WANTED[expected["kind"]](expected) if expected.get("kind") in _WANTED else ""


def is_silence(expected: Expectation) -> bool:
    return expected.get("expect") == "silence"


def _bgp(expected: Expectation) -> str:
    place = f"instance {expected['instance']}" if "instance" in expected else f"VRF {expected.get('vrf') or 'none'}"
    return f"Established, neighbor {expected['neighbor']}, {place}"


def _answer(expected: Expectation) -> str:
    return f"no reply from {expected['to']}" if is_silence(expected) else f"a reply from {expected['to']}"


def _neighbor(expected: Expectation) -> str:
    if is_silence(expected):
        return f"no answer for {expected['to']}"
    return f"{expected['to']} is at {expected['mac']}" if expected.get("mac") else f"an answer for {expected['to']}"


def _trace(expected: Expectation) -> str:
    return "hops " + ", ".join(" or ".join(hop) or "any" for hop in expected["hops"])


def _route(expected: Expectation) -> str:
    hops = expected["nexthops"] or expected.get("interfaces") or []
    return ", ".join(sorted(map(str, hops)))


def _rules(expected: Expectation) -> str:
    rules = [f"{rule['priority']}: to {rule['to']} table {rule['table']}" for rule in expected["rules"]]
    return ", ".join([*rules, *(["the rule for VRFs (l3mdev)"] if expected.get("l3mdev") else [])]) or "none"


_WANTED: dict[str, t.Callable[[Expectation], str]] = {
    "bgp": _bgp,
    "bfd": lambda expected: "Up",
    "listening": lambda expected: f"a socket on port 179 in {expected['vrf'] or 'the main table'}",
    "route": _route,
    "rules": _rules,
    "route_source": lambda expected: f"source {expected['source']}",
    "ping": _answer,
    "tcp": lambda expected: (
        f"{'an' if expected['expect'] == 'reply' else 'no'} answer from {expected['to']} on port {expected['port']}"
    ),
    "neighbor": _neighbor,
    "trace": _trace,
    "lease": lambda expected: f"{expected['address']}, gateway {expected['gateway']}",
    "slaac": lambda expected: f"{expected['address']}, gateway {expected['gateway']}",
    "container": lambda expected: ", ".join([expected["mode"], expected["flag"], *expected["addresses"]]),
    "firewall": lambda expected: "complete",
    "in_step": lambda expected: "no difference",
    "rollback": lambda expected: "no change was rolled back",
    "present": lambda expected: f"a port {expected['interface']}",
    "spoof": lambda expected: f"no packet from {expected['from']} arrives at {expected['to_name']}",
}
