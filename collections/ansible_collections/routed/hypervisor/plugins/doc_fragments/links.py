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
        description: Number of its routing table. Required except with O(state=deleted). No two VRFs may share one.
        type: int
      unreachable_default:
        description:
          - Whether the table ends in an C(unreachable) default route of each family with metric 4278198272.
            Without it a destination that the table lacks is looked up in the main table.
          - A new VRF gets it unless this is V(false).
        type: bool
"""

    NAMESPACES = r"""
options:
  config:
    description: Named network namespaces, as C(ip netns) makes them. Their C(lo) is up.
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
"""

    IPVLAN_LINKS = r"""
options:
  config:
    description: ipvlan links.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the link where it ends up, at most 15 characters.
        type: str
        required: true
      master:
        description: The interface of this host that it is on. Required except with O(state=deleted).
        type: str
      mode:
        description:
          - Where packets are switched - V(l2) by MAC address in the link's namespace, V(l3) and V(l3s) by the routes of
            the master's, V(l3s) past its netfilter hooks, too. Required for a link that does not exist.
          - A master has one mode for all its links.
        type: str
        choices: [l2, l3, l3s]
      flag:
        description:
          - Whether links of one master reach each other (V(bridge)), do not (V(private)), or by way of a switch that
            sends packets back (V(vepa)). A new link gets V(bridge) unless given.
          - A master has one flag for all its links.
        type: str
        choices: [bridge, private, vepa]
      mtu:
        description: Largest packet in bytes, at most that of the master, which it is unless given.
        type: int
      namespace:
        description:
          - The network namespace that the link is in, as a name below C(/run/netns) or an absolute path.
          - Without it and O(ignore:pid) the link stays on the host, where it reaches the other links of its master,
            which the master itself does not.
        type: str
      pid:
        description: A process in whose network namespace the link is. Excludes O(ignore:namespace).
        type: int
      vrf:
        description: The VRF that a link on the host is in, an empty string for none.
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
              - Address of the next hop, taken to be on the link even if no address of the link says so.
                Without it the destination itself is.
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
