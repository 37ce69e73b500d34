# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs the agent on a host, and stores the host's state. Private to this collection."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import typing as t

from .._daemon import files as disk
from .._daemon import others, service_file
from .._daemon.plan import BACKUP, WantedFile, is_ours, permissions, removal_of
from .._daemon.service import Service, has_systemd, run
from .._engine.change import Change
from .._engine.text import to_text
from .._netlink.kernel import Kernel
from . import archive, units
from . import stored as states
from .follow.release import release_all
from .routing.release import release

# Every path that a version of this role may have written, and of these, what other managers read
MANAGED = (
    units.PROGRAM,
    units.UNIT,
    f"/etc/systemd/system/gobgpd-.service.d/{units.SERVICE}.conf",
    f"/etc/systemd/system/dhcrelay-.service.d/{units.SERVICE}.conf",
    f"/etc/systemd/system/ndppd.service.d/{units.SERVICE}.conf",
)
ENABLED = f"/etc/systemd/system/multi-user.target.wants/{units.SERVICE}.service"
FOR_MANAGERS = (units.NETWORKD, units.NETWORKD_LINKS, units.NETWORK_MANAGER)
# How a running manager of interfaces reads its files again, by directory.
RELOADS = {
    "/etc/systemd/network/": ("systemd-networkd", ("networkctl", "reload")),
    "/etc/NetworkManager/": ("NetworkManager", ("systemctl", "reload", "NetworkManager")),
}
# Directories of the routing manager, when it was a service of its own
REPLACED_PACKAGE, REPLACED_CONFIG = "/usr/local/lib/routed-hypervisor", "/etc/routed-hypervisor"
DROP_INS = (".service.d", "networkd.conf.d")  # directories that no package brings
SYSTEMCTL_S = 150.0


@dataclasses.dataclass
class Outcome:
    changes: list[Change[t.Any]] = dataclasses.field(default_factory=list)
    diff: list[dict[str, str]] = dataclasses.field(default_factory=list)
    needs_program: bool = False
    follows: bool = False


class InstallError(Exception):
    """One message for the user."""


def install(
    stored: states.Stored, program: bytes | None, digest: str, check_mode: bool, directory: str = states.DIRECTORY
) -> Outcome:
    outcome = Outcome(follows=stored.follows())
    wanted, systemd = [WantedFile(units.PROGRAM, b"", mode=0o755)], has_systemd()
    if systemd:
        wanted += [WantedFile(path, text.encode()) for path, text in units.files(os.path.exists).items()]
    if outcome.follows:
        text, mode = units.follower(systemd).encode(), 0o644 if systemd else 0o755
        wanted.append(WantedFile(service_file.path(units.FOLLOWER, systemd), text, mode))
    seen = {file.path: disk.read(file.path) for file in wanted}
    content = program_for(seen[units.PROGRAM], program, digest)
    if content is None and not check_mode:
        outcome.needs_program = True
        return outcome
    wanted[0] = dataclasses.replace(wanted[0], content=content or b"")
    for file in wanted:
        _write(file, seen[file.path], outcome, check_mode)
    _remove_service(units.REPLACED, outcome, check_mode)
    if not outcome.follows:
        _stop_following(outcome, check_mode)
    _remove_ours([path for path in MANAGED if path not in seen], outcome, check_mode)
    _store(directory, stored, outcome, check_mode)
    return outcome


def prepare(network: dict[str, t.Any], guests: dict[str, t.Any], check_mode: bool) -> Outcome:
    """Before the network is made: managers that match its links would undo it at once."""
    outcome = Outcome()
    if has_systemd():
        wanted = units.for_managers(network, guests, os.path.exists)
        for path, text in wanted.items():
            _write(WantedFile(path, text.encode()), disk.read(path), outcome, check_mode)
        _remove_ours([path for path in FOR_MANAGERS if path not in wanted], outcome, check_mode)
    if not check_mode:
        _reload_managers(outcome)
    return outcome


