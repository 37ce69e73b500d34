# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packets do: ping, traceroute, ARP and neighbour discovery. This module_util is private to this collection."""

from __future__ import annotations

import re

from ansible_collections.routed.hypervisor.plugins.module_utils._check_command import run
from ansible_collections.routed.hypervisor.plugins.module_utils._neighbor_solicitation import solicit

MAC = re.compile(r"\b([0-9a-f]{2}(?::[0-9a-f]{2}){5})\b", re.IGNORECASE)
HOP = re.compile(r"^\s*(\d+)\s+(\S+)")


def inside(check):
    """The start of a command that runs in a container of this node, where a check is made from inside one."""
    return ["ip", "netns", "exec", check["namespace"]] if check.get("namespace") else []


def check_ping(check):
    """One echo request; the kernel's source address unless one is given."""
    argv = ["ping", "-6" if check["family"] == "ipv6" else "-4", "-n", "-c", "1", "-W", "1"]
    if check.get("source"):
        argv += ["-I", check["source"]]
    code, output, errors = run([*inside(check), *argv, check["to"]])
    if code > 2:
        return False, errors.strip() or f"ping ended with {code}"
    answered = code == 0
    wanted = check.get("expect", "reply") == "reply"
    reason = (errors.strip() or output.strip()).splitlines()
    detail = next((line for line in reason if "nreachable" in line or "prohibited" in line), "no reply within 1 s")
    return answered == wanted, "reply" if answered else detail


def check_trace(check):
    """Every hop must be one of those that the intent allows at this distance, and the last one the destination."""
    family = "-6" if check["family"] == "ipv6" else "-4"
    argv = ["traceroute", family, "-n", "-q", "1", "-w", "1", "-m", str(len(check["hops"])), check["to"]]
    code, output, errors = run(argv)
    if code:
        return False, errors.strip() or f"traceroute ended with {code}"
    seen = parse_trace(output)
    allowed = check["hops"]
    passed = len(seen) == len(allowed) and all(hop in hops for hop, hops in zip(seen, allowed, strict=True))
    return passed, " > ".join(seen) or "no hop answered"


def parse_trace(text):
    """Returns the address of each hop, "*" where none answered."""
    found = (HOP.match(line) for line in text.splitlines()[1:])
    return [line.group(2) for line in found if line]


def check_neighbor(check):
    """Who answers ARP or a neighbour solicitation for an address, as seen on the wire; without `mac`, anyone may."""
    ask = _ask_arp if check["family"] == "ipv4" else _ask_ndp
    try:
        macs = ask(check["interface"], check["to"])
    except OSError as error:
        return False, str(error)
    if check.get("expect", "reply") == "silence":
        passed = not macs
    else:
        passed = len(macs) == 1 and macs[0] == (check["mac"] or macs[0]).lower()
    return passed, ", ".join(macs) or "no answer"


def _ask_arp(interface, target):
    _code, output, _errors = run(["arping", "-c", "1", "-w", "2", "-I", interface, target])
    answers = (line for line in output.splitlines() if not line.startswith("ARPING"))
    return sorted({mac.lower() for line in answers for mac in MAC.findall(line)})


def _ask_ndp(interface, target):
    return solicit(interface, target, seconds=2)
