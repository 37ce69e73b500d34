# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies the table of the firewall in the listing of nft. Private to this collection.

Tests with packets prove that the rules of the template work. This verifies that the table is in the kernel, that it has
the intended ports, addresses and VRFs, and that no part of it is unused, as after a rule was deleted.
"""

from __future__ import annotations

import json

from .._daemon.nftables import lacking
from .command import run

NOT_RUN = None  # in place of passed: neither true nor false


def verify_firewall(expected):
    """Returns (passed, what was seen) and, of a table that exists, its counters of dropped packets.

    Passed is NOT_RUN if this kernel does not support the table and need not.
    """
    code, output, errors = run(["nft", "-j", "list", "table", "inet", expected["table"]])
    if code == 0:
        listing = json.loads(output)["nftables"]
        mistakes = compare(expected, listing)
        return not mistakes, "; ".join(mistakes) or "complete", {"counters": dropped(listing)}
    reason = None if expected["required"] or code == 127 else lacking(run)
    if reason is not None:
        return NOT_RUN, reason
    return False, errors.strip().partition("\n")[0] or f"nft ended with {code}"


def compare(expected, listing):
    """The mistakes in `nft -j list table`, one message each."""
    found = {kind: [item[kind] for item in listing if kind in item] for kind in ("chain", "set", "counter", "rule")}
    hooks = {chain["hook"]: chain for chain in found["chain"] if "hook" in chain}
    mistakes = [f"no chain at the hook {hook}" for hook in expected["hooks"] if hook not in hooks]
    mistakes += [
        f"the chain {chain['name']} has the policy {chain['policy']}, not accept"
        for chain in hooks.values()
        if chain.get("policy", "accept") != "accept"
    ]
    sets = {item["name"]: sorted(map(element, item.get("elem", []))) for item in found["set"]}
    for name, wanted in expected["sets"].items():
        mistakes += differences(name, sets.get(name), sorted(wanted))
    used = references(rule["expr"] for rule in found["rule"])
    for kind in ("chain", "set", "counter"):
        names = {item["name"] for item in found[kind] if "hook" not in item}
        mistakes += [f"no rule uses the {kind} {name}" for name in sorted(names - used)]
    mistakes += [
        f"no counter {name}" for name in expected["counters"] if name not in {c["name"] for c in found["counter"]}
    ]
    return mistakes


def dropped(listing):
    """Packets by counter."""
    return {item["counter"]["name"]: item["counter"]["packets"] for item in listing if "counter" in item}


def element(item):
    """An element in the form of the template: "vm1 203.0.113.1/32", "vm1", "fe80::1"."""
    if isinstance(item, dict) and "prefix" in item:
        return f"{item['prefix']['addr']}/{item['prefix']['len']}"
    if isinstance(item, dict) and "concat" in item:
        return " ".join(element(part) for part in item["concat"])
    return str(item)


def differences(name, have, want):
    if have is None:
        return [f"no set {name}"]
    missing, extra = [item for item in want if item not in have], [item for item in have if item not in want]
    return [f"the set {name} lacks {', '.join(missing)}"] * bool(missing) + [
        f"the set {name} has {', '.join(extra)}"
    ] * bool(extra)


def references(expressions):
    """Names of chains, sets and counters that rules refer to."""
    found, left = set(), list(expressions)
    while left:
        part = left.pop()
        if isinstance(part, dict):
            for key, value in part.items():
                if key in ("goto", "jump"):
                    found.add(value["target"])
                elif key == "counter" and isinstance(value, str):
                    found.add(value)
                left.append(value)
        elif isinstance(part, list):
            left += part
        elif isinstance(part, str) and part.startswith("@"):
            found.add(part[1:])
    return found
