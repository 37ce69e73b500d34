#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: network
short_description: The network of a host in one go - sysctls, VRFs, interfaces, proxy ARP, routes, rules
version_added: 0.1.0
description:
  - Does what M(routed.hypervisor.sysctls), M(routed.hypervisor.vrfs), M(routed.hypervisor.interfaces),
    M(routed.hypervisor.proxy_arp), M(routed.hypervisor.routes) and M(routed.hypervisor.rules) do, in one
    process and with one look at the kernel for each kind.
  - The kinds are planned together. An interface may be in a VRF that the same call creates, and a route that a
    link takes with it when it changes is put back in the same run.
  - What is ours bears a mark - links the alias C(routed.hypervisor), addresses, routes, rules and proxy entries
    the protocol number 82. Nothing else is ever removed.
options:
  config:
    description: The objects of each kind. A kind that is not given is left alone.
    type: dict
    suboptions:
      sysctls:
        description: Host-wide sysctls. See M(routed.hypervisor.sysctls).
        type: list
        elements: dict
        suboptions:
          name:
            description: Name below C(net), with dots, such as C(net.ipv4.ip_forward).
            type: str
            required: true
          value:
            description: The value it shall have. Required except with O(state=gathered).
            type: str
      vrfs:
        description: VRFs. See M(routed.hypervisor.vrfs).
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the VRF, at most 15 characters.
            type: str
            required: true
          table:
            description: Number of its routing table. Required except with O(state=deleted). No two VRFs may share one.
            type: int
          unreachable_default:
            description:
              - Whether the table ends in an C(unreachable) default route of each family with metric 4278198272.
                Without it a destination that the table lacks is looked up in the main table.
              - A new VRF gets it unless this is V(false).
            type: bool
      interfaces:
        description: Interfaces. See M(routed.hypervisor.interfaces).
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
      proxy_arp:
        description: Ports with proxy ARP or NDP. See M(routed.hypervisor.proxy_arp).
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
      routes:
        description: Routes. See M(routed.hypervisor.routes).
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
      rules:
        description: Routing policy rules. See M(routed.hypervisor.rules).
        type: list
        elements: dict
        suboptions:
          priority:
            description: Place of the rule; lower ones come first.
            type: int
            required: true
          family:
            description: Only needed if neither O(ignore:from) nor O(ignore:to) shows it.
            type: str
            choices: [ipv4, ipv6]
          from:
            description: Prefix of the source; V(all) unless given.
            type: str
          to:
            description: Prefix of the destination; V(all) unless given.
            type: str
          iif:
            description: Incoming interface; C(lo) for packets of the host itself.
            type: str
          oif:
            description: Outgoing interface that a socket is bound to.
            type: str
          fwmark:
            description: Firewall mark, or mark/mask.
            type: str
          table:
            description: The table to look in.
            type: int
          vrf:
            description: The VRF whose table to look in. Excludes O(ignore:table).
            type: str
          action:
            description: V(to_table) unless given.
            type: str
            choices: [blackhole, prohibit, to_table, unreachable]
          suppress_prefixlength:
            description: Ignore routes that the table has with a prefix of at most this length.
            type: int
          l3mdev:
            description: Whether to look in the table of the VRF that the packet belongs to.
            type: bool
  state:
    description:
      - V(merged) sets what is given and leaves the rest; addresses, proxy entries and sysctls are added.
      - V(replaced) makes the given objects exactly as given; of addresses and proxy entries those of ours that are not
        given are removed.
      - V(overridden) is V(replaced), and objects of ours that are not given are removed, of the kinds that are given.
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
after:
  description: The same as they are now, or would be in check mode.
  returned: unless O(state=gathered)
  type: dict
gathered:
  description: All objects, by kind, with C(owned) telling whether each is ours.
  returned: with O(state=gathered)
  type: dict
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

from ansible_collections.routed.hypervisor.plugins.module_utils._module import main_of_all


def main() -> None:
    main_of_all()


if __name__ == "__main__":
    main()
