# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces a file so that at any moment, and after a power failure, it has its old or its new content.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import os


def draft_of(path: str) -> str:
    """Always the same name: what an interrupted run leaves behind is replaced by the next one."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.draft")


def replace(path: str, content: bytes, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Until the file has its owner and mode, only the caller can read it. Without an owner, it is the caller's."""
    draft = draft_of(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:
            os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    sync_directory(os.path.dirname(path))


def sync_directory(directory: str) -> None:
    """A rename is not on the disk before its directory is."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