def _write(file: WantedFile, old: t.Any, outcome: Outcome, check_mode: bool) -> None:
    change = _difference(file, old)
    if change is None:
        return
    outcome.changes.append(change)
    if file.path != units.PROGRAM:
        outcome.diff.append(_shown(file.path, old.content if old else b"", file.content))
    if not check_mode:
        disk.apply(change, file, old)


def _reload_managers(outcome: Outcome) -> None:
    for directory, (service, command) in RELOADS.items():
        changed = any(change.kind == "files" and change.name.startswith(directory) for change in outcome.changes)
        if changed and run(["systemctl", "is-active", "--quiet", service], SYSTEMCTL_S).code == 0:
            result = run(list(command), SYSTEMCTL_S)
            if result.code:
                raise InstallError(f"{' '.join(command)} failed:\n{result.short()}")


def remove(check_mode: bool, directory: str = states.DIRECTORY) -> Outcome:
    outcome = Outcome()
    _remove_service(units.REPLACED, outcome, check_mode)
    _stop_following(outcome, check_mode)
    if has_systemd() and os.path.lexists(ENABLED):
        outcome.changes.append(Change("services", "disable", units.SERVICE, "it is to be removed"))
        if not check_mode:
            _systemctl("disable", "--now", f"{units.SERVICE}.service")
    _remove_ours([*MANAGED, *FOR_MANAGERS], outcome, check_mode)
    for name in (states.CURRENT, states.PREVIOUS):
        path = os.path.join(directory, name)
        if os.path.lexists(path):
            outcome.changes.append(Change("files", "delete", path, "it is to be removed"))
            if not check_mode:
                os.unlink(path)
    if outcome.changes and not check_mode and has_systemd():
        _systemctl("daemon-reload")
        Service(units.SERVICE, ours=True).forget_failure()
        _reload_managers(outcome)
    return outcome


def _remove_service(name: str, outcome: Outcome, check_mode: bool) -> None:
    """Without what would clean up after it: what it has made is taken over, or released."""
    if not os.path.lexists(service_file.path(name, has_systemd())):
        return
    seen = dataclasses.replace(others.observe(name, has_systemd()), cleanup=())
    changes = removal_of(seen, "it is ours and no longer wanted")
    outcome.changes += changes
    if check_mode:
        return
    service = Service(name, ours=True)
    for change in changes:
        if change.kind == "files":
            disk.apply(change, WantedFile(change.name, b""), None)
        elif change.op == "stop":
            service.stop()
        else:
            service.enable(False)
    service.forget_failure()
    disk.write_stamp(name, None)
    if name == units.REPLACED:
        shutil.rmtree(REPLACED_PACKAGE, ignore_errors=True)
        with contextlib.suppress(OSError):  # others have files there
            os.rmdir(REPLACED_CONFIG)


def _stop_following(outcome: Outcome, check_mode: bool) -> None:
    """What the agent has made for guests and containers goes with it: nothing would remove it later."""
    _remove_service(units.FOLLOWER, outcome, check_mode)
    kernel = Kernel()
    try:
        outcome.changes += release_all(kernel, check_mode)
        for table, count in release(kernel.network, check_mode=check_mode).items():
            why = "nothing is followed any more"
            outcome.changes.append(Change("routes", "delete", f"{count} of GoBGP and containers in table {table}", why))
    finally:
        kernel.close()


def program_for(seen: t.Any, given: bytes | None, digest: str) -> bytes | None:
    """The content of the program on this host, from the file there or as given; None if neither is this version."""
    for content in (seen.content if seen else None, given):
        program = archive.decode(content) if content else None
        if program is None or program.digest() != digest:
            continue
        if archive.runs_the_program() and not program.has_byte_code():
            return program.with_byte_code().encode()
        return content
    if given is not None:
        raise InstallError("program: its digest differs from program_digest")
    return None


def _difference(file: WantedFile, old: t.Any) -> Change[t.Any] | None:
    if old is None:
        return Change("files", "create", file.path, "it does not exist")
    if old.content != file.content:
        why = "its content differs" if is_ours(old.content) else "it is not ours: a backup is kept beside the new one"
        return Change("files", "change", file.path, why)
    if (old.mode, old.uid, old.gid) != (file.mode, file.uid, file.gid):
        return Change("files", "change", file.path, "its owner or mode differs", permissions(old), permissions(file))
    return None


