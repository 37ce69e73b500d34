# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without the service: reads both sides once, then corrects them, prints what would be done, or only compares."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from . import config, gobgp, rib
from ._netlink.sockets import Network
from .containers import Containers
from .instance import Instance
from .kernel import Host


@dataclasses.dataclass
class View:
    """One instance as it was found."""

    instance: Instance
    error: str | None = None  # why GoBGP cannot be reached
    neighbors: list[rib.Neighbor] = dataclasses.field(default_factory=list)


def look(settings: config.Config) -> tuple[Host, list[View]]:
    """Reads both sides. Namespaces without a number (nsid) are given one; nothing else is changed."""
    network = Network()
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
    return host, views


def once(settings: config.Config, dry: bool, show: t.Callable[[str], None] = print) -> int:
    """Corrects both sides, or with `dry` shows what that would change. Returns 1 if anything failed."""
    host, views = look(settings)
    code = 0
    would = "would: " if dry else ""
    for view in views:
        instance = view.instance
        if view.error:
            code = 1
            show(f"{instance}: {view.error}")
        elif not instance.complete:
            show(f"{instance}: End-of-RIB is missing from some neighbours: no learned route is removed")
        actions = instance.plan().actions
        failed = {} if dry else {id(action): reason for action, reason in host.apply(instance.settings.table, actions)}
        for action in actions:
            reason = failed.get(id(action))
            code = code or int(reason is not None)
            show(f"{instance}: {would}{instance.describe(action)}" + (f": {reason}" if reason else ""))
        if instance.announced is None:
            continue
        wanted = instance.to_announce()
        todo = [("withdraw", gobgp.withdraw, where) for where in sorted(instance.announced - wanted)]
        todo += [("announce", gobgp.announce, where) for where in sorted(wanted - instance.announced)]
        for verb, do, where in todo:
            show(f"{instance}: {would}{verb} {where}")
            try:
                if not dry:
                    do(instance.settings.api, where)
            except gobgp.GobgpError as error:
                code = 1
                show(f"{instance}: {error}")
    return code


def report(view: View) -> dict[str, t.Any]:
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
    wanted = instance.to_announce()
    if instance.announced is not None:
        out += [f"GoBGP: does not announce {where}" for where in sorted(wanted - instance.announced)]
        out += [f"GoBGP: still announces {where}" for where in sorted(instance.announced - wanted)]
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


def status(settings: config.Config, as_json: bool, show: t.Callable[[str], None] = print) -> int:
    """Returns 1 if anything is out of step."""
    reports = [report(view) for view in look(settings)[1]]
    if as_json:
        show(json.dumps(reports, indent=2))
    for entry in [] if as_json else reports:
        show(
            f"{entry['instance']} (table {entry['table']}): learned prefixes: {entry['learned']}, "
            f"announced: {len(entry['announced'])}, addresses of containers: {len(entry['containers'])}"
        )
        for address in entry["neighbors_away"]:
            show(f"  neighbour {address} is not connected")
        for line in [*entry["beside"], *entry["out_of_step"]]:
            show(f"  {line}")
        if not entry["out_of_step"]:
            show("  in step")
    return int(any(entry["out_of_step"] for entry in reports))
