# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a twin's inventory. Private to this collection."""

from __future__ import annotations

import os
import secrets
import shutil
import string
import typing as t
from collections.abc import Mapping
from pathlib import Path

import yaml

from ..intent.model import Intent
from ..resolve.ospf import password_keys
from .convert import Twin
from .differences import Differences
from .names import CHOSEN

# Variables of production that change what a host is configured with.
KEPT = ("bird_log", "docker_settings", "drained")
LETTERS = string.ascii_letters + string.digits
LENGTH = 16  # the longest OSPF password
HEAD = "# Made by bin/twin from {source}: change that, and make it again.\n"


def variables(
    production: Mapping[str, Mapping[str, t.Any]], names: Mapping[str, str], found: Differences
) -> dict[str, dict[str, t.Any]]:
    """The variables of the twin's nodes, from those of hosts."""
    made: dict[str, dict[str, t.Any]] = {}
    for host, given in production.items():
        for name, value in given.items():
            if host in names and name in KEPT and value is not None:
                made.setdefault(names[host], {})[name] = value
            elif name != CHOSEN:
                found.add("variables are left out, of connections and of others", name)
    return made


def passwords(intent: Intent, former: Mapping[str, t.Any]) -> dict[str, dict[str, str]]:
    """Passwords of the twin's own, for the same sessions as in production. FORMER ones stay."""
    wanted = {
        "bgp_passwords": [vrf.name for vrf in intent.vrfs.values() if vrf.password],
        "ospf_passwords": password_keys(intent),
    }
    return {
        kind: {key: (former.get(kind) or {}).get(key) or _password() for key in keys}
        for kind, keys in wanted.items()
        if keys
    }


def _password() -> str:
    return "".join(secrets.choice(LETTERS) for _position in range(LENGTH))


def is_for_a_twin(directory: Path) -> bool:
    """Whether nothing of others would be replaced there."""
    intent = directory / "fabric.yml"
    if intent.exists():
        return intent.read_text().startswith(HEAD.partition("{")[0])
    return not directory.exists() or not any(directory.iterdir())


def write(directory: Path, twin: Twin, host_vars: Mapping[str, t.Any], intent: Intent, source: str) -> None:
    """Replaces the twin's inventory, all but its passwords."""
    head = HEAD.format(source=source)
    directory.mkdir(parents=True, exist_ok=True)
    # First: is_for_a_twin knows the directory by it, even after a run that was interrupted.
    (directory / "fabric.yml").write_text(head + _text(twin.intent))
    everyone = directory / "group_vars/all/passwords.yml"
    former = yaml.safe_load(everyone.read_text()) if everyone.exists() else {}
    everyone.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(everyone, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_text(passwords(intent, former)))
    shutil.rmtree(directory / "host_vars", ignore_errors=True)
    for node, given in host_vars.items():
        (directory / "host_vars").mkdir(exist_ok=True)
        (directory / "host_vars" / f"{node}.yml").write_text(head + _text(given))
    (directory / "differences.txt").write_text("\n".join([*twin.differences.lines(10**6), ""]))


def _text(data: t.Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
