#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vrfs
short_description: VRFs of the Linux kernel
version_added: 0.1.0
description:
  - Creates, changes and deletes VRFs, with the C(unreachable) default routes that keep them apart from the main
    table.
  - A VRF that this module made bears the link alias C(routed.hypervisor). Others are never touched.
options:
  config:
    description: VRFs.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the VRF, at most 15 characters.
        type: str
        required: true
      table:
        description: Number of its routing table. Required except with O(state=deleted). No two VRFs may share one.
        type: int
      unreachable_default:
        description:
          - Whether the table ends in an C(unreachable) default route of each family with metric 4278198272.
            Without it a destination that the table lacks is looked up in the main table.
          - A new VRF gets it unless this is V(false).
        type: bool
  state:
    description:
      - V(merged) sets what is given and leaves the rest; addresses, proxy entries and sysctls are added.
      - V(replaced) makes the given objects exactly as given; of addresses and proxy entries those of ours that are not
        given are removed.
      - V(overridden) is V(replaced), and objects of ours that are not given are removed.
      - V(deleted) removes the given objects, or all of ours if none is given.
      - V(gathered) changes nothing and returns what there is.
    type: str
    choices: [merged, replaced, overridden, deleted, gathered]
    default: merged
attributes:
  check_mode:
    support: full
    description: Returns exactly what a run would do; the same plan is made, and not carried out.
  diff_mode:
    support: full
    description: Shows the objects that change, before and after.
  idempotent:
    support: full
    description: A second run changes nothing, however addresses, prefixes and values are spelled.
requirements:
  - Linux 4.20 or later
  - pyroute2 0.7.2 or later (Debian C(python3-pyroute2))
notes:
  - Changes are for the running kernel; nothing is written to disk.
  - Mistakes in O(config) are all reported at once, each with its place, before anything is changed.
  - After a change the kernel is read again; what it accepted and did not do is a failure.
  - Needs root, except with O(state=gathered).
author:
  - Routed Hypervisor maintainers
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
after:
  description: The same as they are now, or would be in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
gathered:
  description: All objects, with C(owned) telling whether each is ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
changes:
  description: What was changed, or would be in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the object.
      type: str
    op:
      description: V(create), V(change), V(replace) (deleted and created) or V(delete).
      type: str
    name:
      description: The object.
      type: str
    before:
      description: What differs, as it was.
      type: dict
    after:
      description: What differs, as it is.
      type: dict
    why:
      description: The reason.
      type: str
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
not_done:
  description: Changes that had not been completed when the kernel refused a step.
  returned: on failure half way
  type: list
  elements: dict
mistakes:
  description: What is wrong with O(config), each with its place.
  returned: when O(config) is refused
  type: list
  elements: str
  sample: ["interfaces[3].vlan_id: 5000 is out of range 1..4094"]
"""

from ansible_collections.routed.hypervisor.plugins.module_utils._module import main_of_kind


def main() -> None:
    main_of_kind("vrfs")


if __name__ == "__main__":
    main()
