#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: rules
short_description: Routing policy rules of the Linux kernel
version_added: 0.1.0
description:
  - Manages the rules that choose a routing table. Family and priority identify a rule.
  - Rules of ours have the protocol number 82. Others are never touched; one with the priority of a wanted rule
    is refused.
options:
  config:
    description: Routing policy rules.
    type: list
    elements: dict
    suboptions:
      priority:
        description: Place of the rule; lower ones come first.
        type: int
        required: true
      family:
        description: Only needed if neither O(ignore:from) nor O(ignore:to) shows it.
        type: str
        choices: [ipv4, ipv6]
      from:
        description: Prefix of the source; V(all) unless given.
        type: str
      to:
        description: Prefix of the destination; V(all) unless given.
        type: str
      iif:
        description: Incoming interface; C(lo) for packets of the host itself.
        type: str
      oif:
        description: Outgoing interface that a socket is bound to.
        type: str
      fwmark:
        description: Firewall mark, or mark/mask.
        type: str
      table:
        description: The table to look in.
        type: int
      vrf:
        description: The VRF whose table to look in. Excludes O(ignore:table).
        type: str
      action:
        description: V(to_table) unless given.
        type: str
        choices: [blackhole, prohibit, to_table, unreachable]
      suppress_prefixlength:
        description: Ignore routes that the table has with a prefix of at most this length.
        type: int
      l3mdev:
        description: Whether to look in the table of the VRF that the packet belongs to.
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
- name: The host itself uses the private network
  routed.hypervisor.rules:
    config:
      - {priority: 2000, to: 172.22.0.0/16, vrf: private}

- name: See what there is
  routed.hypervisor.rules:
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
    - kind: rules
      op: change
      name: 2000 (ipv4)
      before: {table: 10}
      after: {table: 20}
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
    main_of_kind("rules")


if __name__ == "__main__":
    main()
