# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons that use our network, as systemd runs them. Private to this collection."""

from __future__ import annotations

import os
import subprocess

from .firewall import PATH
from .units import DAEMONS

PATTERNS = [*(f"{name}.service" for name in DAEMONS), "gobgpd-*.service"]


def states() -> dict[str, str]:
    """The state of each loaded unit by its name; empty on a host without systemd."""
    if not os.path.isdir("/run/systemd/system"):
        return {}
    output = _systemctl("list-units", "--all", "--plain", "--no-legend", "--no-pager", *PATTERNS)
    rows = [line.split() for line in output.splitlines()]
    return {row[0]: row[2] for row in rows if len(row) > 2 and row[1] == "loaded"}


def restart_early() -> list[str]:
    """Restarts the daemons that run already, and returns their names. systemd starts the others after us."""
    names = [name for name, state in states().items() if state == "active"]
    if names:
        _systemctl("--no-block", "try-restart", *names)  # waiting would be a deadlock: they wait for us
    return names


def _systemctl(*words: str) -> str:
    argv = ["systemctl", *words]
    environment = {"PATH": PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
