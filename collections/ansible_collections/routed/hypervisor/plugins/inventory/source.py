# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin that passes each file of an inventory directory to the one plugin it is for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: source
short_description: Passes an inventory file to the plugin it is for
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Ansible tries all enabled inventory plugins on a file, in order, and if all fail, it prints the errors of each. A
    mistake in an intent file is then followed by irrelevant errors of the YAML and INI plugins.
  - This plugin, enabled instead of them, selects the plugin by the file's contents. An intent goes to
    P(routed.hypervisor.fabric#inventory), other files for an inventory plugin to that plugin, other YAML files to
    P(ansible.builtin.yaml#inventory), all others to P(ansible.builtin.ini#inventory).
options: {}
seealso:
  - plugin: routed.hypervisor.fabric
    plugin_type: inventory
"""

EXAMPLES = r"""
# In ansible.cfg:
# [inventory]
# enable_plugins = host_list, routed.hypervisor.source
# any_unparsed_is_failed = true
"""

import os
import re

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.plugins.loader import inventory_loader

from ..plugin_utils.beside import IntentRefused, beside, check_groups, check_names, files_after, together
from ..plugin_utils.intent.mistakes import IntentError

FABRIC = "routed.hypervisor.fabric"
# ansible-doc reads no assignment of a tuple.
YAML = "ansible.builtin.yaml"
INI = "ansible.builtin.ini"


def plugin_for(path: str) -> str:
    """The name of the plugin for the file."""
    if not path.endswith((".yml", ".yaml")):
        return INI
    if os.path.basename(path) in ("fabric.yml", "fabric.yaml"):
        return FABRIC
    with open(path, "rb") as file:
        named = re.search(rb"(?m)^[\"']?plugin[\"']?\s*:\s*[\"']?([\w.]+)", file.read())
    return named.group(1).decode() if named else YAML


class InventoryModule(BaseInventoryPlugin):
    NAME = "routed.hypervisor.source"

    def verify_file(self, path):
        return super().verify_file(path) and os.path.isfile(path)

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        refused, lines = [], {}
        # Ansible reads no file after one that is refused: to report all mistakes together, the others are read here.
        later = files_after(path)
        for file in (path, *later):
            try:
                self._read(inventory, loader, file, cache)
            except IntentRefused as error:
                refused.append(str(error))
            except IntentError as error:
                lines[file] = error.lines
            except AnsibleError:
                if file == path:
                    raise
            if not refused and not lines:
                break
        if beside(inventory).intent and (refused or lines or not later):
            names, warnings = check_names(inventory, os.path.dirname(path))
            for file, wrong in names.items():
                lines[file] = together(lines.get(file, []), wrong)
            for warning in warnings if not refused and not lines else ():
                self.display.warning(warning)
        refused += [str(IntentError(file, found)) for file, found in lines.items()]
        if refused:
            raise IntentRefused("\n".join(refused))

    def _read(self, inventory, loader, path, cache):
        """Passes a file to its plugin. Raises IntentRefused, IntentError, or an error of that plugin."""
        name, mistakes = plugin_for(path), None
        plugin = inventory_loader.get(name)
        if plugin is None or not plugin.verify_file(path):
            raise AnsibleParserError(
                f"{path} is for the inventory plugin {name}, which is not installed or rejects the file", obj=path
            )
        # As the plugin "auto" does: the file's own plugin decides whether its templates are trusted.
        inventory._target_plugin = plugin
        found, hosts, groups = beside(inventory), set(inventory.hosts), set(inventory.groups)
        if name == YAML:
            try:
                check_groups(path)
            except IntentError as error:
                mistakes = error
        try:
            plugin.parse(inventory, loader, path, cache=cache)
        except AnsibleError as error:
            # Ansible's own plugins raise the loader's error again without its line.
            error.obj = error.obj or getattr(error.__cause__ or error.__context__, "obj", None)
            if mistakes is None:
                raise
        if name in (YAML, INI):
            found.hosts_of_files.update((host, path) for host in inventory.hosts if host not in hosts)
            found.groups_of_files.update((group, path) for group in inventory.groups if group not in groups)
        if mistakes is not None:
            raise mistakes
