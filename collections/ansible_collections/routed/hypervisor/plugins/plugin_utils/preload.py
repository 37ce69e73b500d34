# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every task needs, loaded once: the plugins by which nodes are reached, and the modules that run there.

Ansible forks a process for each task on each node. What this process has not loaded before, each of those loads for
itself, and reads and checks its documentation, too.
"""

from __future__ import annotations

from ansible import constants
from ansible.plugins.loader import become_loader, connection_loader, shell_loader

from . import kept_modules


def preload(variables) -> None:
    """Loads what the given variables of groups and hosts name, or Ansible's defaults where they name nothing."""
    for loader, name, default in (
        (connection_loader, "ansible_connection", constants.DEFAULT_TRANSPORT),
        (become_loader, "ansible_become_method", constants.DEFAULT_BECOME_METHOD),
        (shell_loader, "ansible_shell_type", "sh"),
    ):
        for plugin in {given[name] for given in variables if name in given} or {default}:
            loader.get(plugin, class_only=True)
    kept_modules.use()
