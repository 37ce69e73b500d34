#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Verify what must be true on a node, from the outside
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Verifies what must be true on one node. Expectations that do not hold yet are retried until O(deadline). Returns a
    result for each expectation.
  - It uses the tools of an administrator (C(birdc), C(gobgp), C(vtysh), C(ip), C(arping), C(nft)) and its own packets,
    like those of C(ping) and C(traceroute), not the modules that configured the node.
  - It does not fail if an expectation does not hold; M(routed.hypervisor.report) collects the results of all nodes and
    fails then.
extends_documentation_fragment:
  - routed.hypervisor.attributes.reads
options:
  config:
    description:
      - What must be true, as the inventory plugin P(routed.hypervisor.fabric#inventory) derives it from the intent.
      - Each has a C(title), a C(kind) and the facts of that kind.
      - The kinds are C(bgp) (session, neighbor, vrf; for GoBGP daemon C(gobgp), session, neighbor, family, instance;
        for FRR daemon C(frr), neighbor, family, vrf), C(bfd) (neighbor, interface; for FRR daemon C(frr), neighbor,
        vrf), C(route) (family, table, prefix, nexthops, least; interfaces if there are no gateways, or only link-local
        ones), C(rules) (family, rules, l3mdev), C(listening) (family, vrf), C(route_source) (to, source), C(ping)
        (family, to, source, expect, namespace), C(trace) (family, to, hops, networks), C(tcp) (to, port, expect),
        C(neighbor) (family, to, interface, mac, expect), C(lease) and C(slaac) (interface, address), C(container)
        (namespace, interface, mode, flag, addresses, gateways), C(runtimes) (network, vrf, master, mode, cni, podman,
        docker, dhcp), C(probe) (network; adds a container without a process, checks and removes it),
        C(firewall) (table, required, hooks, sets, counters), C(in_step) (routing_manager), C(followed_guests)
        (followed), C(announced_guests) (addresses, table), C(rollback), C(present) (interface, guests).
      - What needs guests has their names in C(guests). It is not tried if one of them is absent, that is if it is in
        O(absent), or if this node should have its interface and does not.
    type: list
    elements: dict
    required: true
  deadline:
    description: How many seconds to retry expectations that do not hold yet.
    type: int
    default: 30
  absent:
    description: Guests of other nodes that do not run.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Verify that this host reaches itself
  routed.hypervisor.verify:
    deadline: 5
    config:
      - title: the loopback interface answers
        kind: ping
        family: ipv4
        to: 127.0.0.1
"""

RETURN = r"""
results:
  description: >-
    A result for each item of O(config), in the order given. Its state is C(passed), C(failed), C(not run) if the
    kernel does not support it, or C(absent) if a guest that it needs does not run. The result for a firewall has its
    C(counters), the packets that it dropped by reason; the one for a container network of runtimes its C(containers),
    a VRF and the owners of addresses in it, which M(routed.hypervisor.report) compares.
  returned: success
  type: list
  elements: dict
  sample:
    - title: vm1 reaches vm3 (IPv4)
      kind: ping
      state: passed
      seen: reply
      seconds: 0.31
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._verify.run import KINDS, run


def main():
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "list", "elements": "dict", "required": True},
            "deadline": {"type": "int", "default": 30},
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    config = module.params["config"]
    mistakes = [
        f"config[{index}]: kind is {expected.get('kind')!r}; it must be one of {', '.join(KINDS)}, and have a title"
        for index, expected in enumerate(config)
        if expected.get("kind") not in KINDS or not expected.get("title")
    ]
    if mistakes:
        module.fail_json(msg="\n".join(mistakes))
    module.exit_json(changed=False, results=run(config, module.params["deadline"], module.params["absent"]))


if __name__ == "__main__":
    main()
