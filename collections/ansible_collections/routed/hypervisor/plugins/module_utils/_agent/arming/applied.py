# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last revisions of this host: what it had when a change was confirmed, for root only. Private to this collection.

A revision is named after the time of the run that made it, which is the same on all hosts that this run has changed. A
file's name is that time and the beginning of its content's digest.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import re
import time
import typing as t

from ..._engine import atomic
from .. import stored as states
from . import files, services
from .record import ArmingError

DIRECTORY = f"{states.DIRECTORY}/applied"
KEPT = 10
MAGIC = "routed-hypervisor-revision"
VERSION = 1
NAME = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{12})")
# Of the present, whatever the revision: leases of containers, and what the host had before us.
LEFT_ALONE = ("/var/lib/cni/networks", f"{states.DIRECTORY}/former.json")
Revision = dict[str, t.Any]


def of_revision(entries: list[files.Entry]) -> list[files.Entry]:
    return [entry for entry in entries if not entry["path"].startswith(LEFT_ALONE) and "special" not in entry]


@dataclasses.dataclass
class Made:
    """By a run, or by hand."""

    name: str = dataclasses.field(default_factory=lambda: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    fabric: str = ""
    probes: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)  # what must work with it


def keep(made: Made) -> None:
    """None is kept if the host has no stored state, or if it is that of the newest revision."""
    entries = of_revision(files.store())
    if not any(entry["path"] == f"{states.DIRECTORY}/{states.CURRENT}" for entry in entries):
        return
    content = {"files": entries, "services": services.read()}
    digest = states.digest(json.dumps(content, sort_keys=True).encode())[:12]
    os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
    kept = sorted(os.listdir(DIRECTORY))
    if not kept or not kept[-1].endswith(digest):
        revision = {"magic": MAGIC, "version": VERSION, "fabric": made.fabric, "probes": made.probes, **content}
        # Always the same bytes for the same content.
        packed = gzip.compress(json.dumps(revision).encode(), mtime=0)
        atomic.replace(f"{DIRECTORY}/{made.name}-{digest}", packed, 0o600)
        kept = sorted({*kept, f"{made.name}-{digest}"})
    for old in kept[:-KEPT]:
        os.unlink(f"{DIRECTORY}/{old}")


def names() -> list[str]:
    """The times of all revisions, the oldest first."""
    found = [NAME.fullmatch(name) for name in sorted(os.listdir(DIRECTORY))] if os.path.isdir(DIRECTORY) else []
    return [match[1] for match in found if match]


def find(wanted: str, fabric: str) -> tuple[str, Revision]:
    """What this host had in a revision of the fabric: its newest one that is no newer. Raises ArmingError."""
    older = [name for name in names() if name <= wanted]
    if not older:
        kept = ", ".join(names()) or "none"
        raise ArmingError(f"this host has no revision {wanted}, and none before it; it has {kept}")
    [file] = [name for name in sorted(os.listdir(DIRECTORY)) if name.startswith(f"{older[-1]}-")][-1:]
    path = f"{DIRECTORY}/{file}"
    try:
        data = states.read_file(path)
    except states.Unusable as error:
        raise ArmingError(f"{path} {error}") from error
    if data.startswith(states.MAGIC):
        raise ArmingError(f"{path} has an old format, without files of daemons: it cannot be applied")
    try:
        revision = json.loads(gzip.decompress(data))
        version, of = int(revision["version"]), revision["fabric"]
        if revision["magic"] != MAGIC or not {"files", "services", "probes"} <= revision.keys():
            raise ValueError("it is no revision")
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ArmingError(f"{path} is damaged ({error!r})") from error
    if version > VERSION:
        raise ArmingError(f"{path} has version {version}, and this program reads versions up to {VERSION}")
    if of != fabric:
        raise ArmingError(f"{path} is a revision of the fabric {of or 'unknown'}, not of {fabric}")
    return older[-1], revision
