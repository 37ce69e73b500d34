#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: proxy_arp
short_description: Proxy ARP and proxy NDP on ports
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Makes the kernel answer ARP requests and neighbor solicitations on behalf of others, on individual ports.
  - Our entries carry the protocol number 82; only these are removed. The settings themselves cannot carry a mark -
    O(state=deleted) resets them to the kernel's defaults on the given ports.
extends_documentation_fragment:
  - routed.hypervisor.routing.proxy_arp
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: Make guests see one subnet
  routed.hypervisor.proxy_arp:
    config:
      - interface: vm1
        proxy_arp: true
        delay: 0

- name: Read the current state
  routed.hypervisor.proxy_arp:
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
    - {interface: vm1, entries: [], proxy_arp: false, proxy_ndp: false, delay: 80, ndp_delay: 80}
after:
  description: The same objects after the run, or as predicted in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {interface: vm1, entries: [], proxy_arp: true, proxy_ndp: false, delay: 0, ndp_delay: 80}
gathered:
  description: All objects, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {interface: vm1, entries: [], proxy_arp: true, proxy_ndp: false, delay: 0, ndp_delay: 80, owned: true}
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: proxy_arp
      op: change
      name: vm1
      before: {proxy_arp: false}
      after: {proxy_arp: true}
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
    - kind: proxy_arp
      op: change
      name: vm1
      before: {proxy_arp: false}
      after: {proxy_arp: true}
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
    main_of_kind("proxy_arp")


if __name__ == "__main__":
    main()
