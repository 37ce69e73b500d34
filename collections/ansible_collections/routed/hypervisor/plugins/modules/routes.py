#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: routes
short_description: Routes of the Linux kernel
version_added: 0.1.0
description:
  - Manages routes of both families in any table or VRF. Family, table, prefix and metric identify a route.
  - Routes of ours have the protocol number 82. A route of another protocol is never changed, replaced or
    removed; one that stands where a wanted one would go is refused.
  - The C(unreachable) default routes of a VRF belong to M(routed.hypervisor.vrfs).
options:
  config:
    description: Routes.
    type: list
    elements: dict
    suboptions:
      prefix:
        description: Destination, such as C(203.0.113.1/32); or V(default), with O(ignore:family).
        type: str
        required: true
      family:
        description: Only needed with the prefix V(default).
        type: str
        choices: [ipv4, ipv6]
      vrf:
        description: The VRF whose table has the route. Excludes O(ignore:table).
        type: str
      table:
        description: Number of the table. The main table (254) unless given.
        type: int
      type:
        description: V(unicast) unless given.
        type: str
        choices: [blackhole, prohibit, unicast, unreachable]
      gateway:
        description: Address of the next hop.
        type: str
      interface:
        description: Interface to the next hop.
        type: str
      onlink:
        description: Whether the gateway is taken to be on the link, though no prefix of the interface says so.
        type: bool
      nexthops:
        description: Several next hops (ECMP). Excludes O(ignore:gateway), O(ignore:interface) and O(ignore:onlink).
        type: list
        elements: dict
        suboptions:
          gateway:
            description: Address of the next hop.
            type: str
          interface:
            description: Interface to the next hop.
            type: str
          weight:
            description: Its share, 1 to 256; 1 unless given.
            type: int
          onlink:
            description: Whether the gateway is taken to be on the link.
            type: bool
      metric:
        description: The lowest is used. 0 for IPv4, 1024 for IPv6 unless given.
        type: int
      scope:
        description: Scope of an IPv4 route. V(link) without a gateway, else V(global), unless given.
        type: str
        choices: [global, host, link]
      source:
        description: Source address that the host's own packets prefer.
        type: str
      mtu:
        description: Path MTU.
        type: int
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
- name: The way to a guest, and a network by two fabrics
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

- name: See what there is
  routed.hypervisor.routes:
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
    - kind: routes
      op: change
      name: 203.0.113.1/32 in VRF public
      before: {scope: global}
      after: {scope: link}
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
    main_of_kind("routes")


if __name__ == "__main__":
    main()
