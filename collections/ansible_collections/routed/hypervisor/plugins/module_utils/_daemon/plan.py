# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Computes what has to change for a daemon to run with the right files, without changing anything.

Private to this collection.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import sys
import typing as t

from .._engine.change import Change
from .service import Process

MARK = "Managed by Routed Hypervisor"
BACKUP = ".before-routed-hypervisor"
LATER = sys.maxsize  # than anything that has come up
HIDDEN = "(secret, not shown)\n"


def _masked(pattern: str, text: str) -> str:
    """The text, with stars in place of the matches of the pattern's first group."""
    parts, end = [], 0
    for found in re.finditer(pattern, text):
        parts += [text[end : found.start(1)], "********"]
        end = found.end(1)
    return "".join(parts) + text[end:]


@dataclasses.dataclass(frozen=True)
class WantedFile:
    path: str
    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    secret: bool = False
    secret_part: str | None = None  # pattern whose first group matches the secret; if None, the whole file is secret

    def shown(self, text: str) -> str:
        """The old or new text of this file without its secrets."""
        if self.secret_part is None:
            return HIDDEN if self.secret and text else text
        return _masked(self.secret_part, text)

    def mask(self, message: str) -> str:
        """A program's message about this file without secrets of the new or the old content."""
        text = self.content.decode(errors="replace")
        if self.secret_part is not None:
            secrets = [found.group(1) for found in re.finditer(self.secret_part, text)]
            message = _masked(self.secret_part, message)
        else:
            secrets = [*re.findall(r'"([^"\n]+)"', text), *text.splitlines()] if self.secret else []
        for secret in secrets:
            if len(secret.strip()) > 2:
                message = message.replace(secret.strip(), "********")
        return message


@dataclasses.dataclass(frozen=True)
class SeenFile:
    content: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    ctime: float  # when the file was put in place under its name, seconds since the epoch


@dataclasses.dataclass
class Wanted:
    service: str
    state: str  # started, stopped, absent
    files: list[WantedFile]
    can_reload: bool
    restart_on: frozenset[str] = frozenset()
    interfaces: tuple[str, ...] = ()
    survives_down: bool = True  # False: a socket on one of these is of no use any more once the interface was down
    uses: tuple[str, ...] = ()  # interfaces that the daemon refers to by name and holds by index; they may be absent
    session_interfaces: tuple[str, ...] = ()  # on which the daemon receives routes
    session_addresses: tuple[str, ...] = ()  # of this host
    enabled: bool | None = None
    service_file: str | None = None  # path of the unit or init script, if it is ours


@dataclasses.dataclass(frozen=True)
class Other:
    """A service to remove: one that must not run alongside the wanted one, or, with `absent`, the service itself."""

    name: str
    runs: bool
    enabled: bool
    files: tuple[str, ...] = ()  # of ours, the unit or init script last; () if the service is not ours
    backups: frozenset[str] = frozenset()
    cleanup: tuple[str, ...] = ()  # command that cleans up after it


@dataclasses.dataclass
class Seen:
    files: dict[str, SeenFile | None]
    process: Process | None
    stamp: dict[str, t.Any]  # what the process has loaded, as recorded by the last run; {} if there is no record
    indexes: dict[str, int | None]  # of the interfaces in Wanted.interfaces and Wanted.uses
    bound: set[int] = dataclasses.field(default_factory=set)  # interfaces that the process has packet sockets on
    # When interfaces came up and addresses were added, in clock ticks after boot
    came_up: dict[str, int] = dataclasses.field(default_factory=dict)
    ended: str = "it is not running"  # why there is no process
    enabled: bool | None = None
    backups: set[str] = dataclasses.field(default_factory=set)  # paths with a backup of somebody else's file
    others: list[Other] = dataclasses.field(default_factory=list)  # services that must not run alongside this one
    own: Other | None = None  # this service as one to remove, if its unit or init script is ours


