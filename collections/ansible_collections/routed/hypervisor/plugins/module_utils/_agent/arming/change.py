# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arming a change, confirming it, and rolling it back. Private to this collection."""

from __future__ import annotations

import os
import time

from ..._daemon.service import has_systemd
from ..._engine import atomic
from ..._network.connection import of_this_process
from . import applied, record, timer, undo
from .record import ArmingError, Record

SHORTEST_S, LONGEST_S = 5, 7 * 86400
ATTEMPTS = 10  # at a rollback, before what cannot be restored is reported and left


def arm(by: str, confirm_s: float, program: bytes) -> None:
    with record.lock():
        refuse(confirm_s)
        try:
            now = undo.store()
            found = {"by": by, "boot": record.boot_id(), "confirm_s": confirm_s, "client": client()}
            record.write({**found, "at": time.strftime("%Y-%m-%d %H:%M:%S %z"), **now}, program)
        except OSError as error:
            why = f"the state before the change cannot be stored: {error.strerror}"
            raise ArmingError(f"{why}; nothing was changed") from error
        try:
            timer.start(confirm_s)
        except (ArmingError, OSError) as error:
            record.remove()
            timer.stop()
            raise ArmingError(f"{error}; nothing was changed") from error


def refuse(confirm_s: float) -> None:
    """What cannot be armed, before anything is touched."""
    _refuse_time(confirm_s)
    if not has_systemd():
        raise ArmingError("a change can be armed only on a host that runs systemd: nothing else would end it")
    _refuse_if_armed()


def _refuse_time(seconds: float) -> None:
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise ArmingError(f"the time to confirm must be between {SHORTEST_S} and {LONGEST_S} s, not {seconds:g}")


def _refuse_if_armed() -> None:
    armed = record.read()
    if armed is not None:
        raise ArmingError(f"another change is armed: {said(armed)}; confirm it or roll it back first")


def waive(check_mode: bool) -> None:
    """Changes of this host need no confirmation from now on, and the last rollback is forgotten."""
    _refuse_if_armed()
    if not check_mode:
        record.forget_rollback()


def extend(seconds: float) -> None:
    """The whole time again, for a stage that begins."""
    with record.lock():
        _armed("extend")
        _refuse_time(seconds)
        record.extend(seconds)
        timer.restart(seconds)


def confirm(new_connection: bool = True, made: applied.Made | None = None) -> None:
    with record.lock():
        armed = _armed("confirm")
        here = client()
        if new_connection and here is not None and here == armed["client"]:
            raise ArmingError(
                "this connection is the one that armed the change, and proves nothing about a new one: "
                "confirm over a new connection (with OpenSSH: without ControlMaster)"
            )
        applied.keep(made or applied.Made())
        timer.stop()
        record.remove()
        record.forget_rollback()


def _armed(verb: str) -> Record:
    armed = record.read()
    if armed is None:
        noted = record.rolled_back()
        why = record.said(noted) if noted else f"arm a change before you {verb} it"
        raise ArmingError(f"nothing is armed: {why}")
    if not record.left_s():
        raise ArmingError(f"the time to {verb} is over: {said(armed)}; the change is being rolled back")
    return armed


def roll_back(expired: bool) -> tuple[bool, list[str]]:
    """Whether it is done, and what could not be restored."""
    with record.lock():
        armed = record.read()
        if armed is None:
            if expired:
                return True, []  # confirmed at the last moment
            raise ArmingError("nothing is armed")
        rebooted = armed["boot"] != record.boot_id()
        if expired and record.left_s() > 1:
            return True, []  # extended at the last moment
        if rebooted:
            why = "the host was rebooted before it was confirmed"
        elif expired:
            why = f"it was not confirmed within {armed['confirm_s']:g} s"
        else:
            why = f"of the command rollback ({me()})"
        undone = undo.undo(armed)
        if not undone.kernel_is_back and expired and _attempt() < ATTEMPTS:
            return False, undone.problems
        record.note_rollback(armed, why, undone.problems)
        record.remove()
        timer.stop()
        return True, undone.problems


def _attempt() -> int:
    path = f"{record.ARMED}/attempts"
    try:
        with open(path, encoding="ascii") as file:
            number = int(file.read()) + 1
    except (OSError, ValueError):
        number = 1
    atomic.replace(path, str(number).encode(), 0o600)
    return number


def client() -> str | None:
    """The address and port of the SSH client that this process belongs to."""
    found = of_this_process()
    return f"{found.peer} {found.port}" if found else None


def me() -> str:
    found = of_this_process()
    user = os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"
    return f"{user} from {found.peer}" if found else user


def said(armed: Record) -> str:
    return f"armed by {armed['by']} at {armed['at']}, {record.left_s():.0f} s left"


def lines() -> list[str]:
    """For people."""
    armed, noted = record.read(), record.rolled_back()
    found = [f"a change is {said(armed)}, then it is rolled back"] if armed else []
    return [*found, *([record.said(noted)] if noted else [])]
