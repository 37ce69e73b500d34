# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps Docker's ipvlan networks and the settings of dockerd that they need. Private to this collection.

Through the command `docker`, which is where dockerd is. The module community.docker.docker_network needs Python
libraries on the host, and disconnects running containers to change a network or to remove it; here both are refused.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import typing as t

from .._daemon import files as disk
from .._daemon.service import PATH, Process, Result, Service, ServiceError, run
from .._engine.change import Change
from .._engine.former import Former
from . import settings
from .slaves import Survey, conflicts, refusals, survey

PACKAGE = "docker.io"
LABEL = "routed.hypervisor"  # on the networks that we create
HAS_L3S = (22, 6)  # the first version with the mode and with flags
PID_FILE = "/run/docker.pid"
STAMP = "docker"  # while dockerd has not loaded what we wrote
ANSWER_S = 120
Network = dict[str, t.Any]  # as the module's option


class DockerError(Exception):
    """All mistakes, one a line."""


class Docker:
    def __init__(self, timeout: int) -> None:
        self.is_installed = shutil.which("docker", path=PATH) is not None
        self.service = Service("docker", "dockerd", PID_FILE, timeout) if self.is_installed else None
        self.process: Process | None = self.service.main() if self.service else None

    def tried(self, *words: str) -> Result:
        return run(["docker", *words], ANSWER_S)

    def asked(self, *words: str) -> str:
        result = self.tried(*words)
        if result.code:
            raise DockerError(f"`docker {' '.join(words)}` failed: {result.short()}")
        return result.output

    def version(self) -> tuple[int, ...]:
        text = self.asked("version", "--format", "{{.Server.Version}}")
        return tuple(int(part) for part in re.findall(r"\d+", text)[:2])

    def networks(self) -> dict[str, dict[str, t.Any]]:
        """All networks by name, as Docker describes them."""
        ids = self.asked("network", "ls", "--quiet", "--no-trunc").split()
        found = json.loads(self.asked("network", "inspect", *ids)) if ids else []
        return {network["Name"]: network for network in found}

    def containers_in(self, network: str) -> list[str]:
        """Running and stopped ones: a stopped container cannot start without its network."""
        shown = self.asked("ps", "--all", "--filter", f"network={network}", "--format", "{{.Names}} ({{.State}})")
        return sorted(shown.splitlines())

    def running(self) -> list[str]:
        return sorted(self.asked("ps", "--format", "{{.Names}}").splitlines())


@dataclasses.dataclass
class Plan:
    docker: Docker
    changes: list[Change[str]] = dataclasses.field(default_factory=list)
    file: settings.File | None = None
    want: settings.Settings = dataclasses.field(default_factory=dict)
    after: settings.Settings = dataclasses.field(default_factory=dict)
    networks: dict[str, Network] = dataclasses.field(default_factory=dict)


def shape(network: Network) -> dict[str, t.Any]:
    """What is compared, in a readable form."""
    return {
        "driver": "ipvlan",
        "parent": network["parent"],
        "mode": network["mode"],
        "subnets": sorted(
            [subnet["subnet"], subnet["range"] or "", subnet["gateway"] or ""] for subnet in network["subnets"]
        ),
    }


def observed(network: dict[str, t.Any]) -> dict[str, t.Any]:
    options = network.get("Options") or {}
    parts = (network.get("IPAM") or {}).get("Config") or []
    return {
        "driver": network.get("Driver"),
        "parent": options.get("parent"),
        "mode": options.get("ipvlan_mode", "l2"),
        "subnets": sorted([each.get("Subnet"), each.get("IPRange", ""), each.get("Gateway", "")] for each in parts),
    }


def creation(network: Network) -> list[str]:
    words = ["network", "create", "--driver=ipvlan", f"--label={LABEL}", f"--opt=parent={network['parent']}"]
    words.append(f"--opt=ipvlan_mode={network['mode']}")
    for subnet in network["subnets"]:
        words.append(f"--subnet={subnet['subnet']}")
        words += [f"--ip-range={subnet['range']}"] if subnet["range"] else []
        words += [f"--gateway={subnet['gateway']}"] if subnet["gateway"] else []
    if any(":" in subnet["subnet"] for subnet in network["subnets"]):
        words.append("--ipv6")
    return [*words, network["name"]]