def _remove_ours(paths: list[str], outcome: Outcome, check_mode: bool) -> None:
    for path in paths:
        old = disk.read(path)
        if old is not None and is_ours(old.content):
            _remove(path, outcome, check_mode)


def _remove(path: str, outcome: Outcome, check_mode: bool) -> None:
    restore = os.path.lexists(path + BACKUP)
    outcome.changes.append(Change("files", "restore" if restore else "delete", path, "it is ours and no longer wanted"))
    if not check_mode:
        if restore:
            os.replace(path + BACKUP, path)
        else:
            os.unlink(path)
            directory = os.path.dirname(path)
            if directory.endswith(DROP_INS):
                with contextlib.suppress(OSError):  # others have files there
                    os.rmdir(directory)


def _shown(path: str, before: bytes, after: bytes) -> dict[str, str]:
    return {
        "before_header": path,
        "after_header": path,
        "before": before.decode(errors="replace"),
        "after": after.decode(errors="replace"),
    }


def _store(directory: str, stored: states.Stored, outcome: Outcome, check_mode: bool) -> None:
    path = os.path.join(directory, states.CURRENT)
    wanted, before = states.encode(stored), b""
    try:
        before = states.read_file(path)
        mode = os.stat(path).st_mode & 0o777
        if before == wanted and mode == 0o600 and os.stat(directory).st_mode & 0o777 == 0o700:
            return
        old = states.decode(before)
        why = "the stored state differs" if before != wanted else "its mode or format differs"
        op = "change"
    except FileNotFoundError:
        old, why, op = None, "it does not exist", "create"
    except states.Unusable as error:
        missing = not os.path.lexists(path)
        old, why, op = None, "it does not exist" if missing else f"it {error}", "create" if missing else "change"
    outcome.changes.append(Change("files", op, path, why))
    after_text = to_text(json.loads(wanted.partition(b"\n")[2]))
    outcome.diff.append(
        {
            "before_header": path,
            "after_header": path,
            "before": to_text(dataclasses.asdict(old)) if old else "",
            "after": after_text,
        }
    )
    if not check_mode:
        states.write(directory, stored)


def enable(outcome: Outcome, check_mode: bool) -> None:
    """Not while the lock of the host is held: the units take it."""
    if outcome.needs_program:
        return
    files = {change.name for change in outcome.changes if change.kind == "files"}
    if has_systemd():
        if not check_mode and any(name.startswith("/etc/systemd/system") for name in files):
            _systemctl("daemon-reload")
        if not os.path.lexists(ENABLED):
            outcome.changes.append(Change("services", "enable", units.SERVICE, "it is not enabled"))
            if not check_mode:
                # The first start finds the network as stored, and proves that it would at boot.
                _systemctl("enable", "--now", f"{units.SERVICE}.service")
    if outcome.follows:
        _start_following(outcome, check_mode, files)


def _start_following(outcome: Outcome, check_mode: bool, changed: set[str]) -> None:
    service = Service(units.FOLLOWER, ours=True)
    if not service.enabled():
        outcome.changes.append(Change("services", "enable", units.FOLLOWER, "it is not enabled"))
        if not check_mode:
            service.enable(True)
    process = service.main()
    paths = {units.PROGRAM, service_file.path(units.FOLLOWER, has_systemd())}
    # A run that was killed may have written them, and not restarted the service.
    if process and not paths & changed and process.started > max(os.path.getmtime(path) for path in paths):
        return
    op, why = ("restart", "its program or unit has changed") if process else ("start", "it is not running")
    outcome.changes.append(Change("services", op, units.FOLLOWER, why))
    if not check_mode:
        service.start(action=op)


def _systemctl(*words: str) -> None:
    result = run(["systemctl", *words], SYSTEMCTL_S)
    if result.code:
        raise InstallError(f"systemctl {' '.join(words)} failed:\n{result.short()}")
