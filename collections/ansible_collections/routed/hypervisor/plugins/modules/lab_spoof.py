#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_spoof
short_description: Verify that packets with forged sources do not get through a lab
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Sends IPv4 packets from one lab node to another, with a source address that is not the sender's own, and verifies
    that they do not arrive. Honest packets before and after them must arrive, or the verification fails.
  - Runs as root on the machine that the lab runs on.
extends_documentation_fragment:
  - routed.hypervisor.attributes.lab
  - routed.hypervisor.attributes.reads
options:
  lab:
    description: The name of the lab.
    type: str
    required: true
  config:
    description: What must be true.
    type: list
    elements: dict
    required: true
    suboptions:
      title:
        description: What should be true, in a short sentence.
        type: str
        required: true
      kind:
        description: The kind of verification.
        type: str
        choices: [spoof]
        default: spoof
      node:
        description: The node that sends.
        type: str
        required: true
      from:
        description: The forged source address.
        type: str
        required: true
      to:
        description: The destination address.
        type: str
        required: true
      to_name:
        description: The node that has this address.
        type: str
        required: true
      guests:
        description: The guests that this needs.
        type: list
        elements: str
      family:
        description: The address family.
        type: str
        choices: [ipv4]
        default: ipv4
  absent:
    description: Guests that do not run. What needs one of them is not tried; its result is C(absent).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Verify that a guest cannot send from the address of another
  routed.hypervisor.lab_spoof:
    lab: l3_hypervisor
    config:
      - title: vm1 cannot send from the address of vm3
        node: vm1
        from: 203.0.113.3
        to: 192.0.2.1
        to_name: internet
"""

RETURN = r"""
results:
  description: A result for each item of O(config), in the order given.
  returned: success
  type: list
  elements: dict
  sample:
    - title: vm1 cannot send from the address of vm3
      kind: spoof
      state: passed
      seen: 3 packets from 203.0.113.3 were stopped
      seconds: 0.4
"""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._lab import node as lab_node
from ..module_utils._lab.spoof import verify_spoof
from ..module_utils._netlink import namespaces
from ..module_utils._verify.presence import ABSENT, missing_for

WORKERS = 16


def main():
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "lab": text,
            "config": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "title": text,
                    "kind": {"type": "str", "choices": ["spoof"], "default": "spoof"},
                    "node": text,
                    "from": text,
                    "guests": {"type": "list", "elements": "str"},
                    "to": text,
                    "to_name": text,
                    "family": {"type": "str", "choices": ["ipv4"], "default": "ipv4"},
                },
            },
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    pids = {node.name: node.pid for node in lab_node.gather_nodes(module.params["lab"]) if node.pid}
    config = module.params["config"]
    missing = sorted({name for expected in config for name in (expected["node"], expected["to_name"])} - set(pids))
    if missing:
        module.fail_json(msg=f"lab {module.params['lab']}: not up: {', '.join(missing)}")

    def socket_in(node, family, kind, protocol):
        with open(f"/proc/{pids[node]}/ns/net", "rb") as namespace, namespaces.inside_network(namespace.fileno()):
            return socket.socket(family, kind, protocol)

    def result(expected):
        start = time.monotonic()
        seen = missing_for(expected, module.params["absent"])
        state = ABSENT
        if not seen:
            passed, seen = verify_spoof(expected, socket_in)
            state = "passed" if passed else "failed"
        seconds = round(time.monotonic() - start, 2)
        return {"title": expected["title"], "kind": "spoof", "state": state, "seen": seen, "seconds": seconds}

    # The threads mostly wait for packets. Each has its own ports and packets.
    with ThreadPoolExecutor(WORKERS) as pool:
        module.exit_json(changed=False, results=list(pool.map(result, config)))


if __name__ == "__main__":
    main()
