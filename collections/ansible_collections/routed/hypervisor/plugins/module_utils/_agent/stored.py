# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stored state of a host: a copy of its resolved intent, for boot. Private to this collection.

One line, `routed-hypervisor-state VERSION sha256:DIGEST`, then JSON. The digest covers the JSON. The file is replaced
atomically, and the one before is kept beside it. The first line stays as it is in later versions of the format.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
import stat
import typing as t

from .._engine import atomic

DIRECTORY = "/var/lib/routed-hypervisor"
CURRENT, PREVIOUS = "state", "state.previous"
MAGIC = b"routed-hypervisor-state"
VERSION = 5
MACHINE_ID = "/etc/machine-id"
REMEDY = "nothing was changed; run site.yml for this host, which stores it again"


class Unusable(Exception):
    """The state is not applied. The message is one sentence."""


class Corrupt(Unusable):
    """The file is ours but damaged: the last good one may be used instead."""


@dataclasses.dataclass(frozen=True)
class Machine:
    id: str | None
    name: str

    def is_other(self, written: Machine) -> bool:
        """Names are compared only where an id is missing: renaming a host does not make it another one."""
        if self.id and written.id:
            return self.id != written.id
        return self.name != written.name


@dataclasses.dataclass(frozen=True)
class Stored:
    host: str  # its name in the inventory
    machine: Machine
    network: dict[str, t.Any]  # the option `config` of the module `network`
    tables: list[dict[str, t.Any]]  # of nftables: table, text (null: no such table), required
    guests: dict[str, t.Any] = dataclasses.field(default_factory=dict)  # those that may run on any hypervisor
    routing_manager: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    proxy_ndp: dict[str, t.Any] = dataclasses.field(default_factory=dict)  # of ports that a run configures

    def follows(self) -> bool:
        """Whether there is anything to do between two runs."""
        return bool(self.guests.get("guests") or self.proxy_ndp.get("ports") or self.routing_manager.get("instances"))


def interfaces(stored: Stored) -> list[str]:
    """Names of the interfaces that a run has configured."""
    return [entry["name"] for entry in stored.network.get("interfaces", ())]


def this_machine(path: str = MACHINE_ID) -> Machine:
    try:
        with open(path, encoding="ascii") as file:
            number = file.read().strip()
    except (OSError, ValueError):
        number = ""
    return Machine(number if len(number) == 32 else None, socket.gethostname())


def encode(stored: Stored) -> bytes:
    body = json.dumps(dataclasses.asdict(stored), sort_keys=True, separators=(",", ":")).encode()
    return b"%s %d sha256:%s\n%s" % (MAGIC, VERSION, digest(body).encode(), body)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def decode(data: bytes) -> Stored:
    """Raises Unusable or Corrupt, with a sentence that lacks its subject, the file."""
    version, body = _opened(data)
    try:
        content = json.loads(body)
        for older in range(version, VERSION):
            content = MIGRATIONS[older](content)
        stored = Stored(**{**content, "machine": Machine(**content["machine"])})
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"is not a state of version {version} ({error!r})") from error
    kinds = {"network": dict, "tables": list, "guests": dict, "routing_manager": dict, "proxy_ndp": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(getattr(stored, name), kind)]
    if wrong:
        raise Corrupt(f"is not a state of version {version} ({', '.join(wrong)} of another type)")
    return stored


def _opened(data: bytes) -> tuple[int, bytes]:
    """The version and the JSON of an undamaged file."""
    header, newline, body = data.partition(b"\n")
    words = header.split(b" ")
    if words[0] != MAGIC and not MAGIC.startswith(data):
        raise Unusable("is not ours: it does not begin with `routed-hypervisor-state`")
    if not newline or len(words) != 3 or not words[1].isdigit():
        raise Corrupt("is damaged: its first line is incomplete")
    version = int(words[1])
    if version > VERSION:
        raise Unusable(f"has version {version}, and this program reads versions up to {VERSION}")
    if not version:
        raise Corrupt("is damaged: there is no version 0")
    if words[2] != b"sha256:" + digest(body).encode():
        raise Corrupt("is damaged: its digest differs")
    return version, body


def _from_1(content: dict[str, t.Any]) -> dict[str, t.Any]:
    """Version 1 had at most one table of nftables, `nftables`."""
    table = content.pop("nftables")
    return {**content, "tables": [table] if table else []}


def _adds(name: str, version: int) -> t.Callable[[dict[str, t.Any]], dict[str, t.Any]]:
    """What came with a version is empty in the one before."""

    def migrate(content: dict[str, t.Any]) -> dict[str, t.Any]:
        if name in content:
            raise ValueError(f"{name}, which version {version - 1} did not have")
        return {**content, name: {}}

    return migrate


MIGRATIONS: dict[int, t.Callable[[dict[str, t.Any]], dict[str, t.Any]]] = {
    1: _from_1,
    2: _adds("guests", 3),
    3: _adds("routing_manager", 4),
    4: _adds("proxy_ndp", 5),
}


def read_file(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise Unusable("does not exist") from error
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise Unusable("is not a file that only root can write")
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)


def read(directory: str, machine: Machine) -> tuple[Stored, list[str]]:
    """The state to apply, and what is to be reported about it. Raises Unusable if there is none for this host."""
    notes: list[str] = []
    path = os.path.join(directory, CURRENT)
    try:
        stored = _read_good(path)
    except Corrupt as damage:
        path = os.path.join(directory, PREVIOUS)
        try:
            stored = _read_good(path)
        except Unusable as error:
            raise Unusable(f"{damage}; {error}; {REMEDY}") from error
        notes.append(f"{damage}; the last good state is used instead, {path}")
    except Unusable as error:
        raise Unusable(f"{error}; {REMEDY}") from error
    if machine.is_other(stored.machine):
        raise Unusable(f"{path} is for another machine ({stored.host}, hostname {stored.machine.name}); {REMEDY}")
    return stored, notes


def _read_good(path: str) -> Stored:
    try:
        return decode(read_file(path))
    except Unusable as error:
        raise type(error)(f"{path} {error}") from error


def is_good(path: str) -> bool:
    try:
        _read_good(path)
    except Unusable:
        return False
    return True


def write(directory: str, stored: Stored) -> None:
    """Replaces the state so that at any moment, and after a power failure, there is a good one."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    current, previous = os.path.join(directory, CURRENT), os.path.join(directory, PREVIOUS)
    if is_good(current):  # a damaged one must not replace the last good one
        spare = os.path.join(directory, ".state.spare")
        with contextlib.suppress(FileNotFoundError):  # of a run that was killed
            os.unlink(spare)
        os.link(current, spare)
        os.replace(spare, previous)
    atomic.replace(current, encode(stored), 0o600)
