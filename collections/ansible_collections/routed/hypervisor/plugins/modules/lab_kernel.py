#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_kernel
short_description: Start the kernel that a lab runs in
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Runs C(bin/lab up) unless the lab is up. M(routed.hypervisor.lab_nodes) creates nodes in it.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Reports whether the kernel is up, and starts nothing.
  diff_mode:
    support: none
    description: There is nothing to compare.
  idempotent:
    support: full
    description: A lab that is up is left alone.
options:
  lab:
    description: The name of the lab.
    type: str
    required: true
  owner:
    description: The directory of the lab's inventory. A lab of this name with another owner is refused.
    type: path
    required: true
  program:
    description: The program C(bin/lab).
    type: path
    required: true
  start:
    description: Whether to start a lab that is not up. Otherwise the module fails.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Boot the kernel of the lab, if it is not up
  routed.hypervisor.lab_kernel:
    lab: example
    owner: "{{ inventory_dir }}"
    program: "{{ playbook_dir }}/bin/lab"
"""

RETURN = r"""
state:
  description: V(up) if it was up, V(started) if it was started, V(absent) in check mode if it would be started.
  returned: success
  type: str
  sample: started
kind:
  description: V(host) for the machine's own kernel, V(uml) for user-mode Linux, V(qemu) for QEMU.
  returned: if it is up
  type: str
  sample: uml
release:
  description: The kernel's release.
  returned: if it is up
  type: str
  sample: 7.2.12
"""
