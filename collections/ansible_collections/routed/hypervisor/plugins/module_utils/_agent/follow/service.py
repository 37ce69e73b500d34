# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service `routed-hypervisor run`. Private to this collection."""

from __future__ import annotations

import os
import traceback

from ..._engine.lock import taken
from ..routing.follower import RoutingManager
from .core import Core, log
from .follower import GuestFollower
from .report import DIRECTORY, LOCK

ENDED, FAILED, REFUSED = 0, 1, 2
LOCK_S = 1.0  # who asks whether there is a service has the lock for a moment


def serve(directory: str) -> int:
    os.makedirs(DIRECTORY, mode=0o755, exist_ok=True)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if not taken(lock, LOCK_S, 0.02):
        log("another process already follows guests and containers on this host")
        return REFUSED
    core = Core(directory)
    core.followers += [GuestFollower(core), RoutingManager(core)]
    outcome = ENDED
    try:
        core.run()
    except Exception:
        traceback.print_exc()
        outcome = FAILED
    os._exit(outcome)  # at once, without waiting for running commands of GoBGP
