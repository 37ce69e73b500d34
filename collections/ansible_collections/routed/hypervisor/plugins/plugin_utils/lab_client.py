# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs jobs in a lab's kernel, through the socket of the lab's supervisor. This plugin_util is private to this collection.

bin/lib/supervisor.py is the other end, and lab_frames describes what goes over the socket.
"""

from __future__ import annotations

import json
import os
import socket
import typing as t

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_frames as frames

BASE = "/run/routed-hypervisor-lab"
PATIENCE_S = 5


class LabDown(Exception):
    """A sentence: why the lab cannot be reached, and what to do."""


class JobFailed(Exception):
    """A sentence: why a job was not carried out."""


def directory(lab: str) -> str:
    return f"{BASE}/{lab}"


def socket_path(lab: str) -> str:
    return f"{directory(lab)}/socket"


def end_note(lab: str) -> str:
    """Why a lab is not up that nobody took down; empty if nobody brought it up."""
    if not os.path.isdir(directory(lab)):
        return ""
    try:
        with open(f"{directory(lab)}/ended", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return "its supervisor was killed"


def connect(lab: str) -> socket.socket:
    """A connection to the supervisor of a lab."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(socket_path(lab))
        return connection
    except PermissionError as error:
        connection.close()
        raise LabDown(f"lab {lab} is root's: run this as root (sudo -E)") from error
    except OSError as error:
        connection.close()
        if os.path.isdir(BASE) and not os.access(BASE, os.X_OK):
            raise LabDown(f"lab {lab} is root's: run this as root (sudo -E)") from error
        note = end_note(lab)
        raise LabDown(f"lab {lab} is not up{': ' + note if note else ''}. Bring it up with make lab") from error


def ask(lab: str, kind: str) -> dict:
    """What the supervisor answers to a request of its own: status or stop."""
    with connect(lab) as connection:
        connection.settimeout(PATIENCE_S)  # a stopped supervisor accepts, and never answers
        connection.sendall(frames.pack(0, frames.OPEN, json.dumps({"kind": kind}).encode() + b"\n"))
        for frame in frames.frames_of(connection):
            return json.loads(frame.data)
    raise LabDown(f"lab {lab} does not answer")


def run(lab: str, head: dict, data: bytes = b"", payload: t.Callable[[], bytes] = bytes) -> tuple[int, bytes, bytes]:
    """Run a job: its exit code, output and errors. `head` and `data` are described in bin/lib/guest.py."""
    output, errors = bytearray(), bytearray()
    with connect(lab) as connection:
        connection.sendall(frames.pack(0, frames.OPEN, json.dumps(head).encode() + b"\n" + data))
        for frame in frames.frames_of(connection):
            if frame.kind == frames.EXIT:
                end = json.loads(frame.data)
                if "error" in end:
                    raise (LabDown if end.get("gone") else JobFailed)(end["error"])
                return end["code"], bytes(output), bytes(errors)
            if frame.kind == frames.WANTED:
                connection.sendall(frames.pack(0, frames.PAYLOAD, payload()))
            elif frame.kind in (frames.OUTPUT, frames.ERRORS):
                (output if frame.kind == frames.OUTPUT else errors).extend(frame.data)
                connection.sendall(frames.pack(0, frames.TAKEN, frames.NUMBER.pack(len(frame.data))))
    raise LabDown(f"lab {lab} ended meanwhile: {end_note(lab) or 'it was taken down'}")
