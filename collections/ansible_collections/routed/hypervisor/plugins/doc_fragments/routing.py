# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules for what decides about packets: sysctls, proxy ARP, routes, rules."""

from __future__ import annotations


class ModuleDocFragment:
    SYSCTLS = r"""
options:
  config:
    description: Host-wide sysctls. There are hundreds, so O(state=gathered) returns only those that are given.
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
"""

    PROXY_ARP = r"""
options:
  config:
    description: Ports with proxy ARP or NDP.
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
"""

    ROUTES = r"""
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
"""

    RULES = r"""
options:
  config:
    description: Routing policy rules.
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
"""
