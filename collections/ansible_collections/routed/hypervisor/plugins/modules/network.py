#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: network
short_description: The network of a host in one call - VRFs, interfaces, ipvlan links, proxy ARP, routes, rules
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Does what M(routed.hypervisor.sysctls), M(routed.hypervisor.vrfs), M(routed.hypervisor.namespaces),
    M(routed.hypervisor.interfaces), M(routed.hypervisor.ipvlan_links), M(routed.hypervisor.proxy_arp),
    M(routed.hypervisor.routes) and M(routed.hypervisor.rules) do, in one process that reads each kind of
    object once.
  - The kinds are planned together. An interface may be in a VRF that the same call creates, and a route that is
    lost through a change of its link is restored in the same run.
  - Refuses changes that would cut the path to this host - the interface of the connection that the run came by (that of
    an SSH server among the ancestors of the module), its address and its route, and the default routes of others.
  - If IPv6 forwarding is switched on, C(accept_ra) becomes 2 on interfaces that use router advertisements and whose
    C(accept_ra) is not configured. Otherwise the kernel would drop their default routes at once.
  - Our objects carry a mark - links the alias C(routed.hypervisor), addresses, routes, rules and proxy entries the
    protocol number 82. Nothing else is ever removed.
options:
  expected:
    description:
      - Interfaces that will have been plugged in and set up before the run that check mode predicts. An interface that
        does not exist yet is then treated as new instead of as a mistake.
      - Only for check mode.
    type: list
    elements: str
    default: []
  former:
    description:
      - A file on the host, readable by root only, in which everything that changes of objects of others replace is
        recorded first - host-wide sysctls; masters, state, MTU, MAC address and sysctls of interfaces that we have not
        created; whether there was a rule for lookups in VRFs.
      - What is recorded there is restored once it is no longer wanted, with O(state=overridden), or O(state=deleted)
        without O(config). A sysctl that somebody else has changed since is left alone.
    type: path
  may_cut_path:
    description:
      - Also make changes that may cut the path to the host, its default route or Ansible's connection. Only for a host
        that undoes them if they do (see M(routed.hypervisor.arming)), or that is not reached through its interfaces,
        such as a lab's node.
    type: bool
    default: false
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

- name: Remove everything that is ours
  routed.hypervisor.network:
    state: deleted
"""

RETURN = r"""
before:
  description: The wanted objects and all of ours, before the run, by kind.
  returned: unless O(state=gathered)
  type: dict
  sample:
    vrfs: [{name: public, table: 90, unreachable_default: true, state: up}]
    interfaces: [{name: vm1, state: up, mtu: 1500, mac: "02:01:cb:00:71:01", addresses: []}]
after:
  description: The same objects after the run, or as predicted in check mode.
  returned: unless O(state=gathered)
  type: dict
  sample:
    vrfs: [{name: public, table: 90, unreachable_default: true, state: up}]
    interfaces: [{name: vm1, state: up, mtu: 1500, mac: "02:01:cb:00:71:01", vrf: public, addresses: []}]
gathered:
  description: All objects, by kind, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: dict
  sample:
    vrfs: [{name: public, table: 90, unreachable_default: true, state: up, owned: true}]
    namespaces: [{name: c1, loopback: up, owned: false}]
changes:
  description:
    - The changes made, or predicted in check mode.
    - Side effects come last, such as a link that is deleted with another one, or a route that is lost with its link.
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
      description: The differing attributes, before the change.
      type: dict
    after:
      description: The differing attributes, after the change.
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
renewed:
  description:
    - Interfaces and VRFs that were deleted and created (C(replaced)), and interfaces that were moved into or out of a
      VRF (C(moved)), or would be in check mode. Daemons have to look at them again, see M(routed.hypervisor.daemon).
  returned: unless O(state=gathered)
  type: dict
  sample: {replaced: [public], moved: [vm1]}
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
  description: Configured interfaces of guests that do not exist. They were left out.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  contains:
    interface:
      description: The interface.
      type: str
    guest:
      description: The guest behind it.
      type: str
  sample: [{interface: tap-web1, guest: web1}]
mistakes:
  description: The mistakes in O(config), each with its place.
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
