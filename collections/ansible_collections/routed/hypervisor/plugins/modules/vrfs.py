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
  - Creates, changes and deletes VRFs, with the C(unreachable) default routes that keep them apart from the main
    table.
  - A VRF that this module made bears the link alias C(routed.hypervisor). Others are never touched.
extends_documentation_fragment:
  - routed.hypervisor.links.vrfs
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: Private and public are apart
  routed.hypervisor.vrfs:
    config:
      - {name: private, table: 20}
      - {name: public, table: 90}

- name: See what there is
  routed.hypervisor.vrfs:
    state: gathered
  register: found
"""

RETURN = r"""
before:
  description: The objects that are wanted or ours, as they were.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: public, table: 90, unreachable_default: true, state: down}
after:
  description: The same as they are now, or would be in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: public, table: 90, unreachable_default: true, state: up}
gathered:
  description: All objects, with C(owned) telling whether each is ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: public, table: 90, unreachable_default: true, state: up, owned: true}
changes:
  description: What was changed, or would be in check mode. M(routed.hypervisor.network) explains the keys.
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
  description: Changes that had been completed when the kernel refused a step. Another run does the rest.
  returned: on failure half way
  type: list
  elements: dict
  sample: []
not_done:
  description: Changes that had not been completed when the kernel refused a step.
  returned: on failure half way
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
  description: What is wrong with O(config), each with its place.
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
