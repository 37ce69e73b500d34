#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: proxy_arp
short_description: Proxy ARP and proxy NDP on ports
version_added: 0.1.0
description:
  - Lets the kernel answer ARP requests and neighbor solicitations on behalf of others, on single ports.
  - Entries of ours bear the protocol number 82; only these are removed. The switches themselves bear no mark -
    with O(state=deleted) a port that is given gets the kernel's defaults.
options:
  config:
    description: Ports with proxy ARP or NDP.
    type: list
    elements: dict
    suboptions:
      interface:
        description: The port.
        type: str
        required: true
      proxy_arp:
        description: Whether ARP requests are answered for every destination with a route by another interface.
        type: bool
      proxy_ndp:
        description: Whether the kernel answers neighbor solicitations for the IPv6 addresses in O(ignore:entries).
        type: bool
      delay:
        description:
          - How long an answer is held back at most, in hundredths of a second (C(neigh.PORT.proxy_delay)).
            The kernel's default is 80; a router that stands for the addresses alone wants 0.
        type: int
      entries:
        description: Single addresses, of both families, to answer for.
        type: list
        elements: str
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
- name: Guests see one subnet
  routed.hypervisor.proxy_arp:
    config:
      - interface: vm1
        proxy_arp: true
        delay: 0

- name: See what there is
  routed.hypervisor.proxy_arp:
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
    - kind: proxy_arp
      op: change
      name: vm1
      before: {proxy_arp: false}
      after: {proxy_arp: true}
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
    main_of_kind("proxy_arp")


if __name__ == "__main__":
    main()
