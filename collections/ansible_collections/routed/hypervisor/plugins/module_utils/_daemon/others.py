# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that must not run beside another one: two routing daemons would fight. Private to this collection."""

from __future__ import annotations

import fnmatch
import os

from . import files as disk
from . import service_file
from .plan import BACKUP, Other, is_ours
from .service import Service, has_systemd

UNITS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
SCRIPTS = ("/etc/init.d",)


def service_names(systemd: bool) -> set[str]:
    """All services of this host, running or not."""
    names: set[str] = set()
    for directory in UNITS if systemd else SCRIPTS:
        if os.path.isdir(directory):
            names.update(os.listdir(directory))
    if systemd:
        names = {name.removesuffix(".service") for name in names if name.endswith(".service")}
    return {name for name in names if not name.startswith(".") and not name.endswith(BACKUP)}


def matching(patterns: list[str], names: set[str]) -> list[str]:
    """The names that match a pattern, except those that match a pattern after `!`."""
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    return sorted(
        name
        for name in names
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)
        and not any(fnmatch.fnmatchcase(name, pattern) for pattern in excluded)
    )


def observe(name: str, systemd: bool, timeout: float = 30) -> Other:
    """The state of one service. If it is ours, its unit or init script lists the files that belong to it."""
    path = service_file.path(name, systemd)
    file = disk.read(path)
    ours = file is not None and is_ours(file.content)
    service = Service(name, timeout=timeout, ours=ours)
    files: list[str] = []
    cleanup: list[str] = []
    if file is not None and ours:
        listed, cleanup = service_file.notes(file.content.decode(errors="replace"))
        # The unit or init script is removed last, so that the next run can complete an interrupted one.
        for belonging in (*listed, path):
            old = disk.read(belonging)
            if old is not None and is_ours(old.content):
                files.append(belonging)
    return Other(
        name=name,
        runs=service.is_on(),
        enabled=service.enabled(),
        files=tuple(files),
        backups=frozenset(file for file in files if os.path.lexists(file + BACKUP)),
        cleanup=tuple(cleanup),
    )


def find(patterns: list[str], own: str, timeout: float = 30) -> list[Other]:
    """The matching services that run, start at boot, or are ours."""
    if not patterns:
        return []
    systemd = has_systemd()
    found = [observe(name, systemd, timeout) for name in matching([*patterns, f"!{own}"], service_names(systemd))]
    return [other for other in found if other.runs or other.enabled or other.files]
