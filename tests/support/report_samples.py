"""Intents, resolved as by the inventory plugin, and results of their verification, for tests of the report."""

from __future__ import annotations

import copy
from collections.abc import Callable

from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.document import FORMAT
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.wanted import wanted

TIME = "2026-01-02T03:04:05+00:00"
Fault = Callable[[str, dict], str]  # what a node sees instead of what is expected; empty: what is expected


def host_vars(path) -> dict[str, dict]:
    return inventory(read(str(path)), owner="").host_vars


def of_lab(name: str) -> dict[str, dict]:
    return host_vars(PROJECT / "inventories" / name / "fabric.yml")


def verified(fabric: str, variables: dict[str, dict], fault: Fault = lambda node, expected: "", time=TIME) -> dict:
    """A document of results in which everything is as expected, except what FAULT sees."""
    nodes: dict[str, list] = {name: [] for name, given in variables.items() if "verify" in given}
    spoofs: list[dict] = []
    for name, listed in nodes.items():
        for expected in variables[name]["verify"]:
            seen = fault(name, expected)
            result = {key: expected[key] for key in ("title", "kind")}
            result |= {"state": "failed" if seen else "passed", "seen": seen or wanted(expected), "seconds": 0.25}
            if expected["kind"] == "firewall":
                result["counters"] = dict.fromkeys(expected["counters"], 3)
            if expected["kind"] == "present":
                result["guests"] = expected["guests"]
            (spoofs if expected["kind"] == "spoof" else listed).append(result)
    if "lab_host" in variables:
        nodes["lab_host"] = spoofs
    return {"format": FORMAT, "fabric": fabric, "time": time, "nodes": copy.deepcopy(nodes)}


def three_faults(node: str, expected: dict) -> str:
    """hv2 has lost its uplink to B, hv3 a route, and vm1 reaches what it must not."""
    kind = expected["kind"]
    if kind in ("bgp", "bfd") and "hv2" in (node, str(expected.get("session")).partition("_")[0]):
        over_b = str(expected.get("interface", "")).startswith("fabric-B") or "rr2" in (
            node,
            str(expected.get("session")).partition("_")[0],
        )
        if over_b:
            return "Down" if kind == "bfd" else "Active, neighbor unreachable, last error Neighbor lost"
    if (node, kind) == ("rr2", "bfd") and expected["neighbor"].endswith((".202", "::2")):
        return "Down"
    if (node, kind) == ("hv3", "route") and expected["prefix"] == "203.0.113.1/32":
        return "no such route"
    if (node, kind) == ("vm1", "ping") and expected.get("expect") == "silence" and expected["to_name"] == "rr1":
        return f"a reply from {expected['to']}"
    return ""
