# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last states that were confirmed, for root only. Private to this collection."""

from __future__ import annotations

import os
import time

from ..._engine import atomic
from .. import stored as states

DIRECTORY = f"{states.DIRECTORY}/applied"
KEPT = 10


def keep() -> None:
    """The stored state, under the time and the beginning of its digest. None is kept if there is none."""
    try:
        content = states.read_file(f"{states.DIRECTORY}/{states.CURRENT}")
    except states.Unusable:
        return
    os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
    digest = states.digest(content)[:12]
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest}"
    names = sorted(os.listdir(DIRECTORY))
    if not names or not names[-1].endswith(digest):
        atomic.replace(f"{DIRECTORY}/{name}", content, 0o600)
        names.append(name)
    for old in names[:-KEPT]:
        os.unlink(f"{DIRECTORY}/{old}")
