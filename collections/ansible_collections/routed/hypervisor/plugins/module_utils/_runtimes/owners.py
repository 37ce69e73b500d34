# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose addresses are: the containers that have them, as their runtimes call them. Private to this collection.

What has an address is what the kernel shows. Runtimes are asked for names only, and only about namespaces that are not
of the intent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import typing as t

from .._daemon.service import PATH, ServiceError, run
from .._netlink.kernel import namespace_path
from . import cni, leases
from .slaves import Slave

CNI_DIRECTORY = "/etc/cni/net.d"
ENGINES = ("podman", "docker")
ANSWER_S = 20
INTENT, UNKNOWN = "intent", "unknown"


class Owner(t.NamedTuple):
    container: str
    runtime: str  # cni, podman, docker, intent or unknown
    network: str  # as the runtime calls it; empty where that is not known

    @property
    def label(self) -> str:
        return f"{self.container} ({', '.join(filter(None, (self.runtime, self.network)))})"


@dataclasses.dataclass
class Owners:
    """`problems` names the runtimes that did not answer; it is empty if the owner of every link is known."""

    intended: t.Collection[str] = ()  # namespaces of the intent's containers
    by_space: dict[int, Owner] = dataclasses.field(default_factory=dict)
    by_address: dict[str, Owner] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)

    def of(self, slave: Slave) -> Owner:
        """The owner of a link in another namespace."""
        if slave.where in self.intended:
            return Owner(slave.where, INTENT, "")
        found = self.by_space.get(_number(slave.where))
        recorded = [self.by_address[address] for address in slave.addresses if address in self.by_address]
        return found or (recorded or [Owner(slave.label, UNKNOWN, "")])[0]

    def label(self, slave: Slave) -> str:
        """The link, and its owner if that is known."""
        owner = self.of(slave)
        return slave.label if owner.runtime == UNKNOWN else f"{slave.label}: {owner.label}"


def ask(slaves: t.Collection[Slave], intended: t.Collection[str] = ()) -> Owners:
    """The owners of links in other namespaces than this one."""
    made = Owners(intended)
    if all(slave.where in intended for slave in slaves if slave.where):
        return made
    for file in cni.existing(CNI_DIRECTORY)[1]:
        for lease in leases.read(file.data_directory, file.name):
            made.by_address[lease.address] = Owner(lease.short, "cni", file.name)
    of_engines = [slave for slave in slaves if slave.is_of_engine]
    failed = []
    for engine in ENGINES if of_engines else ():
        if shutil.which(engine, path=PATH) is not None:
            try:
                made.by_space |= _of_engine(engine)
            except (ServiceError, ValueError, KeyError, TypeError) as error:
                failed.append(f"{engine} does not name its containers: {error}")
    # An engine that does not run has no container here if all are named.
    if any(made.of(slave).runtime == UNKNOWN for slave in of_engines):
        made.problems += failed
    return made


def _of_engine(engine: str) -> dict[int, Owner]:
    """The containers that run, by the number of their namespace."""
    ids = _asked(engine, "ps", "--quiet", "--no-trunc").split()
    found = {}
    for each in json.loads(_asked(engine, "inspect", *ids)) if ids else ():
        settings = each["NetworkSettings"]
        networks = ", ".join(settings.get("Networks") or ())
        found[_number(settings["SandboxKey"])] = Owner(each["Name"].lstrip("/"), engine, networks)
    found.pop(0, None)  # of the host's network
    return found


def _asked(*words: str) -> str:
    result = run([*words], ANSWER_S)
    if result.code:
        raise ServiceError(f"`{' '.join(words[:2])}` failed: {result.short()}")
    return result.output


def _number(where: str) -> int:
    """Of a namespace, given by name or path; 0 if there is none."""
    with contextlib.suppress(OSError):
        return os.stat(namespace_path(where)).st_ino if where else 0
    return 0
