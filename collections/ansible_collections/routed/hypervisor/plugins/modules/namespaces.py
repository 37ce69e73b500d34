#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: namespaces
short_description: Named network namespaces
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Creates and deletes named network namespaces, like C(ip netns add) and C(ip netns delete), and sets their C(lo) up.
  - The C(lo) of a namespace created by this module carries the link alias C(routed.hypervisor). Other namespaces are
    never deleted.
extends_documentation_fragment:
  - routed.hypervisor.links.namespaces
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: Namespaces for two containers
  routed.hypervisor.namespaces:
    config:
      - name: c1
      - name: c2

- name: Read the current state
  routed.hypervisor.namespaces:
    state: gathered
  register: found
"""

RETURN = r"""
before:
  description: The wanted objects and all of ours, before the run.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample: []
after:
  description: The same objects after the run, or as predicted in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: c1, loopback: up}
gathered:
  description: All objects, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: c1, loopback: up, owned: true}
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: namespaces
      op: create
      name: c1
      before: {}
      after: {loopback: up}
      why: it does not exist
done:
  description: Changes that were completed before the kernel refused a step. Another run makes the others.
  returned: on failure during the changes
  type: list
  elements: dict
  sample: []
not_done:
  description: Changes that were not completed because the kernel refused a step.
  returned: on failure during the changes
  type: list
  elements: dict
  sample:
    - kind: namespaces
      op: create
      name: c1
      before: {}
      after: {loopback: up}
      why: it does not exist
mistakes:
  description: The mistakes in O(config), each with its place.
  returned: when O(config) is refused
  type: list
  elements: str
  sample: ["namespaces[0].name: 'a/b' is not a namespace name (1 to 255 characters, no '/')"]
"""

from ..module_utils._network.module import main_of_kind


def main() -> None:
    main_of_kind("namespaces")


if __name__ == "__main__":
    main()
