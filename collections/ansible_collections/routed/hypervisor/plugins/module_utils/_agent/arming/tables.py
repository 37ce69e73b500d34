# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall as it was before a change: our tables of nftables, as text. Private to this collection."""

from __future__ import annotations

import re
import shutil
import subprocess

from ..._daemon.nftables import TABLE
from ..._daemon.service import PATH
from .. import firewall

NAMES = re.compile(rf"^table inet ({TABLE}\w*)$", re.MULTILINE)
Tables = dict[str, str]


def read() -> Tables:
    """By name, with the elements of sets; empty on a host without nftables."""
    if shutil.which("nft", path=PATH) is None:
        return {}
    names = NAMES.findall(firewall.run(["nft", "list", "tables", "inet"])[1])
    listed = {name: firewall.run(["nft", "--stateless", "list", "table", "inet", name]) for name in names}
    return {name: output for name, (code, output, _errors) in listed.items() if code == 0}


def restore(stored: Tables) -> list[str]:
    """In one transaction, so that at no moment a packet passes that neither allows."""
    now = read()
    commands = [f"delete table inet {name}\n" for name in now if now.get(name) != stored.get(name)]
    commands += [text for name, text in stored.items() if now.get(name) != text]
    if not commands:
        return []
    # Not by a file: the disk may be full.
    done = subprocess.run(
        ["nft", "--file", "-"],
        input="".join(commands),
        env={"LC_ALL": "C", "PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    return [f"nft did not load the former tables: {' '.join(done.stderr.split())}"] if done.returncode else []
