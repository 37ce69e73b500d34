#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: ipvlan_links
short_description: ipvlan links, on the host and in containers
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Creates any number of ipvlan links in one call, each in its network namespace, with mode, flag, MTU, addresses and
    routes.
  - What the kernel would do silently is refused with the reason, before anything is changed - another
    mode or flag for links that share a master, an MTU above the master's, an address that the master or another of its
    links has, a master that is C(lo), a bridge port, a macvlan or an ipvlan link, and mode l3s on a master in a VRF.
  - Changes by others are reverted, such as an MTU that the master overwrote or a mode that another link imposed.
  - Links created by this module carry the link alias C(routed.hypervisor), addresses and routes the protocol number 82.
    Nothing else is ever deleted or removed. The module looks for links in all namespaces that have a name below
    C(/run/netns) or a process, and changes only links on masters in its own namespace.
extends_documentation_fragment:
  - routed.hypervisor.links.ipvlan_links
  - routed.hypervisor.state
notes:
  - The master and its links cannot reach each other; a link on the host can reach the other links.
"""

EXAMPLES = r"""
- name: Two containers, and a link through which the host reaches them
  routed.hypervisor.ipvlan_links:
    config:
      - name: eth0
        namespace: c1
        master: uplink
        mode: l2
        addresses:
          - address: 10.10.1.2/24
        routes:
          - {prefix: 0.0.0.0/0, gateway: 10.10.1.1}
      - name: eth0
        pid: 1234
        master: uplink
        mode: l2
        addresses:
          - address: 10.10.1.3/24
      - name: host-uplink
        master: uplink
        mode: l2
        addresses:
          - address: 10.10.1.1/24

- name: Read the current state
  routed.hypervisor.ipvlan_links:
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
    - {name: eth0, namespace: c1, master: uplink, mode: l2, flag: bridge, mtu: 1500, state: up}
after:
  description: The same objects after the run, or as predicted in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: eth0, namespace: c1, master: uplink, mode: l2, flag: bridge, mtu: 1400, state: up}
gathered:
  description: All objects, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: eth0, namespace: c1, master: uplink, mode: l2, flag: bridge, mtu: 1400, state: up, owned: true}
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: ipvlan_links
      op: change
      name: eth0 in c1
      before: {mtu: 1500}
      after: {mtu: 1400}
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
    - kind: ipvlan_links
      op: change
      name: eth0 in c1
      before: {mtu: 1500}
      after: {mtu: 1400}
      why: differs
mistakes:
  description: The mistakes in O(config), each with its place.
  returned: when O(config) is refused
  type: list
  elements: str
  sample: ["ipvlan_links[2].mtu: 9000 is above the MTU of uplink, 1500: larger packets would be lost"]
"""

from ..module_utils._network.module import main_of_kind


def main() -> None:
    main_of_kind("ipvlan_links")


if __name__ == "__main__":
    main()