@dataclasses.dataclass(frozen=True)
class Renewed:
    """What an earlier stage of the run makes of interfaces, in check mode."""

    replaced: frozenset[str] = frozenset()  # deleted and created
    moved: frozenset[str] = frozenset()  # into another VRF, or into the one that replaces theirs

    def foresee(self, seen: Seen) -> Seen:
        """As observed after that stage; addresses on a replaced interface are left out already."""
        came_up = {name: LATER if name in self.moved else ticks for name, ticks in seen.came_up.items()}
        indexes = {name: None if name in self.replaced else index for name, index in seen.indexes.items()}
        return dataclasses.replace(seen, came_up=came_up, indexes=indexes)


AS_THEY_ARE = Renewed()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_ours(content: bytes) -> bool:
    """Whether the first line carries our mark; in a script, the second."""
    first, _newline, rest = content[:400].partition(b"\n")
    return MARK.encode() in (rest.partition(b"\n")[0] if first.startswith(b"#!") else first)


def permissions(file: WantedFile | SeenFile) -> dict[str, str]:
    return {"mode": f"{file.mode:04o}", "owner": f"{file.uid}:{file.gid}"}


def file_changes(wanted: Wanted, seen: Seen) -> list[Change]:
    if wanted.state == "absent":
        return _removals(wanted, seen)
    changes = []
    for file in wanted.files:
        old = seen.files.get(file.path)
        if old is None:
            changes.append(Change("files", "create", file.path, "it does not exist"))
        elif old.content != file.content:
            kept = is_ours(old.content) or file.path in seen.backups
            why = "its content differs" if kept else "it is not ours: a backup is kept beside the new one"
            changes.append(Change("files", "change", file.path, why))
        elif (old.mode, old.uid, old.gid) != (file.mode, file.uid, file.gid):
            before, after = permissions(old), permissions(file)
            changes.append(Change("files", "change", file.path, "its owner or mode differs", before, after))
    return changes


def _removals(wanted: Wanted, seen: Seen) -> list[Change]:
    changes = []
    for file in wanted.files:
        old = seen.files.get(file.path)
        if old is not None and is_ours(old.content):
            restore = file.path in seen.backups
            why = "it is ours; the previous file is restored" if restore else "it is ours"
            changes.append(Change("files", "restore" if restore else "delete", file.path, why))
    return changes


def not_loaded(wanted: Wanted, seen: Seen) -> dict[str, str]:
    """Files and interfaces that the running process has not loaded or bound as wanted, each with the reason."""
    running = t.cast(Process, seen.process)
    known = (seen.stamp.get("pid"), seen.stamp.get("start")) == (running.pid, running.start)
    reasons: dict[str, str] = {}
    for file in wanted.files:
        name = os.path.basename(file.path)
        old = seen.files.get(file.path)
        if old is None or old.content != file.content:
            reasons[file.path] = f"{name} changes"
        elif known:
            if seen.stamp.get("files", {}).get(file.path) != [digest(old.content), old.mtime_ns]:
                reasons[file.path] = f"{name} is not what the running process has loaded"
        elif running.started <= old.ctime:
            # We did not start it. Daemons read their files when they start.
            reasons[file.path] = f"{name} was written after the process started"
    for interface in wanted.interfaces:
        index = seen.indexes.get(interface)
        there = 0 < seen.came_up.get(interface, 0) < running.start  # on a VRF, it has no packet sockets
        bound = seen.stamp.get("interfaces", {}).get(interface) == index if known else there or index in seen.bound
        if not bound or index is None:  # in check mode, interfaces may not exist yet
            reasons[interface] = f"interface {interface} is not the one that the process is bound to"
        elif not wanted.survives_down and (came_up_later(interface, seen, known) or went_down(interface, seen, known)):
            reasons[interface] = f"interface {interface} was down while {wanted.service} ran"
    for interface in wanted.uses:
        recorded = seen.stamp.get("interfaces", {})
        if known and interface in recorded:
            same = recorded[interface] == seen.indexes.get(interface)
        else:
            same = 0 < seen.came_up.get(interface, 0) < running.start
        if not same:
            reasons[interface] = f"interface {interface} was created after {wanted.service} loaded its configuration"
    return reasons


def came_up_later(name: str, seen: Seen, known: bool) -> bool:
    """Whether an interface came up, or an address was added, after the process last looked at it."""
    now, before = seen.came_up.get(name), seen.stamp.get("came_up", {}).get(name) if known else None
    return now is not None and (now > t.cast(Process, seen.process).start if before is None else now != before)


