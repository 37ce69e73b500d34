#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bgp_info
short_description: BGP sessions and routes of BIRD, FRR and GoBGP in a common format
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Reads the BGP sessions of the routing daemons on a host, and the routes in their tables.
  - The results have the same keys for every daemon.
  - Nothing is changed.
extends_documentation_fragment:
  - routed.hypervisor.attributes.reads
options:
  daemons:
    description:
      - The daemons to query. If one does not answer, the module fails.
      - By default, all running daemons are queried, and RV(ignore:errors) has the reason if one does not answer.
    type: list
    elements: str
    choices: [bird, frr, gobgp]
  routes:
    description: Whether to return routes, too.
    type: bool
    default: true
notes:
  - For events some hours ago BIRD prints only the date, so longer uptimes are accurate to the day.
  - BIRD reports filtered prefixes only with C(import keep filtered), FRR only with C(soft-reconfiguration inbound).
    Without these, the number of received prefixes equals that of accepted ones.
  - The GoBGP instances are those of this collection's role C(gobgp).
"""

EXAMPLES = r"""
- name: Query all BGP daemons of this host
  routed.hypervisor.bgp_info:
  register: bgp

- name: Require every session to be up
  ansible.builtin.assert:
    that: bgp.sessions | rejectattr('state', 'equalto', 'Established') | list | length == 0

- name: Print sessions and routes as tables
  ansible.builtin.debug:
    msg: "{{ bgp.text }}"
"""

RETURN = r"""
sessions:
  description: The BGP sessions.
  returned: success
  type: list
  elements: dict
  contains:
    daemon: {description: "V(bird), V(frr) or V(gobgp).", type: str}
    instance: {description: "The instance of GoBGP, null for others.", type: str}
    name: {description: The name in the daemon; in FRR and GoBGP the description of the neighbor., type: str}
    vrf: {description: "The VRF, null for the default one.", type: str}
    neighbor: {description: The neighbor's address., type: str}
    neighbor_as: {description: Its AS number., type: int}
    local_as: {description: Our AS number., type: int}
    families: {description: "The address families of the session, V(ipv4) and V(ipv6).", type: list, elements: str}
    state: {description: V(Established) or another state of RFC 4271., type: str}
    uptime_s: {description: "Seconds since the session was established, null if it is not.", type: int}
    prefixes_received: {description: Number of prefixes received from the neighbor., type: int}
    prefixes_accepted: {description: Number of these that the import policy accepted., type: int}
    last_error: {description: "Why the session went down, as reported by the daemon; null if it is up.", type: str}
  sample:
    - daemon: frr
      instance: null
      name: contiv1
      vrf: null
      neighbor: 50.1.1.1
      neighbor_as: 65002
      local_as: 500
      families: [ipv4]
      state: Established
      uptime_s: 13744
      prefixes_received: 3
      prefixes_accepted: 2
      last_error: null
routes:
  description: The routes in the daemons' tables. FRR includes routes of all protocols and of the kernel.
  returned: success
  type: list
  elements: dict
  contains:
    daemon: {description: "V(bird), V(frr) or V(gobgp).", type: str}
    instance: {description: "The instance of GoBGP, null for others.", type: str}
    vrf: {description: "The VRF, null for the default one.", type: str}
    family: {description: V(ipv4) or V(ipv6)., type: str}
    prefix: {description: The destination., type: str}
    protocol: {description: "V(bgp), V(ospf), V(connected), V(static), V(kernel), V(local) or another.", type: str}
    best: {description: Whether it is the selected one of the routes with this prefix., type: bool}
    preference: {description: "Administrative distance in FRR, preference in BIRD, null in GoBGP.", type: int}
    metric: {description: The metric of the protocol; for BGP routes the MED., type: int}
    uptime_s: {description: Age of the route in seconds., type: int}
    next_hops:
      description: The next hops. For a BGP route the BGP next hop, which may be several hops away.
      type: list
      elements: dict
      contains:
        address: {description: "Address of the next hop, null for a connected network.", type: str}
        interface: {description: "The interface, null if the next hop is not on a network of this host.", type: str}
  sample:
    - daemon: frr
      instance: null
      vrf: null
      family: ipv4
      prefix: 192.168.1.1/32
      protocol: bgp
      best: true
      preference: 20
      metric: 0
      uptime_s: 13740
      next_hops: [{address: 50.1.1.1, interface: Vlan10}]
errors:
  description: Why a running daemon did not answer, by daemon.
  returned: success
  type: dict
  sample: {}
text:
  description: All sessions and routes as tables.
  returned: success
  type: str
  sample: |
    frr, VRF default

    NEIGHBOR  AS     NAME     FAMILY  STATE        UP        RECEIVED  ACCEPTED
    50.1.1.1  65002  contiv1  ipv4    Established  03:49:04  3         2

    PREFIX             VIA              [PREF/METRIC]  UP        PROTOCOL
    192.168.1.1/32  *  50.1.1.1 Vlan10  [20/0]         03:49:00  bgp
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._verify import bgp_info, bgp_table


def main():
    module = AnsibleModule(
        argument_spec={
            "daemons": {"type": "list", "elements": "str", "choices": list(bgp_info.DAEMONS)},
            "routes": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    wanted = module.params["daemons"]
    daemons = wanted if wanted is not None else bgp_info.running()
    sessions, routes, errors = bgp_info.gather(daemons, module.params["routes"])
    if wanted is not None and errors:
        module.fail_json(msg="\n".join(f"{daemon} does not answer: {error}" for daemon, error in errors.items()))
    text = bgp_table.text(sessions, routes, errors)
    module.exit_json(changed=False, sessions=sessions, routes=routes, errors=errors, text=text)


if __name__ == "__main__":
    main()
