#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: rules
short_description: Routing policy rules of the Linux kernel
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Manages the rules that choose a routing table. Family and priority identify a rule.
  - Our rules have the protocol number 82. Others are never touched; if one has the priority of a wanted rule, the run
    is refused.
extends_documentation_fragment:
  - routed.hypervisor.routing.rules
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: Make the host itself use the private network
  routed.hypervisor.rules:
    config:
      - {priority: 2000, to: 172.22.0.0/16, vrf: private}

- name: Read the current state
  routed.hypervisor.rules:
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
    - {priority: 2000, family: ipv4, to: 172.22.0.0/16, table: 20, action: to_table}
gathered:
  description: All objects, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {priority: 2000, family: ipv4, to: 172.22.0.0/16, table: 20, action: to_table, owned: true}
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: rules
      op: change
      name: 2000 (ipv4)
      before: {table: 10}
      after: {table: 20}
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
    - kind: rules
      op: change
      name: 2000 (ipv4)
      before: {table: 10}
      after: {table: 20}
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
    main_of_kind("rules")


if __name__ == "__main__":
    main()
