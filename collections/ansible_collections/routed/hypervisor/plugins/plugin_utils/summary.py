# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The readable summary at the end of a run. Private to this collection."""

from __future__ import annotations

import shlex

from ..module_utils._engine.printable import counted

# The names of kinds of results in the summary, in order.
KINDS = {
    "bgp": "BGP session(s) established",
    "listening": "listening socket(s) of BGP",
    "bfd": "BFD session(s) up",
    "route": "route(s) with the intended next hops",
    "in_step": "routing manager(s) in step with GoBGP and the kernel",
    "container": "container(s) on ipvlan links",
    "runtimes": "container network(s) as runtimes need them",
    "probe": "container(s) added by CNI plugins and removed",
    "lease": "DHCP lease(s)",
    "slaac": "autoconfigured address(es)",
    "ping": "ping(s), including those that must fail",
    "trace": "traceroute(s)",
    "neighbor": "ARP and NDP answer(s)",
    "route_source": "source address(es) of the hypervisors' own traffic",
    "rules": "set(s) of routing rules",
    "tcp": "BGP port(s) of hypervisors closed to guests",
    "firewall": "hypervisor firewall(s) complete",
    "rollback": "host(s) with the last change kept",
    "followed_guests": "hypervisor(s) following guests",
    "announced_guests": "border(s) reaching all announced guests",
    "spoof": "forged source(s) stopped",
}

# The names of kinds of changes that are not plurals in -s.
CHANGES = {"proxy_arp": "proxy ARP setting(s)"}

# A lab's kernel, if it is not the machine's own.
NAMES = {"uml": "user-mode Linux", "qemu": "QEMU, Linux"}


def summary(playbook, stages, *, report, changed, changes, predicted, absent, failed, kernel, inventory):
    """Returns the lines of the summary.

    stages: [(name of the play, seconds)]; report: the result of routed.hypervisor.report, or None;
    changed: number of tasks that changed something; changes: number of changed objects by kind;
    predicted: the same of tasks in check mode, which change nothing;
    absent: guests whose ports are missing, by hypervisor;
    kernel: the result of routed.hypervisor.lab_kernel, or None; inventory: its directory, empty for the default one.
    """
    lines = [""]
    if report:
        lines.append(verdict(report))
        if report.get("absent"):
            names = ", ".join(report["absent"])
            lines.append(f"  {report['present']} of {counted(report['guests'], 'guest(s)')} present; absent: {names}")
        passed = {**dict.fromkeys(KINDS, 0), **report["kinds"]}
        found = [counted(count, KINDS.get(kind, kind)).split(" ", 1) for kind, count in passed.items() if count]
        lines += [f"  {number:>5} {things}" for number, things in found]
        lines.append(f"  every result is in {report['path']}; for a browser, {report['page']}")
    lines.append(
        f"Stages of {playbook}, {sum(seconds for _name, seconds in stages):.1f} s, {counted(changed, 'change(s)')}:"
    )
    if changes:
        lines.append(f"  {_listed(changes)}")
    if predicted:
        lines.append(f"  would change: {_listed(predicted)}")
    lines += [f"  {host}: absent, and not configured: {', '.join(names)}" for host, names in absent.items()]
    lines += [f"  {seconds:7.1f} s  {name}" for name, seconds in stages]
    return lines + next_steps(report, failed, kernel, inventory)


def _listed(changes):
    return ", ".join(counted(count, _changed(kind)) for kind, count in sorted(changes.items()))


def _changed(kind):
    return CHANGES.get(kind) or f"{kind.removesuffix('s').replace('_', ' ')}(s)"


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
    if not report["lab"]:
        of = f" -i {shlex.quote(inventory)}" if inventory else ""
        return [*lines, f"Next: make verify{other}, ansible-playbook{of} playbooks/inspect.yml."]
    return [
        *lines,
        f"Next: make shell NODE=NAME{other} (a prompt in a node), make verify{other}, make status, make down{other}.",
    ]
