# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads stored tables of nftables. Private to this collection."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import typing as t

from .._daemon.nftables import NftablesError, Table, lacking
from .._daemon.service import PATH


def run(argv: list[str]) -> tuple[int, str, str]:
    environment = {"LC_ALL": "C", "PATH": PATH}
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def bring(wanted: dict[str, t.Any], apply: bool) -> str | None:
    """How a table differs from the stored one, and with `apply` differed; None if not. Raises NftablesError."""
    table, text = Table(wanted["table"], run), wanted["text"]
    if shutil.which("nft", path=PATH) is None:
        if text is None or not wanted["required"]:
            return None
        raise NftablesError(f"the table inet {table.name} is not loaded: nft is not installed")
    before = table.here()
    if text is None:
        if before is not None and apply:
            table.delete()
        return None if before is None else f"table inet {table.name} is still there"
    with tempfile.NamedTemporaryFile("w", prefix="routed-hypervisor-", suffix=".nft", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        try:
            after = table.meaning(file.name)
        except NftablesError:
            reason = lacking(run)
            if reason is None or wanted["required"]:
                raise
            return None
        if before == after:
            return None
        if apply:
            table.load(file.name, after)
    return f"table inet {table.name} {'is missing' if before is None else 'differs'}"
