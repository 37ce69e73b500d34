# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings back what was before an armed change. Private to this collection.

An error of one part stops no other. The firewall comes first, so that SSH is open again, then the kernel, then files,
then the daemons that read them.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import glob
import os
import signal
import typing as t

from ..._daemon.service import run
from ..._engine.lock import HOST_LOCK, Held, host_lock
from ..._netlink.kernel import Kernel
from ..._netlink.marks import MARK
from .. import stored as states
from .. import units
from . import files, kernel, services, tables
from .record import Record, boot_id

PATIENCE_S, AFTER_A_KILL_S = 4.0, 1.0  # for a run that holds the lock of the host


@dataclasses.dataclass
class Undone:
    problems: list[str] = dataclasses.field(default_factory=list)
    kernel_is_back: bool = False


def store() -> Record:
    """What is before a change. Raises OSError if it cannot be read."""
    opened = Kernel()
    try:
        found = {"kernel": kernel.store(opened), "tables": tables.read()}
        return {**found, "files": files.store(), "services": services.read()}
    finally:
        opened.close()


def undo(record: Record) -> Undone:
    undone = Undone()
    with _alone():
        rebooted = record["boot"] != boot_id()
        if rebooted:
            # The kernel has forgotten the change. The unit that comes next applies the former state.
            undone.kernel_is_back = True
            restored = _files(record, undone)
            _part(undone, "services", lambda: _services_at_boot(record))
            return undone
        _part(undone, "the firewall", lambda: tables.restore(record["tables"]))
        _kernel(record, undone)
        restored = _files(record, undone)
    _part(undone, "services", lambda: services.restore(record["services"], restored))
    _part(undone, "daemons", _late)
    _part(undone, "daemons' routes", lambda: _routes_of_daemons(record["kernel"]["daemons_routes"]))
    return undone


def _part(undone: Undone, name: str, work: t.Callable[[], list[str]]) -> None:
    try:
        undone.problems += work()
    except Exception as error:  # whatever it is, the other parts must be restored
        undone.problems.append(f"{name}: {error!r}")


def _kernel(record: Record, undone: Undone) -> None:
    def work() -> list[str]:
        opened = Kernel()
        try:
            _by_the_engine(record, opened)
            problems = kernel.restore(opened, record["kernel"])
            undone.kernel_is_back = not problems
            return problems
        finally:
            opened.close()

    _part(undone, "the kernel", work)


def _by_the_engine(record: Record, opened: Kernel) -> None:
    """Brings back what is in containers' namespaces. What it does not achieve is found by the comparison."""
    from ..._network import network  # noqa: PLC0415 - not needed for a boot
    from .. import converge  # noqa: PLC0415

    former = _former_state(record["files"])
    had_ours = any(str(link["alias"]).startswith(MARK) for link in record["kernel"]["links"])
    if former is None and not had_ours:
        config: dict[str, t.Any] = {name: [] for name, kind in network.KINDS.items() if kind.deletable}
    elif former is not None:
        config = former.network
    else:
        return
    try:
        converge.converge(opened, config, keeps_path=False)
    except Exception:  # the comparison that follows reports what is missing
        return


def _former_state(stored: list[files.Entry]) -> states.Stored | None:
    path = f"{states.DIRECTORY}/{states.CURRENT}"
    for entry in stored:
        if entry["path"] == path and "content" in entry:
            try:
                return states.decode(base64.b64decode(entry["content"]))
            except states.Unusable:
                return None
    return None


def _files(record: Record, undone: Undone) -> list[str]:
    restored: list[str] = []

    def work() -> list[str]:
        found, problems = files.restore(record["files"])
        restored.extend(found)
        return problems + services.read_again(found)

    _part(undone, "files", work)
    return restored


def _services_at_boot(record: Record) -> list[str]:
    """systemd starts what is enabled, by what it read before the files were restored; waiting for it would be a
    deadlock, because it waits for this."""
    ran = record["services"]
    for name, verb in [
        *((name, "start") for name, active in ran.items() if active),
        *((name, "stop") for name, _active in services.read().items() if not ran.get(name)),
    ]:
        if name != f"{units.SERVICE}.service" or verb == "stop":
            run(["systemctl", "--no-block", verb, name], services.SYSTEMCTL_S)
    return []


def _late() -> list[str]:
    """Daemons that run use what came back after them, without a restart where they can."""
    from .. import daemons  # noqa: PLC0415

    return daemons.late(apply=True)[1]


def _routes_of_daemons(before: dict[str, int]) -> list[str]:
    opened = Kernel()
    try:
        return services.add_routes_again(before, kernel.daemons_routes(opened))
    finally:
        opened.close()


@contextlib.contextmanager
def _alone() -> t.Iterator[None]:
    """With the lock of the host. A run that holds it for long is part of what is undone, and is ended."""
    with contextlib.ExitStack() as stack:
        patience = PATIENCE_S
        for holders in (_who_locked_it, _who_has_it_open):
            try:
                stack.enter_context(host_lock(patience, also_after_rollback=True))
                break
            except Held:
                for pid in holders():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                patience = AFTER_A_KILL_S
        else:
            stack.enter_context(host_lock(patience, also_after_rollback=True))
        yield


def _who_locked_it() -> list[int]:
    inode = os.stat(HOST_LOCK).st_ino
    with open("/proc/locks", encoding="ascii") as file:
        rows = [line.split() for line in file]
    found = [int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].rpartition(":")[2] == str(inode)]
    return [pid for pid in found if pid > 1 and pid != os.getpid()]


def _who_has_it_open() -> list[int]:
    """A process that was started by the one that locked the file has the lock, too."""
    lock, found = os.stat(HOST_LOCK), set()
    for path in glob.glob("/proc/[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # it is gone
            if os.path.samestat(os.stat(path), lock):
                found.add(int(path.split("/")[2]))
    return sorted(found - {1, os.getpid()})
