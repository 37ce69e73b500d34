# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds addresses that containers of several hosts have: each host only sees its own."""

from __future__ import annotations

import typing as t

Result = dict[str, t.Any]


def compare(results: dict[str, t.Any]) -> None:
    """Fails the results that have such an address, each with all owners."""
    found: dict[tuple[str, str], list[tuple[str, str, Result]]] = {}
    for node, given in results.items():
        for result in given if isinstance(given, list) else ():
            containers = result.pop("containers", {"vrf": "", "addresses": {}})
            for address, owner in containers["addresses"].items():
                found.setdefault((containers["vrf"], address), []).append((node, owner, result))
    wrong: dict[int, tuple[Result, list[str]]] = {}
    for (_vrf, address), among in found.items():
        if len({node for node, _owner, _result in among}) > 1:
            owners = ", ".join(f"{node}: {owner}" for node, owner, _result in among)
            for _node, _owner, result in among:
                wrong.setdefault(id(result), (result, []))[1].append(f"{address} ({owners})")
    for result, addresses in wrong.values():
        problems = [result["seen"]] if result["state"] == "failed" else []
        problems.append(f"addresses of containers of several hosts: {', '.join(addresses)}")
        result.update(state="failed", seen="; ".join(problems))
