#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vrfs
short_description: VRFs of the Linux kernel
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Creates, changes and deletes VRFs, with the C(unreachable) default routes that isolate them from the main
    table.
  - VRFs created by this module carry the link alias C(routed.hypervisor). Others are never touched.
extends_documentation_fragment:
  - routed.hypervisor.links.vrfs
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: Separate the private from the public network
  routed.hypervisor.vrfs:
    config:
      - {name: private, table: 20}
      - {name: public, table: 90}

- name: Read the current state
  routed.hypervisor.vrfs:
    state: gathered
  register: found
"""

RETURN = r"""
before:
  description: The wanted objects and all of ours, before the run.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: public, table: 90, unreachable_default: true, state: down}
after:
  description: The same objects after the run, or as predicted in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: public, table: 90, unreachable_default: true, state: up}
gathered:
  description: All objects, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: public, table: 90, unreachable_default: true, state: up, owned: true}
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: vrfs
      op: change
      name: public
      before: {state: down}
      after: {state: up}
      why: differs
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
    - kind: vrfs
      op: change
      name: public
      before: {state: down}
      after: {state: up}
      why: differs
mistakes:
  description: The mistakes in O(config), each with its place.
  returned: when O(config) is refused
  type: list
  elements: str
  sample: ["interfaces[3].vlan_id: 5000 is out of range 1..4094"]
"""

from ..module_utils._network.module import main_of_kind


def main() -> None:
    main_of_kind("vrfs")


if __name__ == "__main__":
    main()
