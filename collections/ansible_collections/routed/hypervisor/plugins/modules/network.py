#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: network
short_description: The network of a host in one go - VRFs, interfaces, ipvlan links, proxy ARP, routes, rules
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Does what M(routed.hypervisor.sysctls), M(routed.hypervisor.vrfs), M(routed.hypervisor.namespaces),
    M(routed.hypervisor.interfaces), M(routed.hypervisor.ipvlan_links), M(routed.hypervisor.proxy_arp),
    M(routed.hypervisor.routes) and M(routed.hypervisor.rules) do, in one process and with one look at the kernel for
    each kind.
  - The kinds are planned together. An interface may be in a VRF that the same call creates, and a route that a
    link takes with it when it changes is put back in the same run.
  - What is ours bears a mark - links the alias C(routed.hypervisor), addresses, routes, rules and proxy entries
    the protocol number 82. Nothing else is ever removed.
options:
  expected:
    description:
      - Interfaces that something else will have plugged, and set up, before the run that check mode predicts. One that
        does not exist yet is not a mistake there, and counts as new.
      - Only for check mode.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - routed.hypervisor.network
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: The network of a hypervisor is exactly this
  routed.hypervisor.network:
    state: overridden
    config:
      sysctls:
        - {name: net.ipv4.ip_forward, value: 1}
      vrfs:
        - {name: public, table: 90}
      interfaces:
        - name: uplink
        - name: uplink.90
          type: vlan
          parent: uplink
          vlan_id: 90
          vrf: public
          addresses:
            - address: 198.51.100.101/25
        - name: vm1
          vrf: public
          addresses:
            - address: 203.0.113.254/32
              scope: link
      namespaces:
        - name: c1
      ipvlan_links:
        - name: eth0
          namespace: c1
          master: uplink.90
          mode: l2
          addresses:
            - address: 198.51.100.102/25
      proxy_arp:
        - {interface: vm1, proxy_arp: true, delay: 0}
      routes:
        - {prefix: 203.0.113.1/32, vrf: public, interface: vm1}
      rules: []

- name: Nothing of ours remains
  routed.hypervisor.network:
    state: deleted
"""

RETURN = r"""
before:
  description: The objects that are wanted or ours, as they were, by kind.
  returned: unless O(state=gathered)
  type: dict
  sample:
    vrfs: [{name: public, table: 90, unreachable_default: true, state: up}]
    interfaces: [{name: vm1, state: up, mtu: 1500, mac: "02:01:cb:00:71:01", addresses: []}]
after:
  description: The same as they are now, or would be in check mode.
  returned: unless O(state=gathered)
  type: dict
  sample:
    vrfs: [{name: public, table: 90, unreachable_default: true, state: up}]
    interfaces: [{name: vm1, state: up, mtu: 1500, mac: "02:01:cb:00:71:01", vrf: public, addresses: []}]
gathered:
  description: All objects, by kind, with C(owned) telling whether each is ours.
  returned: with O(state=gathered)
  type: dict
  sample:
    vrfs: [{name: public, table: 90, unreachable_default: true, state: up, owned: true}]
    namespaces: [{name: c1, loopback: up, owned: false}]
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
    - kind: interfaces
      op: change
      name: vm1
      before: {vrf: null}
      after: {vrf: public}
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
    - kind: interfaces
      op: change
      name: vm1
      before: {vrf: null}
      after: {vrf: public}
      why: differs
mistakes:
  description: What is wrong with O(config), each with its place.
  returned: when O(config) is refused
  type: list
  elements: str
  sample: ["interfaces[3].vlan_id: 5000 is out of range 1..4094"]
"""

from ..module_utils._network.module import main_of_all


def main() -> None:
    main_of_all()


if __name__ == "__main__":
    main()
