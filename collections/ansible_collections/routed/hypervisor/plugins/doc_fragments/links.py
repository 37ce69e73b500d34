# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules for links, and for the VRFs and namespaces that links are in."""

from __future__ import annotations


class ModuleDocFragment:
    VRFS = r"""
options:
  config:
    description: VRFs.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the VRF, at most 15 characters.
        type: str
        required: true
      table:
        description: Number of its routing table, which no other VRF may use. Required except with O(state=deleted).
        type: int
      unreachable_default:
        description:
          - Whether the table ends in an C(unreachable) default route of each family with metric 4278198272.
            Without it, a destination that is not in the table is looked up in the main table.
          - Defaults to V(true) for a new VRF.
        type: bool
"""

    NAMESPACES = r"""
options:
  config:
    description: Named network namespaces, like those of C(ip netns), with C(lo) up.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name below C(/run/netns).
        type: str
        required: true
"""

    INTERFACES = r"""
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
          - What to create. Without it, the interface must exist or be created in this run (a VRF, the peer of a veth);
            it is configured but never deleted.
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
        description: Whether a bridge filters by VLAN. Only for O(ignore:type=bridge).
        type: bool
      stp:
        description: Whether a bridge runs the spanning tree protocol. Only for O(ignore:type=bridge).
        type: bool
      vrf:
        description: The VRF that the interface is in; an empty string for none. Excludes O(ignore:bridge).
        type: str
      bridge:
        description: The bridge that the interface is a port of; an empty string for none. Excludes O(ignore:vrf).
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
      guest:
        description:
          - The guest behind this interface, which someone else creates when the guest starts and removes when it stops.
          - If it does not exist, the interface is left out together with its proxy settings and with routes, VLANs and
            ipvlan links on it. Another run configures it when it has appeared.
          - The interface is put into a link group of ours, unless it is in another one. With O(state=overridden), an
            interface in that group that is no longer configured is closed - it leaves its VRF, loses our addresses,
            forwarding and proxying, has IPv6 disabled, and moves to a group whose packets the firewall drops.
        type: str
      addresses:
        description: Addresses of both families.
        type: list
        elements: dict
        suboptions:
          address:
            description: Address with its prefix length, /32 or /128 by default.
            type: str
            required: true
          scope:
            description: Scope of an IPv4 address.
            type: str
            choices: [global, link, host]
          nodad:
            description: Whether to skip duplicate address detection when the (IPv6) address is added.
            type: bool
          deprecated:
            description: Whether the host prefers others as source (IPv6). Set when the address is added.
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
"""

    IPVLAN_LINKS = r"""
options:
  config:
    description: ipvlan links.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the link in its namespace, at most 15 characters.
        type: str
        required: true
      master:
        description: The interface of this host that the link is on. Required except with O(state=deleted).
        type: str
      mode:
        description:
          - Where packets are switched - V(l2) by MAC address in the link's namespace, V(l3) and V(l3s) by the routes of
            the master's, with V(l3s) through its netfilter hooks, too. Required for a new link.
          - A master has one mode for all its links.
        type: str
        choices: [l2, l3, l3s]
      flag:
        description:
          - Whether links of one master reach each other directly (V(bridge)), not at all (V(private)), or through a
            switch that sends packets back (V(vepa)). Defaults to V(bridge) for a new link.
          - A master has one flag for all its links.
        type: str
        choices: [bridge, private, vepa]
      mtu:
        description: Largest packet in bytes, at most the MTU of the master, which is the default.
        type: int
      namespace:
        description:
          - The network namespace that the link is in, as a name below C(/run/netns) or an absolute path.
          - Without this and O(ignore:pid), the link is on the host, where it reaches the other links of its master.
            The master itself does not.
        type: str
      pid:
        description: A process whose network namespace the link is in. Excludes O(ignore:namespace).
        type: int
      vrf:
        description: The VRF that a link on the host is in; an empty string for none.
        type: str
      state:
        description: Whether the link is up.
        type: str
        choices: [up, down]
        default: up
      force:
        description: Whether to change the mode and the flag of other links of the master that are not given here.
        type: bool
        default: false
      addresses:
        description: Addresses of both families.
        type: list
        elements: dict
        suboptions:
          address:
            description: Address with its prefix length, /32 or /128 by default.
            type: str
            required: true
          scope:
            description: Scope of an IPv4 address.
            type: str
            choices: [global, link, host]
          nodad:
            description: Whether to skip duplicate address detection when the (IPv6) address is added.
            type: bool
          deprecated:
            description: Whether the host prefers others as source (IPv6). Set when the address is added.
            type: bool
      routes:
        description: Routes through the link, in the main table of its namespace. Not for links on the host.
        type: list
        elements: dict
        suboptions:
          prefix:
            description: Destination, such as C(0.0.0.0/0).
            type: str
            required: true
          gateway:
            description:
              - Address of the next hop, which is assumed to be on the link even if it is in no network of the link.
                Without it, the destination itself is assumed to be on the link.
            type: str
      sysctls:
        description: Settings of this link, as in C(/proc/sys/net/ipv4/conf/NAME) of its namespace.
        type: dict
        suboptions:
          ipv4:
            description: Name and value of each, such as C(rp_filter) and V(1).
            type: dict
          ipv6:
            description: Name and value of each, such as C(accept_ra) and V(0).
            type: dict
"""
