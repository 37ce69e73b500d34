# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uplinks that a boot waits for."""

from __future__ import annotations

import socket

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import uplinks

CONFIG = {
    "interfaces": [
        {"name": "eno1"},
        {"name": "eno1.90", "type": "vlan", "parent": "eno1", "vlan_id": 90},
        {"name": "bridge", "type": "bridge"},
        {"name": "vm1", "guest": "vm1"},
    ],
}


def test_only_uplinks_are_waited_for():
    assert uplinks.uplinks(CONFIG) == ["eno1"]


def test_the_wait_ends_when_the_last_uplink_appears(monkeypatch):
    answers = iter([["lo"], ["lo", "eno1"], ["lo", "eno1", "eno2"]])
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(next(answers))))
    monkeypatch.setattr(uplinks, "POLL_S", 0)
    uplinks.wait(["eno1", "eno2"], 60)
    assert next(answers, None) is None


def test_the_wait_has_a_deadline():
    assert uplinks.wait(["absent"], 0.1) < 10
