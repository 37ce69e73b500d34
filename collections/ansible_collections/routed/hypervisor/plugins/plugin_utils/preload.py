# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loads once what every task needs: connection and shell plugins, and the modules that run on nodes.

Ansible forks a process for each task on each node. Plugins that are not loaded before the fork are loaded by each of
these processes, which also parse and validate their documentation.
"""

from __future__ import annotations

from ansible import constants
from ansible.plugins.loader import become_loader, connection_loader, shell_loader

from . import kept_modules


def preload(variables) -> None:
    """Loads the plugins named by the variables of groups and hosts, or else Ansible's defaults."""
    for loader, name, default in (
        (connection_loader, "ansible_connection", constants.DEFAULT_TRANSPORT),
        (become_loader, "ansible_become_method", constants.DEFAULT_BECOME_METHOD),
        (shell_loader, "ansible_shell_type", "sh"),
    ):
        for plugin in {given[name] for given in variables if name in given} or {default}:
            loader.get(plugin, class_only=True)
    kept_modules.use()
