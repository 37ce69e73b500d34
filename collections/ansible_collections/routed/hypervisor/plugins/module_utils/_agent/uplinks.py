# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The uplinks that a stored network needs. Private to this collection."""

from __future__ import annotations

import socket
import time
import typing as t

POLL_S = 0.05
Config = dict[str, t.Any]


def uplinks(config: Config) -> list[str]:
    """The links that something else creates, and that exist without guests."""
    entries = config.get("interfaces") or ()
    return [entry["name"] for entry in entries if not entry.get("type") and not entry.get("guest")]


def wait(names: t.Collection[str], seconds: float) -> float:
    """Waits until all links exist, up to a deadline: udev may rename late. The time it took."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        present = {name for _index, name in socket.if_nameindex()}
        if present.issuperset(names):
            break
        time.sleep(POLL_S)
    return time.monotonic() - start