def plan(params: dict[str, t.Any], former: Former, check_mode: bool) -> Plan:
    """Raises DockerError for everything that can be found out before the first change."""
    made = Plan(Docker(params["timeout"]))
    docker, state = made.docker, params["state"]
    wanted = {network["name"]: network for network in params["networks"]} if state != "deleted" else {}
    if not docker.is_installed:
        if wanted and state == "overridden":
            raise DockerError(f"docker is not installed (package {PACKAGE})")
        return made
    mistakes: list[str] = []
    known = docker.networks() if docker.process else {}
    for name, network in known.items():
        if LABEL in (network.get("Labels") or {}) and name not in wanted:
            if containers := docker.containers_in(name):
                mistakes.append(f"the network {name} is in use by {', '.join(containers)}: remove them first")
            made.changes.append(Change("networks", "delete", name, "it is ours, and not wanted"))
    if state == "pruned" and wanted:
        found_now = survey()
        for network in wanted.values():
            subnets = [subnet["subnet"] for subnet in network["subnets"]]
            wrong = conflicts(found_now, network["parent"], network["mode"], subnets)
            mistakes += [f"the network {network['name']}: {one}" for one in wrong]
    if state != "pruned":
        _plan_settings(params, bool(wanted), former, made, mistakes)
        _plan_service(bool(wanted), made)
        found = survey() if wanted else None
        for network in wanted.values():
            _plan_network(network, known.get(network["name"]), t.cast(Survey, found), made, mistakes, check_mode)
        needs_l3s = any(network["mode"] == "l3s" for network in wanted.values())
        if docker.process and needs_l3s and docker.version() < HAS_L3S:
            mistakes.append("this version of docker has no mode l3s: l3, or a newer version")
    if mistakes:
        raise DockerError("\n".join(mistakes))
    return made


def _plan_settings(params: dict[str, t.Any], is_used: bool, former: Former, made: Plan, mistakes: list[str]) -> None:
    made.want = params["settings"] if is_used else {}
    if not made.want and not former.of(settings.KIND):
        return
    made.file = settings.read(params["daemon_json"])
    made.after = settings.merged(made.file.settings, made.want, former)
    change = settings.change(made.file, made.after)
    if change is not None:
        made.changes.append(change)
    # dockerd reads most settings only when it starts. The run that wrote the file may have been interrupted.
    if made.docker.process and (change is not None or disk.read_stamp(STAMP)):
        made.changes.append(Change("services", "restart", "docker", f"{made.file.path} is not what it has loaded"))
        keeps = made.after.get("live-restore") is True and made.file.settings.get("live-restore") is True
        if not keeps and (running := made.docker.running()):
            wrong = f"{made.file.path} differs, and a restart of docker would stop {', '.join(running)}"
            mistakes.append(f"{wrong}: stop them first, or let them run on with live-restore")


def _plan_service(is_used: bool, made: Plan) -> None:
    service = t.cast(Service, made.docker.service)
    if is_used and made.docker.process is None:
        if missing := service.installed():
            raise DockerError(f"{missing} (package {PACKAGE})")
        made.changes.append(Change("services", "start", "docker", "it does not run"))
    if is_used and not service.enabled():
        made.changes.append(Change("services", "enable", "docker", "it is not enabled"))


def _plan_network(
    network: Network,
    known: dict[str, t.Any] | None,
    found: Survey,
    made: Plan,
    mistakes: list[str],
    check_mode: bool,
) -> None:
    name = network["name"]
    wrong = refusals(found, network["parent"], network["mode"], None, check_mode)
    mistakes += [f"the network {name}: {one}" for one in wrong]
    after = shape(network)
    made.networks[name] = network
    if known is None:
        made.changes.append(Change("networks", "create", name, "it does not exist", {}, after))
        return
    before = observed(known)
    if LABEL not in (known.get("Labels") or {}):
        mistakes.append(f"docker has a network {name} that is not ours: remove it, or rename the one of the intent")
    elif before != after:
        if containers := made.docker.containers_in(name):
            wrong_use = f"the network {name} cannot be changed while it is in use by {', '.join(containers)}"
            mistakes.append(f"{wrong_use}: remove them first")
        names = [key for key in after if before[key] != after[key]]
        differs = [{key: one[key] for key in names} for one in (before, after)]
        made.changes.append(Change("networks", "replace", name, "it differs", differs[0], differs[1]))


def apply(made: Plan, former: Former) -> None:
    docker, service = made.docker, made.docker.service
    # Networks that go first: a restart could not create one whose parent has gone.
    for change in made.changes:
        if change.kind == "networks" and change.op in ("delete", "replace"):
            docker.asked("network", "rm", change.name)
    for change in made.changes:
        if change.kind == "settings" and made.file is not None:
            settings.note(former, made.file, made.want)
            disk.write_stamp(STAMP, {"path": made.file.path})
            settings.write(made.file, made.after)
        elif change.kind == "services" and service is not None:
            _manage(service, change.op)
    if made.file is not None:
        settings.settle(former, made.want)
        disk.write_stamp(STAMP, None)
    for change in made.changes:
        if change.kind == "networks" and change.op in ("create", "replace"):
            docker.asked(*creation(made.networks[change.name]))


def _manage(service: Service, op: str) -> None:
    try:
        if op == "enable":
            service.enable(True)
        else:
            service.start(["docker", "info", "--format", "{{.ID}}"], op)
    except ServiceError as error:
        raise DockerError(str(error)) from error
