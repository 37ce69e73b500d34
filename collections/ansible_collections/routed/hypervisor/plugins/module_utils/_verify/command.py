# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the commands with which verification reads the state of a node. Private to this collection."""

from __future__ import annotations

import json
import os
import subprocess

# ping and birdc have their own time limits; this one only guards against a command that hangs.
HANG_LIMIT_S = 20


def run(argv):
    """Returns (exit code, output, errors) of a command, or (127, "", reason) if it cannot be run."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=HANG_LIMIT_S,
            check=False,
            env=dict(os.environ, LC_ALL="C"),
        )
    except OSError as error:
        return 127, "", f"{argv[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return 124, "", f"{argv[0]} did not end within {HANG_LIMIT_S} s"
    return done.returncode, done.stdout, done.stderr


def run_json(argv):
    """Returns the parsed JSON output of a command; an empty list if it prints nothing or fails."""
    code, output, _errors = run(argv)
    if code or not output.strip():
        return []
    return json.loads(output)
