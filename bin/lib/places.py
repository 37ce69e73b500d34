"""Where a lab's supervisor is found: its directory, socket and processes."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
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


def labs() -> list[str]:
    """The labs that are up, or were when they ended."""
    try:
        return sorted(os.listdir(BASE))
    except FileNotFoundError:
        return []


def take(lab: str) -> int | None:
    """Make a lab's directory and lock it; None if another process holds it. The lock goes with the process."""
    for place in (BASE, directory(lab)):
        with contextlib.suppress(FileExistsError):
            os.mkdir(place, 0o700)
        os.chmod(place, 0o700)
    descriptor = os.open(directory(lab), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    # What an earlier supervisor left that was killed.
    for name in os.listdir(directory(lab)):
        path = f"{directory(lab)}/{name}"
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
    return descriptor


def note_end(lab: str, reason: str, messages: str) -> None:
    """Leave word of why a lab ended, and the last messages of its kernel beside it."""
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
    """Processes that carry the mark of this lab's supervisor: more than one only while one of them gives up.

    Those in other process namespaces are another machine's as far as labs go: its /run is not this one.
    """
    found = []
    own = os.readlink("/proc/self/ns/pid")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    arguments = file.read().split(b"\0")
                marked = f"{MARK}{lab}".encode() in arguments and os.stat(f"/proc/{entry}").st_uid == 0
                if marked and os.readlink(f"/proc/{entry}/ns/pid") == own:
                    found.append(int(entry))
    return found
