# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plugins that every task needs are there before Ansible forks."""

from __future__ import annotations

import pytest
from ansible.plugins.loader import become_loader, connection_loader, shell_loader

from ansible_collections.routed.hypervisor.plugins.plugin_utils.preload import preload

IN_LABS = {"ansible_connection": "routed.hypervisor.node"}


@pytest.mark.parametrize(
    ("variables", "connection", "become"),
    [
        ([{}, IN_LABS], "node", "sudo"),
        ([{}, {"other": 1}], "ssh", "sudo"),
        ([{"ansible_connection": "no.such.one"}], "", "sudo"),
    ],
)
def test_what_the_nodes_use_is_loaded(monkeypatch, variables, connection, become):
    for loader in (connection_loader, become_loader, shell_loader):
        monkeypatch.setattr(loader, "_module_cache", {})
    preload(variables)
    loaded = [
        sorted(path.rpartition("/")[2].removesuffix(".py") for path in loader._module_cache)
        for loader in (connection_loader, become_loader, shell_loader)
    ]
    assert loaded == [[connection] if connection else [], [become], ["sh"]]
