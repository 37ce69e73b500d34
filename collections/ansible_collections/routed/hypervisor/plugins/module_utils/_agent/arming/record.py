# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of an armed change: what was before it, who armed it, and until when. Private to this collection.

It is made in a directory of another name, so that it is there as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import typing as t

from ..._engine import atomic
from ..._engine.lock import taken
from ..stored import DIRECTORY

ARMED = f"{DIRECTORY}/armed"
DRAFT = f"{DIRECTORY}/.armed.draft"
PROGRAM = f"{ARMED}/program"
ROLLED_BACK = f"{DIRECTORY}/rolled-back"
MOTD = "/etc/motd.d/routed-hypervisor"
LOCK_S = 120.0
VERSION = 1
BOOT_ID = "/proc/sys/kernel/random/boot_id"
Record = dict[str, t.Any]
ARMED_KEYS = {"by", "at", "boot", "client", "confirm_s"}
ROLLED_BACK_KEYS = {"by", "why", "when", "problems"}


class ArmingError(Exception):
    """One sentence for the user."""


@contextlib.contextmanager
def lock() -> t.Iterator[None]:
    """Arming, confirming and rolling back come one after the other. The lock is the directory itself."""
    os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
    handle = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not taken(handle, LOCK_S, 0.05):
            raise ArmingError(f"another process has locked {DIRECTORY} for {LOCK_S:.0f} s")
        yield
    finally:
        os.close(handle)


def boot_id() -> str:
    with open(BOOT_ID, encoding="ascii") as file:
        return file.read().strip()


def now() -> float:
    """Seconds since the boot: no change of the clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def write(record: Record, program: bytes) -> None:
    """Raises OSError, and leaves nothing then."""
    os.chmod(DIRECTORY, 0o700)
    shutil.rmtree(DRAFT, ignore_errors=True)
    try:
        os.mkdir(DRAFT, 0o700)
        atomic.replace(f"{DRAFT}/record", json.dumps({"version": VERSION, **record}).encode(), 0o600)
        atomic.replace(f"{DRAFT}/program", program, 0o700)
        atomic.replace(f"{DRAFT}/deadline", _deadline(record["confirm_s"]), 0o600)
        os.rename(DRAFT, ARMED)
        atomic.sync_directory(DIRECTORY)
    except BaseException:
        shutil.rmtree(DRAFT, ignore_errors=True)
        raise


def _deadline(seconds: float) -> bytes:
    return json.dumps({"boot": boot_id(), "ends": now() + seconds, "seconds": seconds}).encode()


def extend(seconds: float) -> None:
    atomic.replace(f"{ARMED}/deadline", _deadline(seconds), 0o600)


def read() -> Record | None:
    """None if nothing is armed. Raises ArmingError for a record that cannot be read."""
    if not os.path.isdir(ARMED):
        return None
    try:
        with open(f"{ARMED}/record", encoding="utf-8") as file:
            record: Record = json.load(file)
        if record["version"] != VERSION:
            raise ArmingError(f"{ARMED}/record has version {record['version']}, and this program reads {VERSION}")
        if missing := ARMED_KEYS - record.keys():
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        lost = "what was before the change cannot be brought back; see to the host, then remove"
        raise ArmingError(f"{ARMED}/record cannot be used ({error}): {lost} {ARMED}") from error
    return record


def left_s() -> float:
    """Seconds until the deadline; 0 after a boot."""
    try:
        with open(f"{ARMED}/deadline", encoding="utf-8") as file:
            deadline = json.load(file)
        return max(0.0, float(deadline["ends"]) - now()) if deadline["boot"] == boot_id() else 0.0
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def remove() -> None:
    """First by its name, which ends the state of being armed."""
    gone = f"{DIRECTORY}/.armed.gone"
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.rename(ARMED, gone)
        atomic.sync_directory(DIRECTORY)
    shutil.rmtree(gone, ignore_errors=True)


def rolled_back() -> Record | None:
    """Of the last change, if it was undone."""
    try:
        with open(ROLLED_BACK, encoding="utf-8") as file:
            found: Record = json.load(file)
        if ROLLED_BACK_KEYS - found.keys():
            raise ValueError
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError):
        return {"by": "unknown", "why": f"{ROLLED_BACK} cannot be read", "when": "", "problems": []}
    return found


def note_rollback(record: Record | None, why: str, problems: list[str]) -> None:
    by = record["by"] if record else "unknown"
    when = time.strftime("%Y-%m-%d %H:%M:%S %z")
    noted = {"by": by, "why": why, "when": when, "boot": boot_id(), "problems": problems}
    atomic.replace(ROLLED_BACK, json.dumps(noted).encode(), 0o600)
    os.makedirs(os.path.dirname(MOTD), exist_ok=True)
    atomic.replace(MOTD, f"{said(noted)}\n".encode(), 0o644)


def said(noted: Record) -> str:
    sentence = f"ROLLED BACK at {noted['when']}: the change of {noted['by']} was undone, because {noted['why']}"
    return "; ".join([sentence, *(f"not restored: {text}" for text in noted["problems"])])


def forget_rollback() -> None:
    for path in (ROLLED_BACK, MOTD):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    with contextlib.suppress(OSError):  # others have messages there
        os.rmdir(os.path.dirname(MOTD))
