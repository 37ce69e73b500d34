#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: render
short_description: Write the configuration files of a node below a directory of the controller
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes texts to files on the controller, so that they can be read, compared or kept without reaching the node.
  - A file whose text is the same is not touched.
  - A file below the directory that says in its first line that Routed Hypervisor manages it, and that is not among
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
    description: The directory. It is made.
    type: path
    required: true
  files:
    description: The files that are to be there.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Its path below O(directory).
        type: str
        required: true
      content:
        description: Its text.
        type: str
        required: true
      secret:
        description: Whether it has passwords in it. Then only its owner may read it, and it is not shown.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: Write the configuration of one node
  routed.hypervisor.render:
    directory: artifacts/l3_hypervisor/hv1
    files:
      - path: etc/bird/bird.conf
        content: "{{ lookup('ansible.builtin.template', 'bird.conf.j2') }}"
"""

RETURN = r"""
written:
  description: The paths of files that were written, or whose mode was changed.
  returned: always
  type: list
  elements: str
  sample: [etc/bird/bird.conf]
removed:
  description: The paths of files that were removed.
  returned: always
  type: list
  elements: str
  sample: []
"""
