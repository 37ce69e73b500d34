# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the program with which Ansible runs a Python module. Private to this collection.

Ansible pipes a program (AnsiballZ) into an interpreter. It unpacks a zip file with the module and all its imports, and
runs the module. A running interpreter only needs the zip file, the parameters and the module's name.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import re
import struct
import typing as t

WRAPPER = b"_ANSIBALLZ_WRAPPER = True"
CALL = b"\n    _ansiballz_main(\n"
KEYS = {b"module_fqn", b"params", b"profile", b"extensions", b"rlimit_nofile"}
# A command that only runs an interpreter: no become, no environment, no working directory.
INTERPRETER = re.compile(r"/bin/(?:ba)?sh -c '(?P<interpreter>/[\w./+-]+) && sleep 0'")
# APPNOTE.TXT of the zip format, 4.3.12 and 4.3.16: an entry of the directory, and the record after the last one.
ENTRY = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")


class Payload(t.NamedTuple):
    """`request` is for bin/lib/guest.py; `data` returns the zip file, for a kernel that does not have it yet."""

    request: dict[str, str]
    data: t.Callable[[], bytes]


def read_payload(command: str, program: bytes) -> Payload | None:
    """The payload of a program, or None if it must be run unchanged."""
    plain = INTERPRETER.fullmatch(command)
    start = program.rfind(CALL)
    if not plain or start < 0 or WRAPPER not in program[:1000]:
        return None
    given: dict[bytes, t.Any] = {}
    encoded = b""
    for line in program[start + len(CALL) :].split(b"\n"):
        name, equals, value = line.strip().partition(b"=")
        if equals and name == b"zip_data":
            encoded = value.rstrip(b",")[1:-1]  # a literal without escapes
        elif equals and name in KEYS:
            given[name] = ast.literal_eval(value.rstrip(b",").decode())
    # Extensions are for debuggers and coverage; a limit on open files is meant for the module's own process.
    if not encoded or given.keys() != KEYS or given[b"extensions"] or given[b"rlimit_nofile"]:
        return None
    try:
        payload = name_of(encoded)
    except (ValueError, struct.error):
        return None
    request = {
        "interpreter": plain["interpreter"],
        "module": given[b"module_fqn"],
        "parameters": given[b"params"],
        "profile": given[b"profile"],
        "payload": payload,
    }
    return Payload(request, lambda: base64.b64decode(encoded))


def name_of(encoded: bytes) -> str:
    """A name for a zip file (in base64) by its contents, ignoring their times, which differ between runs.

    Only its central directory is decoded and read: 0.3 ms, compared to 3 to 5 ms with zipfile.
    """
    tail = base64.b64decode(encoded[len(encoded) - (END.size // 3 + 1) * 4 :])
    signature, *_numbers, size, offset, comment = END.unpack(tail[len(tail) - END.size :])
    if signature != b"PK\5\6" or comment:
        raise ValueError("not a zip file of Ansible's")
    directory = base64.b64decode(encoded[offset // 3 * 4 :])[offset % 3 :][:size]
    digest = hashlib.sha256()
    position = 0
    while position < len(directory):
        entry = ENTRY.unpack_from(directory, position)
        if entry[0] != b"PK\1\2":
            raise ValueError("not a directory of a zip file")
        checksum, full_size, name_size, extra_size, comment_size = entry[7], entry[9], *entry[10:13]
        name = directory[position + ENTRY.size :][:name_size]
        digest.update(b"%b\0%d\0%d\0" % (name, checksum, full_size))
        position += ENTRY.size + name_size + extra_size + comment_size
    return digest.hexdigest()
