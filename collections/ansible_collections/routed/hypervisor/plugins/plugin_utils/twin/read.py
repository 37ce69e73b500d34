# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a production inventory as Ansible would, but opens no vault. Private to this collection."""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass, field

from ansible.inventory.manager import IGNORED, InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import is_encrypted_file
from ansible.vars.manager import VariableManager

from ...inventory.source import FABRIC, plugin_for
from ..intent.load import Source
from ..intent.mistakes import Mistakes
from ..intent.model import Intent
from ..intent.read import read
from ..inventory import inventory as resolved

OTHER = "a twin is made of an inventory of real hosts: make twin INVENTORY=inventories/production"


class Refused(Exception):
    """Why an inventory can have no twin."""


@dataclass
class Production:
    """`variables` are those that files beside the intent give to each host; `sealed` files were not opened."""

    source: Source
    data: dict[str, t.Any]
    intent: Intent
    variables: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    sealed: list[str] = field(default_factory=list)


class _SealedLoader(DataLoader):  # type: ignore[misc] # Ansible has no types
    """Takes encrypted files for empty ones. It has no password anyway, and would fail."""

    def __init__(self) -> None:
        super().__init__()
        self.sealed: list[str] = []

    def load_from_file(self, file_name: str, *arguments: t.Any, **options: t.Any) -> t.Any:
        if not _is_encrypted(file_name):
            return super().load_from_file(file_name, *arguments, **options)
        if file_name not in self.sealed:
            self.sealed.append(file_name)
        return {}


def production(inventory: str) -> Production:
    """Raises Refused or IntentError."""
    files = _files(inventory)
    intents = [path for path in files if not _is_encrypted(path) and plugin_for(path) == FABRIC]
    if not intents:
        raise Refused(f"{inventory} has no intent, a file such as fabric.yml with plugin: {FABRIC}; {OTHER}")
    source = Source(intents[0])
    data = source.data(Mistakes())
    if isinstance(data, dict) and "lab" in data:
        raise Refused(f"{inventory} is a lab already, so make lab brings it up; {OTHER}")
    found = Production(source, data, read(intents[0]))
    loader = _SealedLoader()
    # One by one, because the encrypted ones would be mistakes in Ansible's eyes.
    manager = InventoryManager(loader, sources=[path for path in files if not _is_encrypted(path)])
    found.variables = _variables(found.intent, loader, manager)
    sealed = [path for path in files if _is_encrypted(path)] + loader.sealed
    found.sealed = [os.path.relpath(path, os.path.dirname(intents[0])) for path in sealed]
    return found


def _files(inventory: str) -> list[str]:
    """In the order in which Ansible reads them."""
    if os.path.isfile(inventory):
        return [inventory]
    try:
        entries = sorted(os.listdir(inventory))
    except OSError as error:
        raise Refused(f"the inventory {inventory} cannot be read: {error.strerror}; {OTHER}") from None
    paths = [os.path.join(inventory, entry) for entry in entries if not IGNORED.search(os.fsencode(entry))]
    return [path for path in paths if os.path.isfile(path)]


def _is_encrypted(path: str) -> bool:
    with open(path, "rb") as file:
        return bool(is_encrypted_file(file))


def _variables(intent: Intent, loader: DataLoader, manager: InventoryManager) -> dict[str, dict[str, t.Any]]:
    """Without those that the intent resolves to, and those that Ansible itself gives to every host."""
    ours = resolved(intent, owner="")
    others = InventoryManager(DataLoader(), sources=["nobody,"])
    of_ansible = VariableManager(DataLoader(), others).get_vars(host=others.hosts["nobody"], include_hostvars=False)
    merged = VariableManager(loader, manager)
    made = {}
    for host in manager.hosts.values():
        known = {*of_ansible, *ours.group_vars["all"], *ours.host_vars.get(host.name, ())}
        every = merged.get_vars(host=host, include_hostvars=False)
        given = {name: value for name, value in every.items() if name not in known}
        # Without Ansible's tags, and null in the place of what is encrypted.
        made[host.name] = json.loads(json.dumps(given, default=lambda _value: None))
    return made
