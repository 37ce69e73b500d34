# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a run may write, as they were before it. Private to this collection."""

from __future__ import annotations

import base64
import glob
import os
import stat
import typing as t

from ..._engine import atomic
from .. import units

# Everything that roles and modules write on a hypervisor, by path or pattern; directories with all that is in them.
ETC = (
    "bird",
    "cni/net.d",
    "default/gobgpd*",
    "dhcpcd.conf*",
    "dnsmasq.conf*",
    "dnsmasq.hosts*",
    "docker/daemon.json*",
    "containers",
    "frr",
    "gobgp",
    "ndppd.conf*",
    "radvd.conf*",
    "routed-hypervisor",
    "init.d/gobgpd*",
    "init.d/routed-hypervisor*",
)
UNITS = (*units.DAEMONS, "gobgpd-*", units.SERVICE, units.FOLLOWER, units.REPLACED)
PATTERNS = (
    *(f"/etc/{path}" for path in ETC),
    # Units, drop-ins, masks and enablement are all files. init scripts are enabled by links in /etc/rc?.d.
    *(f"/etc/systemd/system/{unit}.service" for unit in UNITS),
    *(f"/etc/systemd/system/{unit}.service.d" for unit in (*UNITS, "gobgpd-")),
    *(f"/etc/systemd/system/*.wants/{unit}.service" for unit in UNITS),
    *(f"/etc/rc?.d/[SK]??{unit}" for unit in UNITS),
    units.NETWORKD,
    units.NETWORKD_LINKS,
    units.NETWORK_MANAGER,
    f"{units.PROGRAM}*",  # also that of units.REPLACED
    "/usr/local/lib/routed-hypervisor",
    "/var/lib/routed-hypervisor/state*",
    "/var/lib/routed-hypervisor/former.json",
    "/var/lib/routed-hypervisor/daemons",
    "/usr/lib/cni/routed-hypervisor",
    "/opt/cni/bin/routed-hypervisor",
    "/var/lib/cni/networks",
)
Entry = dict[str, t.Any]


def store() -> list[Entry]:
    return [_entry(path) for path in _paths()]


def _paths() -> list[str]:
    found: set[str] = set()
    for pattern in PATTERNS:
        for path in glob.glob(pattern):
            found.add(path)
            if os.path.isdir(path) and not os.path.islink(path):
                found.update(
                    os.path.join(directory, name)
                    for directory, directories, names in os.walk(path)
                    for name in (*directories, *names)
                )
    return sorted(found)


def _entry(path: str) -> Entry:
    status = os.lstat(path)
    entry: Entry = {"path": path, "mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
    if stat.S_ISLNK(status.st_mode):
        return {**entry, "mode": None, "link": os.readlink(path)}
    if stat.S_ISDIR(status.st_mode):
        return {**entry, "directory": True}
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            return {**entry, "content": base64.b64encode(file.read()).decode()}
    return {**entry, "special": True}  # a socket, for instance: daemons make these themselves


def differences(stored: list[Entry], found: list[Entry] | None = None) -> list[str]:
    """Paths. `found` is what is there now: all that is stored by default."""
    wanted = {entry["path"]: entry for entry in stored if "special" not in entry}
    have = {entry["path"]: entry for entry in (store() if found is None else found) if "special" not in entry}
    return sorted(path for path in wanted.keys() | have.keys() if wanted.get(path) != have.get(path))


def restore(stored: list[Entry], found: list[Entry] | None = None) -> tuple[list[str], list[str]]:
    """Paths that were restored, and what could not be, each in one sentence. Where the disk is full, nothing is lost: a
    file is replaced by a complete one or left alone."""
    wanted = {entry["path"]: entry for entry in stored}
    different = differences(stored, found)
    restored, problems = [], []
    for path in sorted(set(different) - set(wanted), reverse=True):  # what is in a directory before the directory
        try:
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            restored.append(path)
        except OSError as error:
            problems.append(f"could not remove {path}: {error.strerror}")
    for path in (path for path in different if path in wanted):
        try:
            _write(wanted[path])
            restored.append(path)
        except OSError as error:
            problems.append(f"could not restore {path}: {error.strerror}")
    return restored, problems


def _write(entry: Entry) -> None:
    path = entry["path"]
    if "directory" in entry:
        if not os.path.isdir(path) or os.path.islink(path):
            _clear(path)
            os.makedirs(path, mode=0o700)
        os.chown(path, entry["uid"], entry["gid"])
        os.chmod(path, entry["mode"])
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    if "link" in entry:
        draft = atomic.draft_of(path)
        _clear(draft)
        os.symlink(entry["link"], draft)
        os.chown(draft, entry["uid"], entry["gid"], follow_symlinks=False)
        os.replace(draft, path)
        return
    atomic.replace(path, base64.b64decode(entry["content"]), entry["mode"], entry["uid"], entry["gid"])


def _clear(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)
