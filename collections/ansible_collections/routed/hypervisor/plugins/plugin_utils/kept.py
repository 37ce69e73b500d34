# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cache directories for expensive results, kept between runs. Private to this collection."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

UNUSED_DAYS = 14


def cache(kind: str) -> Path:
    home = os.environ.get("HOME") or "/root"
    return Path(os.environ.get("ROUTED_HYPERVISOR_CACHE") or f"{home}/.cache/routed-hypervisor", kind)


def is_private(directory: Path) -> bool:
    """Whether only this user can have written to it: its contents are run as root."""
    try:
        status = directory.stat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def make(directory: Path) -> bool:
    """Creates DIRECTORY, and removes long-unused ones beside it. Whether it exists now and is private."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for other in directory.parent.iterdir():
        if other != directory and other.stat().st_mtime < time.time() - UNUSED_DAYS * 86400:
            shutil.rmtree(other, ignore_errors=True)
    return is_private(directory)