def went_down(interface: str, seen: Seen, known: bool) -> bool:
    """Whether an interface is down that was up when the process was last seen. In check mode, a run may bring it up."""
    return known and interface in seen.stamp.get("came_up", {}) and interface not in seen.came_up


def replaced(wanted: Wanted, seen: Seen) -> list[str]:
    """The interfaces that the running process still holds by the index of a previous one, or not at all."""
    reasons = not_loaded(wanted, seen)
    return [interface for interface in wanted.uses if interface in reasons]


def not_refreshed(wanted: Wanted, seen: Seen) -> list[str]:
    """Interfaces and addresses that may not have been ready when the process set up its sessions."""
    running = t.cast(Process, seen.process)
    known = (seen.stamp.get("pid"), seen.stamp.get("start")) == (running.pid, running.start)
    return [
        name
        for name in (*wanted.session_interfaces, *wanted.session_addresses)
        if not seen.came_up.get(name) or came_up_later(name, seen, known)
    ]


def service_changes(wanted: Wanted, seen: Seen) -> list[Change]:
    name = wanted.service
    changes = []
    if wanted.state != "started":
        if seen.process is not None:
            changes.append(Change("services", "stop", name, "it is running"))
    elif seen.process is None:
        changes.append(Change("services", "start", name, seen.ended))
    else:
        if seen.process.stopped:
            changes.append(Change("services", "resume", name, "a signal has stopped it"))
        reasons = not_loaded(wanted, seen)
        restart = not wanted.can_reload or any(
            path in wanted.restart_on or path in wanted.interfaces for path in reasons
        )
        if reasons:
            changes.append(Change("services", "restart" if restart else "reload", name, "; ".join(reasons.values())))
        late = not_refreshed(wanted, seen) if not (reasons and restart) else []
        if late:
            changes.append(Change("services", "refresh", name, f"{', '.join(late)} came up after its sessions"))
    if wanted.enabled is not None and wanted.enabled != seen.enabled:
        changes.append(Change("services", "enable" if wanted.enabled else "disable", name, "at boot"))
    return changes


def removal_of(other: Other, why: str) -> list[Change]:
    """Removes a service: one of ours with everything that belongs to it; another is only stopped and disabled."""
    changes = []
    if other.runs:
        changes.append(Change("services", "stop", other.name, why))
    if other.enabled:
        changes.append(Change("services", "disable", other.name, why))
    if other.files and other.cleanup:
        changes.append(Change("services", "clean up", other.name, why))
    for path in other.files:
        changes.append(Change("files", "restore" if path in other.backups else "delete", path, why))
    return changes


def removal_of_ours(seen: Seen) -> list[Change]:
    """Removes the services of ours that an absent one stops; those of others go on."""
    return [change for other in seen.others if other.files for change in removal_of(other, "it is ours")]


def plan(wanted: Wanted, seen: Seen) -> list[Change]:
    """The changes, in order: a service is stopped before its files are removed."""
    files = file_changes(wanted, seen)
    if wanted.state == "absent":
        own = removal_of(seen.own, "it is ours") if seen.own is not None else service_changes(wanted, seen)
        done = {change.name for change in own if change.kind == "files"}
        rest = [change for change in files if change.name not in done]
        own = [change for change in own if change.kind == "services"] + rest + [c for c in own if c.kind == "files"]
        return removal_of_ours(seen) + own
    others: list[Change] = []
    if wanted.state == "started":
        for other in seen.others:
            others += removal_of(other, f"it must not run alongside {wanted.service}")
    return files + others + service_changes(wanted, seen)


def stamp(wanted: Wanted, seen: Seen) -> dict[str, t.Any]:
    """What the process of `seen` has loaded."""
    running = t.cast(Process, seen.process)
    files = {path: [digest(file.content), file.mtime_ns] for path, file in seen.files.items() if file is not None}
    return {
        "pid": running.pid,
        "start": running.start,
        "files": files,
        "interfaces": dict(seen.indexes),
        "came_up": dict(seen.came_up),
    }
