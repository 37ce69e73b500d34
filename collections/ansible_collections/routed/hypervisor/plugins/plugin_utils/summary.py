# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The readable summary at the end of a run. Private to this collection."""

from __future__ import annotations

import shlex

# The names of kinds of results in the summary, in order.
KINDS = {
    "bgp": "BGP sessions established",
    "listening": "listening sockets of BGP",
    "bfd": "BFD sessions up",
    "route": "routes with the intended next hops",
    "in_step": "routing managers in step with GoBGP and the kernel",
    "container": "containers on their ipvlan links",
    "lease": "DHCP leases",
    "slaac": "autoconfigured addresses",
    "ping": "pings, those that must fail included",
    "trace": "traceroutes",
    "neighbor": "ARP and NDP answers",
    "route_source": "source addresses of the hypervisors' own traffic",
    "rules": "sets of routing rules",
    "tcp": "BGP ports of hypervisors that do not answer guests",
    "firewall": "firewalls of hypervisors complete",
    "spoof": "packets with forged sources stopped",
}

# A lab's kernel, if it is not the machine's own.
NAMES = {"uml": "user-mode Linux", "qemu": "QEMU, Linux"}


def summary(playbook, stages, *, report, changed, changes, absent, failed, kernel, inventory):
    """Returns the lines of the summary.

    stages: [(name of the play, seconds)]; report: the result of routed.hypervisor.report, or None;
    changed: number of tasks that changed something; changes: number of changed objects by kind;
    absent: guests whose ports are missing, by hypervisor;
    kernel: the result of routed.hypervisor.lab_kernel, or None; inventory: its directory, empty for the default one.
    """
    lines = [""]
    if report:
        lines.append(verdict(report))
        if report.get("absent"):
            names = ", ".join(report["absent"])
            lines.append(f"  {report['present']} of {report['guests']} guests present; absent: {names}")
        counted = {**dict.fromkeys(KINDS, 0), **report["kinds"]}
        lines += [f"  {count:5d} {KINDS.get(kind, kind)}" for kind, count in counted.items() if count]
        lines.append(f"  every result is in {report['path']}")
    lines.append(f"Stages of {playbook}, {sum(seconds for _name, seconds in stages):.1f} s, {changed} changes:")
    if changes:
        lines.append("  " + ", ".join(f"{count} {kind}" for kind, count in sorted(changes.items())))
    lines += [f"  {host}: absent, and not configured: {', '.join(names)}" for host, names in absent.items()]
    lines += [f"  {seconds:7.1f} s  {name}" for name, seconds in stages]
    return lines + next_steps(report, failed, kernel, inventory)


def verdict(report):
    word = "NOT verified" if report["failures"] else "verified"
    line = f"{report['fabric']}: {word}, {report['passed']} of {report['total']} checks passed"
    if report["not_run"]:
        reasons = ", ".join(f"{kind} ({reason})" for kind, reason in report["reasons"].items())
        line += f", {report['not_run']} NOT RUN: {reasons}"
    return line


def next_steps(report, failed, kernel, inventory):
    if failed or not report:
        return []
    lines = []
    if kernel and kernel.get("kind") in NAMES:
        lines.append(f"The lab is up in {NAMES[kernel['kind']]} {kernel['release']}, and stays up.")
    other = f" INVENTORY={shlex.quote(inventory)}" if inventory else ""
    return [
        *lines,
        f"Next: make shell NODE=NAME{other} (a prompt in a node), make verify{other}, make status, make down{other}.",
    ]
