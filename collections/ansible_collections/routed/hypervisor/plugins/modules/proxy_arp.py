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
  - Lets the kernel answer ARP requests and neighbor solicitations on behalf of others, on single ports.
  - Entries of ours bear the protocol number 82; only these are removed. The switches themselves bear no mark -
    with O(state=deleted) a port that is given gets the kernel's defaults.
extends_documentation_fragment:
  - routed.hypervisor.routing.proxy_arp
  - routed.hypervisor.state
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
  sample:
    - {interface: vm1, entries: [], proxy_arp: false, proxy_ndp: false, delay: 80}
after:
  description: The same as they are now, or would be in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {interface: vm1, entries: [], proxy_arp: true, proxy_ndp: false, delay: 0}
gathered:
  description: All objects, with C(owned) telling whether each is ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {interface: vm1, entries: [], proxy_arp: true, proxy_ndp: false, delay: 0, owned: true}
changes:
  description: What was changed, or would be in check mode. M(routed.hypervisor.network) explains the keys.
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
    - kind: proxy_arp
      op: change
      name: vm1
      before: {proxy_arp: false}
      after: {proxy_arp: true}
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
    main_of_kind("proxy_arp")


if __name__ == "__main__":
    main()
