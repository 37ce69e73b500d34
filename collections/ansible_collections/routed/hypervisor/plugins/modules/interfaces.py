#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: interfaces
short_description: Network interfaces of the Linux kernel
version_added: 0.1.0
description:
  - Creates VLANs, dummies, veth pairs and bridges, and configures these and existing interfaces - VRF or bridge
    membership, state, MTU, addresses, sysctls.
  - An interface that this module made bears the link alias C(routed.hypervisor), an address the protocol number
    82. Nothing else is ever deleted or removed. On kernels before 5.18, where addresses bear no mark, all
    addresses of an interface of ours are ours, and those of others are left alone.
  - An attribute that cannot be changed on an existing interface (type, parent, VLAN) takes a new one; that is
    reported as V(replace). What was lost with it is restored in the same run.
options:
  config:
    description: Interfaces.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the interface, at most 15 characters.
        type: str
        required: true
      type:
        description:
          - What to create. Without it the interface must exist, or be made in this run (a VRF, the peer of a veth);
            it is configured and never deleted.
        type: str
        choices: [bridge, dummy, veth, vlan]
      parent:
        description: The interface that a VLAN is on. Only for O(ignore:type=vlan).
        type: str
      vlan_id:
        description: 1 to 4094. Only for O(ignore:type=vlan).
        type: int
      peer:
        description: Name of the other end of a veth pair. Only for O(ignore:type=veth).
        type: str
      vlan_filtering:
        description: Whether a bridge tells VLANs apart. Only for O(ignore:type=bridge).
        type: bool
      vrf:
        description: The VRF that the interface is in, an empty string for none. Excludes O(ignore:bridge).
        type: str
      bridge:
        description: The bridge that it is a port of, an empty string for none. Excludes O(ignore:vrf).
        type: str
      state:
        description: Whether the interface is up.
        type: str
        choices: [up, down]
        default: up
      mtu:
        description: Largest packet in bytes, 68 to 65535; IPv6 needs 1280.
        type: int
      mac:
        description: Hardware address.
        type: str
      addresses:
        description: Addresses of both families.
        type: list
        elements: dict
        suboptions:
          address:
            description: Address with its prefix length; without one it is a host's (/32 or /128).
            type: str
            required: true
          scope:
            description: Scope of an IPv4 address.
            type: str
            choices: [global, link, host]
          nodad:
            description: Whether to skip duplicate address detection when the (IPv6) address is added.
            type: bool
      sysctls:
        description: Settings of this interface, as in C(/proc/sys/net/ipv4/conf/NAME).
        type: dict
        suboptions:
          ipv4:
            description: Name and value of each, such as C(rp_filter) and V(1).
            type: dict
          ipv6:
            description: Name and value of each, such as C(accept_ra) and V(0).
            type: dict
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

- name: See what there is
  routed.hypervisor.interfaces:
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
    main_of_kind("interfaces")


if __name__ == "__main__":
    main()
