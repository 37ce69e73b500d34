#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nxos_changes
short_description: Compute the changes to send to an NX-OS switch
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Compares the intended configuration of a leaf with the running one, and returns the lines that lead from the running
    to the intended one. Sends nothing.
  - Only intended blocks are compared, and in them only the kinds of lines that the configuration of a leaf has. The
    lines are ordered so that none temporarily opens what is to be closed, or removes what is to remain.
    Neighbors and interfaces that are not intended are removed if their description ends with C(@routed.hypervisor).
    Everything else is left alone.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Returns the same, and writes no file.
  diff_mode:
    support: full
    description: Shows the added and removed lines by block. Passwords are not shown.
  idempotent:
    support: full
    description: Reports a change if there is something to send.
options:
  intended:
    description: The intended configuration, without passwords.
    type: str
    required: true
  secrets:
    description: The passwords of neighbors, in the form of a configuration.
    type: str
    default: ""
  running:
    description: The output of C(show running-config).
    type: str
    required: true
  complete:
    description: The output of C(show running-config all).
    type: str
    required: true
  replace_passwords:
    description:
      - Whether to send the passwords of neighbors that have one. The switch shows passwords encrypted, so they cannot
        be compared.
    type: bool
    default: false
  replace_bgp:
    description:
      - Whether to remove a BGP instance of another AS with all its sessions, including those that are not ours. A
        switch has only one instance, so without this a leaf whose AS changes is refused.
    type: bool
    default: false
  directory:
    description:
      - Where to write C(changes.cfg), the lines to send, and C(changes-secrets.cfg), the passwords. Only their owner
        can read them. Empty files are not written.
    type: path
  expect_none:
    description: Whether to fail if there is something to send.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Compute the lines to send
  routed.hypervisor.nxos_changes:
    intended: "{{ lookup('ansible.builtin.template', 'leaf.cfg.j2') }}"
    running: "{{ found.stdout[0] }}"
    complete: "{{ found.stdout[1] }}"
"""

RETURN = r"""
changes:
  description:
    - The differences by block of the configuration, with removed and added lines.
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
