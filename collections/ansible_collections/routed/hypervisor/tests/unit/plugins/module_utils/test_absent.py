# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is applied while links are absent."""

from __future__ import annotations

import socket

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import absent

CONFIG = {
    "interfaces": [
        {"name": "eno1"},
        {"name": "eno1.90", "type": "vlan", "parent": "eno1", "vlan_id": 90},
        {"name": "bridge", "type": "bridge"},
        {"name": "vm1", "guest": "vm1"},
        {"name": "vm2", "guest": "vm2"},
        {"name": "eno1.90.7", "type": "vlan", "parent": "eno1.90", "vlan_id": 7},
    ],
    "ipvlan_links": [{"name": "c1", "master": "eno1.90"}],
    "proxy_arp": [{"interface": "vm1"}, {"interface": "vm2"}],
    "routes": [
        {"prefix": "203.0.113.1", "interface": "vm1"},
        {"prefix": "203.0.113.2", "interface": "vm2"},
        {"prefix": "10.0.0.0/8", "nexthops": [{"interface": "eno1.90", "gateway": "192.0.2.1"}, {"interface": "eno2"}]},
    ],
}


def test_nothing_is_left_out_if_all_links_exist():
    found = absent.present(CONFIG, ["eno1", "vm1", "vm2"])
    assert (found.config, found.left_out, found.ports, found.uplinks) == (CONFIG, set(), [], [])


def test_an_absent_port_leaves_out_what_is_on_it():
    found = absent.present(CONFIG, ["eno1", "vm2"])
    assert found.ports == ["vm1"]
    assert found.uplinks == []
    assert found.left_out == {"interfaces[3]", "proxy_arp[0]", "routes[0]"}


def test_an_absent_uplink_leaves_out_all_that_is_stacked_on_it():
    found = absent.present(CONFIG, ["vm1", "vm2"])
    assert found.uplinks == ["eno1"]
    assert found.left_out == {"interfaces[0]", "interfaces[1]", "interfaces[5]", "ipvlan_links[0]"}
    assert found.config["routes"][2]["nexthops"] == [{"interface": "eno2"}]
    assert len(CONFIG["routes"][2]["nexthops"]) == 2


def test_a_link_of_ours_that_exists_is_kept_without_its_parent():
    # a link whose parent moved to another namespace lives on
    found = absent.present(CONFIG, ["vm1", "vm2", "eno1.90"])
    assert found.left_out == {"interfaces[0]"}


def test_kinds_that_are_not_given_stay_so():
    config = {"interfaces": [{"name": "vm1"}], "routes": None}
    assert absent.present(config, []).config == config


def test_only_uplinks_are_waited_for():
    assert absent.uplinks(CONFIG) == ["eno1"]


def test_the_wait_ends_when_the_last_uplink_appears(monkeypatch):
    answers = iter([["lo"], ["lo", "eno1"], ["lo", "eno1", "eno2"]])
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(next(answers))))
    monkeypatch.setattr(absent, "POLL_S", 0)
    absent.wait(["eno1", "eno2"], 60)
    assert next(answers, None) is None


def test_the_wait_has_a_deadline():
    assert absent.wait(["absent"], 0.1) < 10
