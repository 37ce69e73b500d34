# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock that another run may hold for a while. Private to this collection."""

from __future__ import annotations

import fcntl
import time


def taken(descriptor: int, seconds: float, pause: float) -> bool:
    """Waits up to `seconds` for the lock on an open file, trying every `pause`. Closing the file releases it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
