# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons that use our network, as systemd runs them. Private to this collection."""

from __future__ import annotations

import dataclasses
import glob
import os
import typing as t

from .._daemon import files as disk
from .._daemon import plan, run, service
from .._daemon.daemon import Daemon, DaemonError, recorded
from .._engine.change import Change
from .units import DAEMONS, FOLLOWER

ENDED = "active, but has ended"  # as systemd takes an init script whose daemon has ended
SYSTEMCTL_S = 20
LATE = ("restart", "reload", "refresh")
UNREADABLE = (OSError, ValueError, KeyError, TypeError)  # a record of a daemon
WANTS = "/etc/systemd/system"
PATTERNS = [*(f"{name}.service" for name in DAEMONS), "gobgpd-*.service", "dhcrelay-*.service"]


def states() -> dict[str, str]:
    """The state of each unit that runs or should, with the agent's own; empty on a host without systemd.

    A package may be there without being needed, such as ndppd, whose init script systemd always starts: it should run
    only if a run of ours has left it running.
    """
    wanted = {os.path.basename(path) for path in glob.glob(f"{WANTS}/*.wants/*.service")} | _recorded()
    units = _states(*PATTERNS, f"{FOLLOWER}.service")
    return {name: state for name, state in units.items() if state not in ("inactive", ENDED) or name in wanted}


def _recorded() -> set[str]:
    """The units that the module daemon has left running; none if they cannot be read, which `late` reports."""
    try:
        return {f"{recorded(content).wanted.service}.service" for content in disk.read_records()}
    except UNREADABLE:
        return set()


def _states(*patterns: str) -> dict[str, str]:
    if not service.has_systemd():
        return {}
    output = _systemctl("list-units", "--all", "--plain", "--no-legend", "--no-pager", *patterns)
    rows = [line.split() for line in output.splitlines()]
    loaded = [row for row in rows if len(row) > 3 and row[1] == "loaded"]
    return {row[0]: ENDED if row[3] == "exited" else row[2] for row in loaded}


def dead(units: dict[str, str]) -> list[str]:
    """Those that should run and do not, each in one sentence."""
    return [f"{name} is {state}" for name, state in units.items() if state in ("failed", "inactive", ENDED)]


def restart_early() -> list[str]:
    """Restarts the daemons that run already, and returns their names. systemd starts the others after us."""
    names = [name for name, state in _states(*PATTERNS).items() if state == "active"]
    if names:
        _systemctl("--no-block", "try-restart", *names)  # waiting would be a deadlock: they wait for us
    return names


def late(apply: bool, wait: bool = True) -> tuple[list[Change[t.Any]], list[str]]:
    """What daemons that run have to do because interfaces or addresses came after them, and what failed.

    An interface that comes without a run is as new to a daemon as one that a run creates: the module daemon has
    recorded what to do. Without `wait`, systemd is only told to restart one: at boot it waits for us.
    """
    try:
        daemons = [recorded(content) for content in disk.read_records()]
    except UNREADABLE as error:
        return [], [f"the daemons are left alone: a file in {disk.RECORDS} cannot be used: {error!r}; run site.yml"]
    changes, problems = [], []
    for present in map(_present, daemons):
        daemon = present
        try:
            seen = run.observe(present)
            if seen.process is None:
                continue
            daemon = with_files(present, seen)
            found = [change for change in plan.service_changes(daemon.wanted, seen) if change.op in LATE]
            if apply and not wait and any(change.op == "restart" for change in found):
                _systemctl("--no-block", "try-restart", daemon.wanted.service)
            elif apply:
                run.apply(daemon, seen, found)
        except (DaemonError, service.ServiceError, disk.FileError) as error:
            problems.append(" ".join(daemon.mask(str(error)).split()))
        else:
            changes += found
    return changes, problems


def with_files(daemon: Daemon, seen: plan.Seen) -> Daemon:
    """With the contents on the host, which are what the last run has written, or what somebody else has."""
    files = []
    for file in daemon.wanted.files:
        old = seen.files[file.path]
        if old is None:
            raise DaemonError(f"{daemon.name}: {file.path} is missing; run site.yml")
        files.append(dataclasses.replace(file, content=old.content))
    return dataclasses.replace(daemon, wanted=dataclasses.replace(daemon.wanted, files=files))


def _present(daemon: Daemon) -> Daemon:
    """Without interfaces and addresses that are absent: they come later still."""
    wanted = daemon.wanted
    interfaces = {*wanted.interfaces, *wanted.uses, *wanted.session_interfaces}
    there = {name for name in interfaces if run.interface_index(name) is not None}
    ready = run.came_up([name for name in wanted.session_interfaces if name in there], wanted.session_addresses)
    present = dataclasses.replace(
        wanted,
        interfaces=tuple(name for name in wanted.interfaces if name in there),
        uses=tuple(name for name in wanted.uses if name in there),
        session_interfaces=tuple(name for name in wanted.session_interfaces if name in ready),
        session_addresses=tuple(name for name in wanted.session_addresses if name in ready),
    )
    return dataclasses.replace(daemon, wanted=present)


def _systemctl(*words: str) -> str:
    try:
        return service.run(["systemctl", *words], SYSTEMCTL_S).output
    except service.ServiceError:
        return ""
