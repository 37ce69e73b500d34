# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether GoBGP and the kernel are in step, and whether the service keeps them so. Private to this collection."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._netlink.sockets import Network
from ..follow.status import is_running
from . import gobgp, rib
from .containers import Containers
from .host import Host
from .instance import Instance
from .settings import Settings


@dataclasses.dataclass
class Status:
    reports: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)  # one for each GoBGP
    differences: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def lines(self) -> list[str]:
        return [line for report in self.reports for line in _lines(report)]


@dataclasses.dataclass
class View:
    """One instance as it was found."""

    instance: Instance
    error: str | None = None  # why GoBGP cannot be reached
    neighbors: list[rib.Neighbor] = dataclasses.field(default_factory=list)


def status(given: dict[str, t.Any]) -> Status:
    settings = Settings(given)
    if not settings.instances:
        return Status()
    made = Status([_report(view) for view in _look(settings)])
    made.differences += [f"{report['instance']}: {line}" for report in made.reports for line in report["out_of_step"]]
    if not is_running():
        made.problems.append("GoBGP and the kernel are not kept in step: routed-hypervisor-run is not running")
    return made


def _look(settings: Settings) -> list[View]:
    """Reads both sides. Namespaces without a number (nsid) are given one; nothing else is changed."""
    with Network() as network:
        host = Host(network, *settings.watched())
        host.read()
        containers = Containers(network, settings.namespaces)
        containers.scan(everything=True)
    views = []
    for entry in settings.instances:
        view = View(Instance(entry, settings.metric, host))
        view.instance.take_containers(containers.addresses())
        try:
            if not gobgp.listens(entry.api):
                raise gobgp.GobgpError(f"gobgpd does not answer at {entry.api}")
            whole = gobgp.table(entry.api, entry.families)
            view.neighbors = whole.neighbors
            view.instance.take_table(whole, rib.is_complete(view.neighbors, quiet=True))
        except gobgp.GobgpError as error:
            view.error = str(error)
        views.append(view)
    return views


def _report(view: View) -> dict[str, t.Any]:
    """What is out of step, and a summary. Only strings, numbers and lists of them."""
    instance = view.instance
    plan = instance.plan()
    out = [view.error] if view.error else []
    for action in plan.actions:
        described = instance.describe(action)
        out.append(f"kernel: {'missing or different' if action.verb == 'write' else 'to be removed'}: {described}")
    out += [
        f"kernel: {ours.prefix}: a route of protocol {other.protocol} has its key (metric {other.metric})"
        for ours, other in plan.blocked
    ]
    for where in sorted(instance.learned):
        if isinstance(reasons := instance.learned_route(where), list):
            out.append(f"kernel: {where} is not installed: {'; '.join(reasons)}")
    for where in sorted(instance.containers):
        if isinstance(reason := instance.container_route(where), str):
            out.append(f"kernel: container {where}: {reason}")
    out += instance.conflicts()
    wanted = instance.to_announce()
    if instance.announced is not None:
        out += [f"GoBGP: does not announce {where}" for where in sorted(wanted.keys() - instance.announced.keys())]
        out += [f"GoBGP: still announces {where}" for where in sorted(instance.announced.keys() - wanted.keys())]
        out += [
            f"GoBGP: announces {where} with local preference {instance.announced[where]}, not {preference}"
            for where, preference in sorted(wanted.items())
            if instance.announced.get(where, preference) != preference
        ]
    away = [entry.address for entry in view.neighbors if entry.wanted and not entry.established]
    return {
        "instance": instance.settings.name,
        "table": instance.settings.table,
        "learned": len(instance.learned),
        "announced": sorted(map(str, instance.announced or ())),
        "containers": sorted(map(str, instance.containers)),
        "out_of_step": out,
        "beside": [
            f"{ours.prefix}: someone else's route of protocol {other.protocol}, metric {other.metric}, is beside ours"
            for ours, other in plan.beside
        ],
        "neighbors_away": away,
    }


def _lines(report: dict[str, t.Any]) -> list[str]:
    return [
        f"{report['instance']} (table {report['table']}): learned prefixes: {report['learned']}, "
        f"announced: {len(report['announced'])}, addresses of containers: {len(report['containers'])}",
        *(f"  neighbour {address} is not connected" for address in report["neighbors_away"]),
        *(f"  {line}" for line in report["beside"]),
    ]
