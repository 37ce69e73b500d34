#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: routes
short_description: Routes of the Linux kernel
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Manages routes of both families in any table or VRF. Family, table, prefix and metric identify a route.
  - Our routes have the protocol number 82. A route of another protocol is never changed, replaced or removed; if it
    has the place of a wanted route, the run is refused.
  - The C(unreachable) default routes of a VRF belong to M(routed.hypervisor.vrfs).
extends_documentation_fragment:
  - routed.hypervisor.routing.routes
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: The route to a guest, and a network reached over two fabrics
  routed.hypervisor.routes:
    config:
      - prefix: 203.0.113.1/32
        vrf: public
        interface: vm1
      - prefix: 10.9.0.0/16
        vrf: private
        nexthops:
          - {gateway: 172.22.15.126, interface: uplink-a.20}
          - {gateway: 172.22.15.254, interface: uplink-b.20}

- name: Read the current state
  routed.hypervisor.routes:
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
    - {prefix: 203.0.113.1/32, table: 90, metric: 0, type: unicast, scope: global,
       nexthops: [{interface: vm1, weight: 1}]}
after:
  description: The same objects after the run, or as predicted in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {prefix: 203.0.113.1/32, table: 90, metric: 0, type: unicast, scope: link,
       nexthops: [{interface: vm1, weight: 1}]}
gathered:
  description: All objects, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {prefix: 203.0.113.1/32, table: 90, metric: 0, type: unicast, scope: link,
       nexthops: [{interface: vm1, weight: 1}], owned: true}
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: routes
      op: change
      name: 203.0.113.1/32 in VRF public
      before: {scope: global}
      after: {scope: link}
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
    - kind: routes
      op: change
      name: 203.0.113.1/32 in VRF public
      before: {scope: global}
      after: {scope: link}
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
    main_of_kind("routes")


if __name__ == "__main__":
    main()
