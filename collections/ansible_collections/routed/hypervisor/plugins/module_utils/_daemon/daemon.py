# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon: what is wanted of it, and the commands that it takes. Private to this collection."""

from __future__ import annotations

import dataclasses
import typing as t

from .._engine.former import Former
from .plan import AS_THEY_ARE, Renewed, Wanted, WantedFile
from .service import Service


class DaemonError(Exception):
    """One message for the user; without secrets."""


@dataclasses.dataclass
class Daemon:
    name: str
    wanted: Wanted
    service: Service
    check: list[str] | None = None
    reload: list[str] | None = None
    reload_expect: str | None = None
    rebind: list[str] = dataclasses.field(default_factory=list)
    refresh: list[str] = dataclasses.field(default_factory=list)
    ready: list[str] | None = None
    stops: list[str] = dataclasses.field(default_factory=list)
    former: Former | None = None  # records the state of services of others
    renewed: Renewed = AS_THEY_ARE  # only for check mode

    def mask(self, text: str) -> str:
        """Removes the content of secret files from a parser's message."""
        for file in self.wanted.files:
            text = file.mask(text)
        return text


COMMANDS = ("name", "reload", "reload_expect", "rebind", "refresh", "ready")
DEPENDS = ("interfaces", "uses", "session_interfaces", "session_addresses")
WANTED = ("service", "can_reload", "survives_down", "service_file", *DEPENDS)


def record(daemon: Daemon) -> dict[str, t.Any] | None:
    """What the agent needs to know of a daemon, as JSON; None if it depends on no interface or address.

    Files are recorded without their contents, which are on the host, and may be secret.
    """
    wanted = daemon.wanted
    if wanted.state != "started" or not any(getattr(wanted, name) for name in DEPENDS):
        return None
    return {
        **{name: getattr(daemon, name) for name in COMMANDS},
        "wanted": {
            **{name: getattr(wanted, name) for name in WANTED},
            "restart_on": sorted(wanted.restart_on),
            "files": [[file.path, file.secret, file.secret_part] for file in wanted.files],
        },
        "process": {
            "executable": daemon.service.program,
            "pid_file": daemon.service.pid_file,
            "timeout": daemon.service.timeout,
            "ours": daemon.service.ours,
        },
    }


def recorded(content: dict[str, t.Any]) -> Daemon:
    """The daemon of a record, whose files are empty."""
    given, service = content["wanted"], content["wanted"]["service"]
    files = [WantedFile(path, b"", secret=secret, secret_part=part) for path, secret, part in given["files"]]
    names = {name: tuple(given[name]) for name in DEPENDS}
    scalars = {name: given[name] for name in WANTED if name not in DEPENDS}
    wanted = Wanted(state="started", files=files, restart_on=frozenset(given["restart_on"]), **scalars, **names)
    commands = {name: content[name] for name in COMMANDS}
    return Daemon(wanted=wanted, service=Service(service, **content["process"]), **commands)
