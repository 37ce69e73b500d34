# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node
short_description: Run tasks in a lab node
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Enters a node made by M(routed.hypervisor.lab_nodes) and runs the command there as root.
  - The connection reaches the machine that the lab runs on, C(local) or C(ssh), as root. Set C(ansible_remote_tmp) to
    C(/run/routed-hypervisor/LAB/tmp), the directory that machine and nodes share, for modules that transfer files.
options:
  user:
    description:
      - The user in the node. Only V(root) is possible.
    default: root
    vars:
      - name: ansible_become_user
    keyword:
      - name: become_user
  become_exe:
    description:
      - The command that enters a node. It gets the name of the node and the command to run.
      - If empty, C(/run/routed-hypervisor/LAB/enter).
    default: ''
    vars:
      - name: ansible_become_exe
  become_flags:
    description:
      - Not used.
    default: ''
    vars:
      - name: ansible_become_flags
  lab:
    description:
      - The lab that the node belongs to.
    required: true
    vars:
      - name: ansible_node_lab
  node:
    description:
      - The name of the node.
    required: true
    vars:
      - name: inventory_hostname
      - name: ansible_node_name
"""

EXAMPLES = r"""
# In the inventory:
all:
  children:
    lab_nodes:
      hosts:
        hv1:
        vm1:
      vars:
        ansible_connection: local
        ansible_become: true
        ansible_become_method: routed.hypervisor.node
        ansible_node_lab: example
        ansible_remote_tmp: /run/routed-hypervisor/example/tmp
        ansible_python_interpreter: /usr/bin/python3
"""

import shlex

from ansible.errors import AnsibleError
from ansible.plugins.become import BecomeBase


class BecomeModule(BecomeBase):
    name = "routed.hypervisor.node"

    def build_become_command(self, cmd, shell):
        super().build_become_command(cmd, shell)
        if not cmd:
            return cmd
        # The option must not be called become_user: Ansible skips become if that is the user it connects as, and
        # would, as root, run the task on the machine instead of in the node.
        user = self.get_option("user") or "root"
        if user != "root":
            raise AnsibleError(f"become_user is {user}: the become method {self.name} enters a lab node as root only")
        lab = self.get_option("lab")
        enter = self.get_option("become_exe")
        inner = self._build_success_command(cmd, shell)
        node = shlex.quote(self.get_option("node"))
        if enter:
            return f"{enter} {node} {inner}"
        enter = shlex.quote(f"/run/routed-hypervisor/{lab}/enter")
        missing = shlex.quote(f"lab {lab} is not up: bring the lab up first")
        return f"if [ -x {enter} ]; then {enter} {node} {inner}; else echo {missing} >&2; exit 125; fi"
