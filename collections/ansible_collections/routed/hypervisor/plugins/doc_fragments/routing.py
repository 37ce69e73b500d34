# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules for forwarding: sysctls, proxy ARP, routes, rules."""

from __future__ import annotations


class ModuleDocFragment:
    SYSCTLS = r"""
options:
  config:
    description: Host-wide sysctls. O(state=gathered) returns only the given ones, out of hundreds.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name below C(net), with dots, such as C(net.ipv4.ip_forward).
        type: str
        required: true
      value:
        description: The value to set. Required except with O(state=gathered).
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
        description: Whether the kernel answers ARP requests for destinations that it routes through another interface.
        type: bool
      proxy_ndp:
        description: Whether the kernel answers neighbor solicitations for the IPv6 addresses in O(ignore:entries).
        type: bool
      delay:
        description:
          - Maximum delay of an answer in hundredths of a second (C(neigh.PORT.proxy_delay)).
            The kernel's default is 80; use 0 on the only router that answers for the addresses.
        type: int
      ndp_delay:
        description: The same for answers to neighbor solicitations.
        type: int
      entries:
        description: Single addresses of both families for which to answer.
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
        description: The VRF in whose table the route is. Excludes O(ignore:table).
        type: str
      table:
        description: Number of the table, by default the main table (254).
        type: int
      type:
        description: Type of the route, by default V(unicast).
        type: str
        choices: [blackhole, prohibit, unicast, unreachable]
      gateway:
        description: Address of the next hop.
        type: str
      interface:
        description: Interface to the next hop.
        type: str
      onlink:
        description: Whether to assume that the gateway is on the link even if it is in no network of the interface.
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
            description: Its relative share of the traffic, 1 to 256, by default 1.
            type: int
          onlink:
            description: Whether to assume that the gateway is on the link.
            type: bool
      metric:
        description: The route with the lowest metric is used. The default is 0 for IPv4, 1024 for IPv6.
        type: int
      scope:
        description: Scope of an IPv4 route, by default V(link) without a gateway, else V(global).
        type: str
        choices: [global, host, link]
      source:
        description: Preferred source address of the host's own packets.
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
        description: Position of the rule; lower ones are evaluated first.
        type: int
        required: true
      family:
        description: Only needed if neither O(ignore:from) nor O(ignore:to) implies it.
        type: str
        choices: [ipv4, ipv6]
      from:
        description: Source prefix, by default V(all).
        type: str
      to:
        description: Destination prefix, by default V(all).
        type: str
      iif:
        description: Incoming interface; C(lo) for packets from the host itself.
        type: str
      oif:
        description: Outgoing interface that a socket is bound to.
        type: str
      fwmark:
        description: Firewall mark, or mark/mask.
        type: str
      table:
        description: The table to use.
        type: int
      vrf:
        description: The VRF whose table to use. Excludes O(ignore:table).
        type: str
      action:
        description: Action of the rule, by default V(to_table).
        type: str
        choices: [blackhole, prohibit, to_table, unreachable]
      suppress_prefixlength:
        description: Ignore routes in the table with a prefix of at most this length.
        type: int
      l3mdev:
        description: Whether to use the table of the VRF that the packet belongs to.
        type: bool
"""
