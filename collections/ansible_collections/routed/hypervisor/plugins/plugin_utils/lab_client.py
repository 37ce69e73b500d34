# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs jobs in a lab's kernel, through its supervisor's socket. Private to this collection.

bin/lib/supervisor.py is the other end; lab_frames describes the protocol.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import typing as t

from . import lab_frames as frames

BASE = "/run/routed-hypervisor-lab"
# A supervisor that is silent for this long is asked for its status, and must answer within the same time.
PATIENCE_S = 30.0
INPUT_CHUNK = 1 << 19


class LabDown(Exception):
    """The lab cannot be reached; the message gives the reason and the remedy."""


class NotUp(LabDown):
    """No supervisor runs for a lab of this name."""


class JobFailed(Exception):
    """A job was not carried out; the message gives the reason."""


class KernelSilent(JobFailed):
    """Nothing came from the kernel for longer than the caller waits."""


def directory(lab: str) -> str:
    return f"{BASE}/{lab}"


def socket_path(lab: str) -> str:
    return f"{directory(lab)}/socket"


def end_note(lab: str) -> str:
    """Why a lab ended without being taken down; empty if it was never brought up."""
    if not os.path.isdir(directory(lab)):
        return ""
    try:
        with open(f"{directory(lab)}/ended", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return "its supervisor was killed"


def other_owner(lab: str, owner: str, wanted: str) -> str:
    """The message for a running lab that belongs to another inventory."""
    return (
        f"lab {lab} is up and belongs to {owner}, not to {wanted}: take it down first (make down INVENTORY={owner}), "
        f"give this lab another name, or set the variable lab_owner to {owner} to use it all the same"
    )


def connect(lab: str, owner: str = "") -> socket.socket:
    """A connection to the supervisor of a lab. OWNER, if known, is used in the advice of the error message."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    try:
        connection.connect(socket_path(lab))
        connection.settimeout(None)
        return connection
    except PermissionError as error:
        connection.close()
        raise LabDown(f"lab {lab} belongs to root: run this as root (sudo -E)") from error
    except (TimeoutError, BlockingIOError) as error:  # its queue of connections is full
        connection.close()
        raise LabDown(_hangs(lab)) from error
    except OSError as error:
        connection.close()
        if os.path.isdir(BASE) and not os.access(BASE, os.X_OK):
            raise LabDown(f"lab {lab} belongs to root: run this as root (sudo -E)") from error
        note = end_note(lab)
        command = f"make lab INVENTORY={owner}" if owner else "make lab"
        raise NotUp(f"lab {lab} is not up{': ' + note if note else ''}. Bring it up with {command}") from error


def _hangs(lab: str) -> str:
    return (
        f"the supervisor of lab {lab} runs but does not answer: take the lab down with make down and bring it up again"
    )


def ask(lab: str, kind: str, seconds: float = PATIENCE_S, owner: str = "") -> dict[str, t.Any]:
    """The supervisor's reply to a request about itself. A stopped supervisor accepts connections, but never replies."""
    with connect(lab, owner) as connection:
        connection.settimeout(seconds)
        try:
            connection.sendall(frames.pack(0, frames.OPEN, json.dumps({"kind": kind}).encode() + b"\n"))
            for frame in frames.frames_of(connection):
                return t.cast("dict[str, t.Any]", json.loads(frame.data))
        except TimeoutError as error:
            raise LabDown(_hangs(lab)) from error
    raise LabDown(f"lab {lab} does not answer")


def run(
    lab: str,
    head: dict[str, t.Any],
    data: bytes = b"",
    payload: t.Callable[[], bytes] = bytes,
    source: t.BinaryIO | None = None,
    sink: t.BinaryIO | None = None,
    warn: t.Callable[[str], None] | None = None,
    silence_s: float | None = None,
) -> tuple[int, bytes, bytes]:
    """Runs a job and returns its exit code, output and errors. bin/lib/guest.py describes `head` and `data`.

    With `source` as input and `sink` as output, files of any size need little memory. If `head` contains an owner, a
    lab that belongs to another one is rejected. `warn` receives a sentence about the lab that explains the failure of a
    job; it is also appended to the errors. Raises KernelSilent if nothing arrives for
    `silence_s`; by default, it waits for ever.
    """
    output, errors = bytearray(), bytearray()
    with connect(lab, head.get("owner", "")) as connection:

        def send(kind: bytes, content: bytes) -> None:
            with contextlib.suppress(ConnectionError):  # the supervisor sent the reason before it closed
                connection.sendall(frames.pack(0, kind, content))

        send(frames.OPEN, json.dumps({**head, "stream": source is not None}).encode() + b"\n" + data)
        if source:
            send(frames.INPUT, source.read(INPUT_CHUNK))
        for frame in _frames(lab, connection, silence_s):
            if frame.kind == frames.EXIT:
                end = json.loads(frame.data)
                if "error" in end:
                    raise (LabDown if end.get("gone") or end.get("refused") else JobFailed)(end["error"])
                if note := end.get("note"):
                    errors.extend(f"{note}\n".encode())
                    if warn:
                        warn(note)
                return end["code"], bytes(output), bytes(errors)
            if frame.kind == frames.WANTED:
                send(frames.PAYLOAD, payload())
            elif frame.kind == frames.ACCEPTED and source:
                chunk = source.read(INPUT_CHUNK)
                send(frames.INPUT, chunk)
                source = source if chunk else None
            elif frame.kind in (frames.OUTPUT, frames.ERRORS):
                if frame.kind == frames.OUTPUT and sink:
                    sink.write(frame.data)
                else:
                    (output if frame.kind == frames.OUTPUT else errors).extend(frame.data)
                send(frames.TAKEN, frames.NUMBER.pack(len(frame.data)))
    try:
        ask(lab, "status")
    except LabDown as error:
        raise LabDown(f"lab {lab} ended meanwhile: {end_note(lab) or 'it was taken down'}") from error
    raise JobFailed(f"lab {lab} could not take the job's input: is there space left in {directory(lab)}?")


def _frames(lab: str, connection: socket.socket, silence_s: float | None) -> t.Iterator[frames.Frame]:
    """The frames of a job. A job may be silent for hours, but its supervisor must answer status requests."""
    parser = frames.Parser()
    connection.settimeout(silence_s or PATIENCE_S)
    while True:
        try:
            data = connection.recv(1 << 18)
        except TimeoutError as error:
            if silence_s:
                raise KernelSilent(f"the kernel of lab {lab} does not answer") from error
            ask(lab, "status")
            continue
        except ConnectionError:
            return
        if not data:
            return
        yield from parser.feed(data)
