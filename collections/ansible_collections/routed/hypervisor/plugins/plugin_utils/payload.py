# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the text by which Ansible runs a Python module. This plugin_util is private to this collection.

Ansible sends an interpreter a program (AnsiballZ) that unpacks a zip file, with the module and all that it imports, and
runs it. An interpreter that is up needs the zip file, the parameters and the module's name.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import re
import typing as t
import zipfile

WRAPPER = b"_ANSIBALLZ_WRAPPER = True"
CALL = b"\n    _ansiballz_main(\n"
# A command that runs an interpreter and nothing else: no become, no environment, no directory of its own.
INTERPRETER = re.compile(r"/bin/(?:ba)?sh -c '(?P<interpreter>/[\w./+-]+) && sleep 0'")


class Payload(t.NamedTuple):
    """`request` is what guest.py wants to know; `data` gives the zip file, for when it is not known there."""

    request: dict[str, str]
    data: t.Callable[[], bytes]


def read_payload(command: str, program: bytes) -> Payload | None:
    """What is to be run, or None where it must be run as it is."""
    plain = INTERPRETER.fullmatch(command)
    if not plain or WRAPPER not in program[:1000]:
        return None
    start = program.rfind(CALL)
    given: dict[str, t.Any] = {}
    for line in program[start + len(CALL) :].split(b"\n"):
        name, equals, value = line.strip().partition(b"=")
        if equals and name in (b"zip_data", b"module_fqn", b"params", b"profile", b"extensions", b"rlimit_nofile"):
            given[name.decode()] = ast.literal_eval(value.rstrip(b",").decode())
    # Extensions are for debuggers and coverage; with a limit the module's own process is meant.
    if start < 0 or len(given) != 6 or given["extensions"] or given["rlimit_nofile"]:
        return None
    data = base64.b64decode(given["zip_data"])
    request = {
        "interpreter": plain["interpreter"],
        "module": given["module_fqn"],
        "parameters": given["params"],
        "profile": given["profile"],
        "payload": name_of(data),
    }
    return Payload(request, lambda: data)


def name_of(data: bytes) -> str:
    """A name for a zip file by what is in it, not by when it was made."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = [(entry.filename, entry.CRC, entry.file_size) for entry in archive.infolist()]
    return hashlib.sha256(repr(contents).encode()).hexdigest()
