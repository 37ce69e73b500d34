#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: interfaces
short_description: Network interfaces of the Linux kernel
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Creates VLANs, dummies, veth pairs and bridges, and configures these and existing interfaces - VRF or bridge
    membership, state, MTU, addresses, sysctls.
  - Interfaces created by this module carry the link alias C(routed.hypervisor), addresses the protocol number 82.
    Nothing else is ever deleted or removed. On kernels before 5.18, where addresses cannot carry a mark, all
    addresses of an interface of ours are ours, and those of others are left alone.
  - An attribute that cannot be changed on an existing interface (type, parent, VLAN) requires a new one, which is
    reported as V(replace). The same run restores everything that was lost with the old one.
extends_documentation_fragment:
  - routed.hypervisor.links.interfaces
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: An uplink with a VLAN in a VRF, and a loopback address
  routed.hypervisor.interfaces:
    config:
      - name: uplink
      - name: uplink.90
        type: vlan
        parent: uplink
        vlan_id: 90
        vrf: public
        addresses:
          - address: 198.51.100.101/25
          - address: 2001:db8:c633:6400::1/120
        sysctls:
          ipv4: {send_redirects: 0}
      - name: loopback
        type: dummy
        addresses:
          - address: 172.22.2.1/32

- name: Read the current state
  routed.hypervisor.interfaces:
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
    - {name: vm1, state: up, mtu: 1500, mac: "02:01:cb:00:71:01", addresses: []}
after:
  description: The same objects after the run, or as predicted in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: vm1, state: up, mtu: 1500, mac: "02:01:cb:00:71:01", vrf: public, addresses: []}
gathered:
  description: All objects, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: vm1, state: up, mtu: 1500, mac: "02:01:cb:00:71:01", vrf: public, addresses: [], owned: true}
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: interfaces
      op: change
      name: vm1
      before: {vrf: null}
      after: {vrf: public}
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
    - kind: interfaces
      op: change
      name: vm1
      before: {vrf: null}
      after: {vrf: public}
      why: differs
absent:
  description: Configured interfaces of guests that do not exist. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample: [{interface: tap-web1, guest: web1}]
mistakes:
  description: The mistakes in O(config), each with its place.
  returned: when O(config) is refused
  type: list
  elements: str
  sample: ["interfaces[3].vlan_id: 5000 is out of range 1..4094"]
"""

from ..module_utils._network.module import main_of_kind


def main() -> None:
    main_of_kind("interfaces")


if __name__ == "__main__":
    main()
