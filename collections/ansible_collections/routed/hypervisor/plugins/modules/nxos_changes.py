#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nxos_changes
short_description: Tell what must be sent to an NX-OS switch
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Compares the configuration that a leaf is to have with the one that it has, and tells the lines that make the one of
    the other. Sends nothing.
  - Of what the switch has, only the blocks that are intended are compared, and in them the kinds of lines that a leaf's
    configuration has. Lines are in an order in which no line opens what is to be closed, or takes away what stays.
    Neighbors and interfaces with C(@routed.hypervisor) at the end of their description that are not intended are taken
    away. Everything else stays as it is.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Tells the same, and writes no file.
  diff_mode:
    support: full
    description: Shows what comes and what goes, and where. Passwords are not shown.
  idempotent:
    support: full
    description: Reports a change if there is something to send.
options:
  intended:
    description: The configuration that the switch is to have, without passwords.
    type: str
    required: true
  secrets:
    description: The passwords of neighbors, in the form of a configuration.
    type: str
    default: ""
  running:
    description: What C(show running-config) answers.
    type: str
    required: true
  complete:
    description: What C(show running-config all) answers.
    type: str
    required: true
  replace_passwords:
    description:
      - Whether to send the passwords of neighbors that have one. The switch shows a password in another form, so that
        it cannot be seen whether it is the right one.
    type: bool
    default: false
  replace_bgp:
    description:
      - Whether to remove a BGP instance of another AS, with all its sessions, also those that are not ours. A switch
        has one instance only, so without this a leaf whose AS changes is refused.
    type: bool
    default: false
  directory:
    description:
      - Where to write C(changes.cfg), the lines to send, and C(changes-secrets.cfg), the passwords. Only their owner
        may read them. A file that would be empty is not there.
    type: path
  expect_none:
    description: Whether to fail if there is something to send.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Tell what would be sent
  routed.hypervisor.nxos_changes:
    intended: "{{ lookup('ansible.builtin.template', 'leaf.cfg.j2') }}"
    running: "{{ found.stdout[0] }}"
    complete: "{{ found.stdout[1] }}"
"""

RETURN = r"""
changes:
  description:
    - What differs, by blocks of the configuration, with the lines that go and come.
    - M(routed.hypervisor.network) explains the keys.
  returned: always
  type: list
  elements: dict
  sample:
    - {kind: blocks, op: change, name: vlan 10, before: {}, after: {lines: [name left]}, why: differs}
commands:
  description: The lines to send, without passwords.
  returned: always
  type: list
  elements: str
  sample: ["vlan 10", "  name left"]
passwords:
  description: The neighbors and interfaces whose passwords are to be sent.
  returned: always
  type: list
  elements: str
  sample: [neighbor 50.1.1.1]
"""
