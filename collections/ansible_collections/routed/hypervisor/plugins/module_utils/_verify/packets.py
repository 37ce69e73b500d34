# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packets do: echo requests, hops, ARP and neighbour discovery. Private to this collection."""

from __future__ import annotations

import re

from . import probes
from .command import run
from .neighbor_solicitation import solicit

MAC = re.compile(r"\b([0-9a-f]{2}(?::[0-9a-f]{2}){5})\b", re.IGNORECASE)
ANSWER_S = 1.0
# A proxy may wait before it answers: Linux up to 0.8 s (proxy_delay), others up to 1 s (RFC 4861, 7.2.8).
NEIGHBOR_S = 2


def check_pings(checks):
    """One echo request each; the kernel's source address unless one is given."""
    return [verdict(check, *answer) for check, answer in zip(checks, probes.echo(checks, ANSWER_S), strict=True)]


def verdict(check, answered, seen):
    wanted = check.get("expect", "reply") == "reply"
    return answered == wanted, seen


def check_traces(checks):
    """Every hop must be one of those that the intent allows at this distance, and the last one the destination."""
    try:
        found = probes.trace([(check["to"], len(check["hops"])) for check in checks], ANSWER_S)
    except OSError as error:
        return [(False, str(error)) for _check in checks]
    return [compare_hops(check["hops"], seen) for check, seen in zip(checks, found, strict=True)]


def compare_hops(allowed, seen):
    passed = len(seen) == len(allowed) and all(hop in hops for hop, hops in zip(seen, allowed, strict=True))
    return passed, " > ".join(seen) or "no hop answered"


def check_neighbor(check):
    """Who answers ARP or a neighbour solicitation for an address, as seen on the wire; without `mac`, anyone may."""
    ask = _ask_arp if check["family"] == "ipv4" else solicit
    try:
        macs = ask(check["interface"], check["to"], NEIGHBOR_S)
    except OSError as error:
        return False, str(error)
    if check.get("expect", "reply") == "silence":
        passed = not macs
    else:
        passed = len(macs) == 1 and macs[0] == (check["mac"] or macs[0]).lower()
    return passed, ", ".join(macs) or "no answer"


def _ask_arp(interface, target, seconds):
    _code, output, _errors = run(["arping", "-c", "1", "-w", str(seconds), "-I", interface, target])
    answers = (line for line in output.splitlines() if not line.startswith("ARPING"))
    return sorted({mac.lower() for line in answers for mac in MAC.findall(line)})
