#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: render
short_description: Write the configuration files of nodes below a directory of the controller
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes texts that templates make of nodes' variables to files on the controller, so that they can be read, compared
    or kept without reaching a node.
  - One task makes the files of all nodes. Each template is compiled once; the texts are those of the lookup
    P(ansible.builtin.template#lookup), which is asked for what Jinja alone does not know, such as filters of Ansible.
    A text takes a hundred times longer then.
  - All texts are made before one is written. A file whose text is the same is not touched.
  - A file below a node's directory that says in its first line that Routed Hypervisor manages it, and that is not among
    O(files), is removed. Other files are left alone.
attributes:
  check_mode:
    support: full
    description: Tells what would be written, and writes nothing.
  diff_mode:
    support: full
    description: Shows the texts, except those with passwords.
  idempotent:
    support: full
    description: Reports no change if every file has its text and mode.
options:
  directory:
    description: The directory. The files of a node go to a directory below it that has the node's name. Both are made.
    type: path
    required: true
  nodes:
    description:
      - Hosts of the inventory, for a task that runs once. By default the host that the task runs for.
      - Templates and expressions are given the variables that this task would have on each of them.
    type: list
    elements: str
  files:
    description:
      - The files that a node may have.
      - Expressions have no braces, and know the filters and tests of Jinja itself.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Its path on the node, and below the node's directory. May be a template, of Jinja itself; mark it with
            C(!unsafe), or it is templated too early.
        type: str
        required: true
      template:
        description:
          - The template, which is looked for where other tasks of this play and role would find it.
          - Either this or O(files[].proxies) is required.
        type: str
      proxies:
        description: >-
          An expression for the proxies of ndppd. The file is the one that M(routed.hypervisor.ndppd) writes.
        type: str
      when:
        description: An expression. The node has the file if it is true.
        type: str
        default: "true"
      loop:
        description: An expression. The node has a file for each item of the list.
        type: str
      loop_var:
        description: The variable that has the item.
        type: str
        default: item
      secret:
        description:
          - An expression. If it is true, there are passwords in the file; only its owner may read it, and it is not
            shown.
        type: str
        default: "false"
      owner:
        description: Of the file on the node, for P(routed.hypervisor.files#lookup).
        type: str
      group:
        description: Of the file on the node, for P(routed.hypervisor.files#lookup).
        type: str
      mode:
        description: Of the file on the node, for P(routed.hypervisor.files#lookup).
        type: str
      secret_part:
        description: What is secret in the file, for P(routed.hypervisor.files#lookup).
        type: str
"""

EXAMPLES = r"""
- name: Write the configuration of all nodes to artifacts/production/NODE/etc/bird
  routed.hypervisor.render:
    directory: artifacts/production
    nodes: "{{ ansible_play_batch }}"
    files:
      - path: etc/bird/bird.conf
        template: bird/bird.conf.j2
        when: bird is defined
      - path: etc/bird/secrets.conf
        template: bird/secrets.conf.j2
        when: bird is defined
        secret: true
  run_once: true
"""

RETURN = r"""
changes:
  description:
    - The files that were written, changed or removed, or would be in check mode, by their paths below O(directory).
    - M(routed.hypervisor.network) explains the keys. What is in a file is in the difference.
  returned: always
  type: list
  elements: dict
  sample:
    - {kind: files, op: create, name: hv1/etc/bird/bird.conf, before: {}, after: {}, why: it does not exist}
"""
