# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads, atomically replaces and backs up the files of a daemon. Private to this collection."""

from __future__ import annotations

import contextlib
import glob
import grp
import json
import os
import pwd
import stat
import typing as t

from .._engine import atomic
from .._engine.change import Change
from .plan import BACKUP, SeenFile, WantedFile, is_ours

STAMPS = "/run/routed-hypervisor-daemon"
RECORDS = "/var/lib/routed-hypervisor/daemons"


class FileError(Exception):
    pass


def user_id(name: str) -> int:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise FileError(f"there is no user {name}: install the package that creates it") from error


def group_id(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise FileError(f"there is no group {name}: install the package that creates it") from error


def read(path: str) -> SeenFile | None:
    try:
        with open(path, "rb") as file:
            content = file.read()
            status = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise FileError(f"{path} is a directory: move it away") from error
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    mode = stat.S_IMODE(status.st_mode)
    return SeenFile(content, mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ctime_ns / 1e9)


def write(file: WantedFile, old: SeenFile | None) -> None:
    try:
        if old is not None and not is_ours(old.content) and not os.path.lexists(file.path + BACKUP):
            os.link(file.path, file.path + BACKUP)
    except OSError as error:
        raise FileError(f"{file.path} cannot be written: {error.strerror}") from error
    put(file)


def put(file: WantedFile) -> None:
    """Writes a file, whatever was there."""
    try:
        # refuse_impossible has decided whether the directory may be created.
        os.makedirs(os.path.dirname(file.path), mode=0o755, exist_ok=True)
        atomic.replace(file.path, file.content, file.mode, file.uid, file.gid)
    except OSError as error:
        raise FileError(f"{file.path} cannot be written: {error.strerror}") from error


def apply(change: Change, file: WantedFile, old: SeenFile | None) -> None:
    if change.op in ("create", "change") and (old is None or old.content != file.content):
        write(file, old)
        return
    try:
        if change.op == "change":
            # Restrict access first: between the changes of owner and mode nobody else must read the file.
            os.chmod(file.path, 0o600)
            os.chown(file.path, file.uid, file.gid)
            os.chmod(file.path, file.mode)
        elif change.op == "delete":
            os.unlink(file.path)
        elif change.op == "restore":
            os.replace(file.path + BACKUP, file.path)
    except OSError as error:
        raise FileError(f"{file.path}: {error.strerror}") from error


def candidates(files: list[WantedFile], directory: str) -> dict[str, str]:
    """Writes all new files into a private directory for the daemon's parser. Returns the paths by base name."""
    paths = {}
    for file in files:
        name = os.path.basename(file.path)
        paths[name] = os.path.join(directory, name)
        with open(os.open(paths[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as draft:
            draft.write(file.content)
    return paths


def read_stamp(name: str) -> dict[str, t.Any]:
    try:
        with open(f"{STAMPS}/{name}.json", encoding="utf-8") as file:
            stamp = json.load(file)
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(name: str, stamp: dict[str, t.Any] | None) -> None:
    """Only root can read stamps: a digest of a secret is itself worth protecting."""
    _keep(f"{STAMPS}/{name}.json", stamp)


def write_record(name: str, record: dict[str, t.Any] | None) -> None:
    """What the agent needs to know of a daemon; it outlives a reboot."""
    _keep(f"{RECORDS}/{name}.json", record)
    if record is None:
        with contextlib.suppress(OSError):
            os.rmdir(RECORDS)


def read_records() -> list[dict[str, t.Any]]:
    """Raises OSError, and ValueError for what is not a record."""
    found = []
    for path in sorted(glob.glob(f"{RECORDS}/*.json")):
        with open(path, encoding="utf-8") as file:
            found.append(json.load(file))
    return found


def _keep(path: str, content: dict[str, t.Any] | None) -> None:
    """Writes JSON for root only, unless it is there; removes the file if there is no content."""
    old = read(path)
    if content is None:
        if old is not None:
            os.unlink(path)
        return
    text = json.dumps(content, sort_keys=True).encode()
    if old is None or old.content != text:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        atomic.replace(path, text, 0o600)
