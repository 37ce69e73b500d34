# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin: reads the intent and passes its mistakes or its resolved nodes to Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fabric
short_description: Hosts, groups and variables of a routed fabric from its intent
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Reads an intent file (the decisions about a fabric of routed hypervisors), checks it and resolves it into all
    variables of each node, so that modules and templates have nothing left to compute.
  - All mistakes are reported together, each with its line, its path in the file, and what would be right.
  - The keys of the file and their defaults are in C(plugins/plugin_utils/intent/keys), one file per key.
requirements:
  - jsonschema
  - netaddr
options:
  plugin:
    description: Marks the file as one for this plugin.
    required: true
    type: str
    choices: [routed.hypervisor.fabric]
notes:
  - Ansible only warns about an unusable inventory, and tries every other enabled plugin on it. Set
    C(any_unparsed_is_failed = true) and C(enable_plugins = host_list, routed.hypervisor.source) in the section
    C([inventory]) of C(ansible.cfg).
seealso:
  - plugin: routed.hypervisor.source
    plugin_type: inventory
"""

EXAMPLES = r"""
# inventories/small/fabric.yml
plugin: routed.hypervisor.fabric
name: small
lab: {}
bgp: {as: 65000}
vrfs:
  public: {table: 90, vlan: 90}
fabrics:
  A:
    networks:
      public: {ipv4: 198.51.100.0/25}
segments:
  guests: {vrf: public, ipv4: 203.0.113.0/24, gateway4: 203.0.113.254, dhcp: {}}
reflectors:
  rr1: {fabric: A, addresses: {public: {ipv4: 198.51.100.126}}}
hypervisors:
  hv1: {id: 1, guests: {vm1: {ipv4: 203.0.113.1}}}
  hv2: {id: 2, guests: {vm2: {ipv4: 203.0.113.2}}}
"""

import functools
import gc
import os

from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import trust_as_template

from ..plugin_utils.beside import IntentRefused, beside
from ..plugin_utils.intent.load import is_intent
from ..plugin_utils.intent.mistakes import IntentError
from ..plugin_utils.libraries import IMPORT_ERRORS
from ..plugin_utils.preload import preload


class InventoryModule(BaseInventoryPlugin):
    NAME = "routed.hypervisor.fabric"

    def verify_file(self, path):
        """Whether the file is an intent: it is called fabric.yml, or is a YAML file that names this plugin."""
        is_ours = os.path.basename(path) in ("fabric.yml", "fabric.yaml") or (
            path.endswith((".yml", ".yaml")) and is_intent(path, self.NAME)
        )
        return super().verify_file(path) and is_ours

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        for library in IMPORT_ERRORS:
            raise IntentRefused(missing_required_lib(library))
        # Imported late, because these modules need third-party libraries.
        from ..plugin_utils.intent.read import read  # noqa: PLC0415

        found = beside(inventory)
        found.intent = found.intent or path
        if found.intent != path:
            raise IntentRefused(
                f"{path} is a second intent beside {found.intent}: variables of one would replace those of the other; "
                "run Ansible once for each, with an inventory directory of its own (-i)"
            )
        # Nothing made here becomes garbage: collecting again and again would cost more than building it.
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            intent = read(path)
            from ..plugin_utils.inventory import inventory as resolved  # noqa: PLC0415 - a refusal does without it

            self._populate(resolved(intent, owner=os.path.dirname(os.path.abspath(str(path)))))
        except IntentError as error:
            # For what is beside it. A group of Ansible has the name of the section.
            found.groups, found.nodes = error.nodes, [node for nodes in error.nodes.values() for node in nodes]
            raise IntentRefused(str(error)) from None
        finally:
            gc.freeze()  # also for later collections, and in every process that Ansible forks from this one
            if was_enabled:
                gc.enable()

    def _populate(self, made) -> None:
        found = beside(self.inventory)
        found.groups = dict.fromkeys((*made.groups, *made.children))
        found.nodes = dict.fromkeys(host for hosts in made.groups.values() for host in hosts)
        for group, hosts in made.groups.items():
            self.inventory.add_group(group)
            for host in hosts:
                self.inventory.add_host(host, group=group)
        for group, children in made.children.items():
            self.inventory.add_group(group)
            for child in children:
                self.inventory.add_child(group, child)
        # Bypasses InventoryData.set_variable, which tags each value with its origin: five times the cost of resolving.
        for entities, given in ((self.inventory.groups, made.group_vars), (self.inventory.hosts, made.host_vars)):
            for entity, variables in given.items():
                for name, value in variables.items():
                    entities[entity].set_variable(name, _trusted(value))
        preload([*made.group_vars.values(), *made.host_vars.values()])


def _trusted(value):
    """VALUE with every string marked as trusted: not escaped in output, and templated if it is a template.

    No string of an intent can contain a template, because each matches a format in formats.py.
    """
    if isinstance(value, str):
        return _trusted_text(value)
    if isinstance(value, dict):
        return {key: _trusted(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_trusted(below) for below in value]
    return value


# The same few names, addresses and words repeat.
_trusted_text = functools.cache(trust_as_template)
