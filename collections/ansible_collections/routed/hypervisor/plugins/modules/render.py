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
  - Renders templates with the variables of nodes to files on the controller, so that they can be read, compared or kept
    without access to a node.
  - One task renders the files of all nodes. Each template is compiled once; the results equal those of the lookup
    P(ansible.builtin.template#lookup), which is used for everything that Jinja alone does not support, such as filters
    of Ansible. This takes a hundred times longer.
  - All texts are rendered before any is written. A file with the same text is not touched.
  - A file below a node's directory whose first line says that it is managed by Routed Hypervisor, and that is not among
    O(files), is removed. Other files are left alone.
attributes:
  check_mode:
    support: full
    description: Reports what would be written, and writes nothing.
  diff_mode:
    support: full
    description: Shows the texts, except those with passwords.
  idempotent:
    support: full
    description: Reports no change if every file has its text and mode.
options:
  directory:
    description: The directory. The files of a node are in a subdirectory with its name. Both are created.
    type: path
    required: true
  nodes:
    description:
      - Hosts of the inventory, for a task that runs once. By default the host of the task.
      - Templates and expressions have the variables that this task would have on each host.
    type: list
    elements: str
  placeholders:
    description:
      - Variables with secrets, dictionaries whose values no file is to contain. In place of the value C(KEY) of
        C(VARIABLE), a file has the text C(<VARIABLE.KEY>). The variables need not exist.
      - With it no file is secret; O(files[].secret) is ignored.
    type: list
    elements: str
    default: []
  files:
    description:
      - The files that a node may have.
      - Expressions are written without braces, and can use the filters and tests of Jinja itself.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - The path on the node, and below the node's directory. It may be a plain Jinja template; mark it with
            C(!unsafe), or it is templated too early.
        type: str
        required: true
      template:
        description:
          - The template, which is searched where other tasks of this play and role would search it.
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
        description: An expression. The node has one file for each item of the list.
        type: str
      loop_var:
        description: The variable for the item.
        type: str
        default: item
      secret:
        description:
          - An expression. If true, the file contains passwords; only its owner can read it, and it is not shown.
        type: str
        default: "false"
      owner:
        description: For the file on the node, see P(routed.hypervisor.files#lookup).
        type: str
      group:
        description: For the file on the node, see P(routed.hypervisor.files#lookup).
        type: str
      mode:
        description: For the file on the node, see P(routed.hypervisor.files#lookup).
        type: str
      secret_part:
        description: Pattern of the secrets in the file, for P(routed.hypervisor.files#lookup).
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
    placeholders: [bgp_passwords]
  run_once: true
"""

RETURN = r"""
changes:
  description:
    - The files created, changed or removed, or predicted in check mode, by their paths below O(directory).
    - M(routed.hypervisor.network) explains the keys. The content of a file is in the difference.
  returned: always
  type: list
  elements: dict
  sample:
    - {kind: files, op: create, name: hv1/etc/bird/bird.conf, before: {}, after: {}, why: it does not exist}
"""
