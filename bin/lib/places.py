"""Locates a lab's supervisor: its directory, socket and processes."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import os
import pwd
import shutil
import sys

sys.path.append(f"{os.path.dirname(os.path.realpath(__file__))}/../../collections")

from ansible_collections.routed.hypervisor.plugins.plugin_utils.lab_client import (
    BASE,
    directory,
    end_note,
    socket_path,
)

__all__ = ["BASE", "directory", "end_note", "labs", "note_end", "remove", "socket_path", "supervisors", "take"]

MARK = "routed-hypervisor-lab:"


class Unsafe(OSError):
    """A directory that another user could change."""


def explain(error: OSError) -> str:
    """A sentence about an error with the directory of a lab."""
    if isinstance(error, Unsafe):
        return str(error)
    if error.errno == errno.ENOSPC:
        return (
            f"no space left in /run for {error.filename or BASE}: free some; df /run and df -i /run show what is full"
        )
    return str(error)


def check_owner(place: str) -> None:
    owner = os.stat(place).st_uid
    if owner != os.geteuid():
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"user {owner}"
        raise Unsafe(f"{place} belongs to {name}, who could take over the lab: remove it, and try again")


def labs() -> list[str]:
    """The labs that are up, or ended without being taken down."""
    try:
        return sorted(os.listdir(BASE))
    except FileNotFoundError:
        return []


def take(lab: str) -> int | None:
    """Create a lab's directory and lock it; None if another process holds it. The lock ends with the process."""
    for place in (BASE, directory(lab)):
        with contextlib.suppress(FileExistsError):
            os.mkdir(place, 0o700)
        check_owner(place)
        os.chmod(place, 0o700)
    descriptor = os.open(directory(lab), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    # Files left by an earlier supervisor that was killed.
    for name in os.listdir(directory(lab)):
        path = f"{directory(lab)}/{name}"
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    return descriptor


def note_end(lab: str, reason: str, messages: str) -> None:
    """Record why a lab ended, and the last messages of its kernel beside it."""
    with contextlib.suppress(OSError), open(f"{directory(lab)}/messages", "w", encoding="utf-8") as file:
        file.write(messages)
    now = datetime.datetime.now().astimezone().strftime("%H:%M:%S")
    with contextlib.suppress(OSError), open(f"{directory(lab)}/ended", "w", encoding="utf-8") as file:
        file.write(f"it ended at {now}: {reason}")


def remove(lab: str) -> None:
    shutil.rmtree(directory(lab), ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(BASE)


def supervisors(lab: str) -> list[int]:
    """Processes that carry the mark of this lab's supervisor; more than one only while one of them is giving up.

    A container's processes are visible here, too, and its lab of the same name is not ours.
    """
    found = []
    ours = os.stat("/proc/self/ns/pid").st_ino
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    arguments = file.read().split(b"\0")
                if f"{MARK}{lab}".encode() not in arguments or os.stat(f"/proc/{entry}").st_uid != 0:
                    continue
                if os.stat(f"/proc/{entry}/ns/pid").st_ino == ours:
                    found.append(int(entry))
    return found
