"""Intents, resolved as by the inventory plugin, and results of verifications and drills, for tests of the report."""

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


def drilled(title: str, gaps: list[list[tuple[int, int, int]]], name: str = "cut_uplink", **about) -> dict:
    """The results of a drill: the gaps of vm1 in each run, in IPv4; other pairs lose nothing."""
    runs = []
    for each in gaps:
        pairs = []
        for number, (family, to) in enumerate((family, to) for family in ("IPv4", "IPv6") for to in ("vm3", "vm4")):
            found = [{"from_ms": begin, "to_ms": end, "lost": lost} for begin, end, lost in each if number == 0]
            pair = {"title": f"vm1 to {to} ({family})", "sent": 400, "lost": sum(gap["lost"] for gap in found)}
            longest = max((gap["to_ms"] - gap["from_ms"] for gap in found), default=0)
            pairs.append({**pair, "longest_ms": longest, "gaps": found})
        runs.append({"pairs": pairs, "restored_ms": 3500, "ended_ms": 6000})
    return {"drill": name, "title": title, "time": TIME, "budget_ms": None, "bfd_ms": 1500, "runs": runs, **about}


def drills() -> list[dict]:
    """One that exceeds its budget in two of five runs, one within its budget, and one without any."""
    runs = [[(-3, 1377 + 320 * number, 68 + 16 * number), (3600, 3660, 2)] for number in range(5)]
    still = [{**run, "restored_ms": None} for run in drilled("", [[]])["runs"]]
    return [
        drilled("bird of hv1 reads its configuration again", [], "reload", runs=still, budget_ms=0),
        drilled("fabric A is lost", [[(10, 69, 1)]], "lose_fabric"),
        drilled("the uplink of hv1 to fabric A is cut", runs, budget_ms=2000),
    ]
