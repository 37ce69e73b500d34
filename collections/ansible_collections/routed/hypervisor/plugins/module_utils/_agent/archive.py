# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as one file: a line for the kernel, then a zip archive. Private to this collection.

The controller builds it from sources; the same sources give the same bytes. The host adds byte code, which depends on
its Python: without it, compiling would take most of the program's start. Another Python ignores it and compiles.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import marshal
import os
import sys
import typing as t
import zipfile

TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can express
INTERPRETER = "/usr/bin/python3"
UNCHECKED = (1).to_bytes(4, "little")  # byte code that is identified by a hash, which is not compared at import


class Program(t.NamedTuple):
    prefix: bytes
    entries: dict[str, bytes]

    def encode(self) -> bytes:
        made = io.BytesIO()
        made.write(self.prefix)
        with zipfile.ZipFile(made, "w") as archive:
            for name in sorted(self.entries):
                entry = zipfile.ZipInfo(name, TIME)
                entry.create_system, entry.external_attr = 3, 0o644 << 16
                # Not compressed: zlib's output depends on its version, and reading is faster.
                archive.writestr(entry, self.entries[name], zipfile.ZIP_STORED)
        return made.getvalue()

    def sources(self) -> Program:
        return Program(self.prefix, {name: text for name, text in self.entries.items() if not _is_byte_code(name)})

    def digest(self) -> str:
        """Of the sources."""
        return hashlib.sha256(self.sources().encode()).hexdigest()

    def has_byte_code(self) -> bool:
        """Whether there is byte code of this Python for every source."""
        sources = self.sources().entries
        return all(self.entries.get(f"{name}c", b"").startswith(_head(text)) for name, text in sources.items())

    def with_byte_code(self) -> Program:
        entries = dict(self.sources().entries)
        for name, text in self.sources().entries.items():
            code = compile(text, name, "exec", dont_inherit=True)
            entries[f"{name}c"] = _head(text) + marshal.dumps(code)
        return Program(self.prefix, entries)


def _head(source: bytes) -> bytes:
    return importlib.util.MAGIC_NUMBER + UNCHECKED + importlib.util.source_hash(source)


def _is_byte_code(name: str) -> bool:
    return name.endswith(".pyc")


def decode(content: bytes) -> Program | None:
    """None if it is no program."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            start = min((entry.header_offset for entry in archive.infolist()), default=len(content))
            return Program(content[:start], {name: archive.read(name) for name in archive.namelist()})
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return None


def runs_the_program() -> bool:
    """Whether the program is run by the Python that runs this module."""
    return os.path.realpath(sys.executable) == os.path.realpath(INTERPRETER)
