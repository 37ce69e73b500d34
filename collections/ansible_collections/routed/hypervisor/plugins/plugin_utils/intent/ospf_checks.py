# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks OSPF between leaves: its timers, and that leaves reach each other with or without it."""

from __future__ import annotations

from .adjacency import place, shared
from .draft import FAMILIES, MAIN, Intent, Leaf
from .mistakes import Mistakes, Path


def check(intent: Intent, written: set[Path], mistakes: Mistakes) -> None:
    """WRITTEN holds the paths present in the file; other values are defaults."""
    if intent.ospf is None:
        _without_ospf(intent, mistakes)
        return
    _with_ospf(intent, mistakes)
    _timers(intent, intent.ospf, written, mistakes)
    if "authentication" in intent.ospf:
        _authentication(intent, mistakes)


def _with_ospf(intent: Intent, mistakes: Mistakes) -> None:
    leaves = list(intent.leaves.values())
    if not leaves and not any(len(path) == 1 for path in mistakes.found):
        mistakes.add(("ospf",), "there are no leaves to run it", "remove it, or define leaves")
    for leaf in leaves[1:]:
        if leaf.asn != leaves[0].asn:
            wrong = f"{leaf.asn} is not that of {leaves[0].name} ({leaves[0].asn}), and leaves peer by iBGP"
            mistakes.add((*leaf.path, "as"), wrong, "one AS for all leaves, or no ospf")


def _timers(intent: Intent, ospf: dict, written: set[Path], mistakes: Mistakes) -> None:
    """Sessions between loopbacks must survive a dead path: OSPF has to find another one before they time out. When the
    path dies, the last BGP packet may already be one keepalive interval old."""
    hello, dead = ospf["timers"]["hello_s"], ospf["timers"]["dead_s"]
    path = ("ospf", "timers")
    if dead <= hello:
        key = "dead_s" if (*path, "dead_s") in written else "hello_s"
        wrong = f"neighbors time out after {dead} s, and hellos are sent every {hello} s"
        mistakes.add((*path, key), wrong, "a dead_s of two or more times hello_s")
        return
    patience = intent.timers["hold_s"] - intent.timers["keepalive_s"]
    has_loopbacks = any(leaf.loopback for leaf in intent.leaves.values())
    if dead >= patience and has_loopbacks and ("bgp", "timers") not in mistakes.touched:
        where = path if path in written else ("bgp", "timers")
        wrong = f"OSPF detects a dead path after {dead} s, but sessions between loopbacks may end after {patience} s"
        mistakes.add(where, wrong, "an ospf.timers.dead_s of less than bgp.timers.hold_s - keepalive_s")


def _authentication(intent: Intent, mistakes: Mistakes) -> None:
    """For OSPFv3, NX-OS supports IPsec but not the authentication trailer (RFC 7166), the one method FRR has."""
    for leaf in intent.leaves.values():
        given = [given for uplink in leaf.uplinks.values() for given in uplink.given.values()]
        if leaf.platform == "nxos" and any("ipv6" in families for families in given):
            wrong = f"{leaf.name} runs NX-OS, which cannot authenticate OSPF for IPv6 as FRR does"
            mistakes.add(("ospf", "authentication"), wrong, "remove it, or IPv6 from the leaves' networks")
            return


def _without_ospf(intent: Intent, mistakes: Mistakes) -> None:
    """Both ends of each session between leaves must be on a shared network. Only the first violation is reported."""
    leaves = [leaf for leaf in intent.leaves.values() if leaf.path not in mistakes.touched]
    for position, leaf in enumerate(leaves):
        for other in leaves[position + 1 :] if ("fabrics",) not in mistakes.touched else ():
            for vrf in intent.vrfs if leaf.asn == other.asn else ():
                for family in FAMILIES:
                    if not _meet(leaf, other, vrf, family):
                        wrong = f"missing, and {leaf.name} and {other.name} peer from different networks"
                        right = "add it; or remove the loopbacks, and list a shared fabric first in both"
                        mistakes.add(("ospf",), wrong, right)
                        return


def _meet(one: Leaf, other: Leaf, vrf: str, family: str) -> bool:
    ends = {place(one, vrf, family), place(other, vrf, family)}
    if None in ends:
        return True  # they have no session
    if vrf == MAIN and family in one.loopback and family in other.loopback:
        return False
    both = {fabric for fabric, *network in shared(one, other) if network == [vrf, family]}
    return ends <= both
