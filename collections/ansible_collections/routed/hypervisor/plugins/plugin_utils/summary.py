# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that end a run, for a person. This plugin_util is private to this collection."""

from __future__ import annotations

# How the kinds of checks are called in the summary, in this order.
KINDS = {
    "bgp": "BGP sessions established",
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
    "rules": "counts of routing rules",
    "firewall": "firewalls of hypervisors complete",
    "spoof": "packets with forged sources stopped",
}

LEFT_OUT = {"firewall": "firewalls LEFT OUT: this kernel has no nftables of family inet (docs/firewall.md)"}


def summary(playbook, stages, *, report, changed, failed, kernel):
    """Returns the lines of the summary.

    stages: [(name of the play, seconds)]; report: what routed.hypervisor.report returned, or None;
    kernel: "uml" in user-mode Linux, "host" on the machine's own kernel.
    """
    lines = [""]
    if report:
        verdict = "verified" if report["passed"] == report["total"] else "NOT verified"
        lines.append(f"{report['fabric']}: {verdict}, {report['passed']} of {report['total']} checks passed")
        counted = {**dict.fromkeys(KINDS, 0), **report["kinds"]}
        lines += [f"  {count:5d} {KINDS.get(kind, kind)}" for kind, count in counted.items() if count]
        lines += [f"  {count:5d} {LEFT_OUT.get(kind, kind)}" for kind, count in report["left_out"].items()]
        lines.append(f"  every result is in {report['path']}")
    lines.append(f"Stages of {playbook}, {sum(seconds for _name, seconds in stages):.1f} s, {changed} changes:")
    lines += [f"  {seconds:7.1f} s  {name}" for name, seconds in stages]
    return lines + next_steps(report, failed, kernel)


def next_steps(report, failed, kernel):
    if failed or not report:
        return []
    if kernel == "uml":
        return [
            "This ran in user-mode Linux, as this machine's own kernel lacks what the lab needs.",
            "The lab ends with the command that started it.",
            "Next: make shell (the same lab, up for as long as you are in it).",
        ]
    return ["Next: make shell NODE=NAME (a prompt in a node), make verify, make down."]
