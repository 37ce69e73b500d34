#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_drill
short_description: Break something in a lab under traffic, restore it, and measure what is lost
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Sends an echo request every 20 ms in each pair of nodes, and waits until all are answered. Runs the commands that
    break something, waits until no packet has been lost for two seconds, runs the commands that restore it, and waits
    again.
  - What was broken is restored in any case, even if packets are still lost after O(limit) seconds.
  - Runs as root on the machine that the lab runs on. M(routed.hypervisor.drill) knows what to break.
requirements:
  - C(ping) of iputils in the nodes
extends_documentation_fragment:
  - routed.hypervisor.attributes.lab
attributes:
  check_mode:
    support: none
    description: Is skipped, because there is nothing to predict.
  diff_mode:
    support: none
    description: Nothing differs afterwards.
  idempotent:
    support: full
    description: Leaves the lab as it was.
options:
  lab:
    description: The name of the lab.
    type: str
    required: true
  pairs:
    description: Who sends to whom.
    type: list
    elements: dict
    required: true
    suboptions:
      node:
        description: The node that sends.
        type: str
        required: true
      namespace:
        description: The network namespace in it that sends.
        type: str
      from:
        description: The name of the sender.
        type: str
        required: true
      to:
        description: The destination address.
        type: str
        required: true
      to_name:
        description: The name of the destination.
        type: str
        required: true
      family:
        description: The address family.
        type: str
        choices: [ipv4, ipv6]
        required: true
  steps:
    description: The commands that break something, in their order.
    type: list
    elements: dict
    required: true
    suboptions: &step
      node:
        description: The node that the command runs in.
        type: str
        required: true
      command:
        description: The command and its arguments.
        type: list
        elements: str
      reboot:
        description: Reboots the node instead, which must run systemd, and waits until it has booted.
        type: bool
        default: false
      wait_s:
        description: Seconds to wait afterwards.
        type: float
        default: 0
  restore:
    description: The commands that restore it.
    type: list
    elements: dict
    default: []
    suboptions: *step
  calm:
    description: Whether packets must not be lost any more before it is restored. Otherwise it is restored at once.
    type: bool
    default: true
  prepare:
    description: The commands before the first packet is sent.
    type: list
    elements: dict
    default: []
    suboptions: *step
  cleanup:
    description: The commands after the last packet, in any case.
    type: list
    elements: dict
    default: []
    suboptions: *step
  limit:
    description: Seconds after which packets must not be lost any more.
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: Cut a cable for as long as packets are lost
  routed.hypervisor.lab_drill:
    lab: l3_hypervisor
    pairs:
      - {node: vm1, from: vm1, to: 203.0.113.3, to_name: vm3, family: ipv4}
    steps:
      - {node: switch-A, command: [ip, link, set, hv1, down]}
    restore:
      - {node: switch-A, command: [ip, link, set, hv1, up]}
"""

RETURN = r"""
pairs:
  description:
    - What each pair has lost. Times are milliseconds after the first command, negative before it. C(longest_ms) is the
      longest time between two requests that were answered, C(gaps) has all of them with a loss between.
  returned: success
  type: list
  elements: dict
  sample:
    - from: vm1
      node: vm1
      namespace:
      to: 203.0.113.3
      to_name: vm3
      family: ipv4
      title: vm1 to vm3 (IPv4)
      sent: 512
      lost: 4
      longest_ms: 100
      gaps: [{from_ms: -3, to_ms: 97, lost: 4}]
restored_ms:
  description: When the commands of O(restore) began; nothing if there are none.
  returned: success
  type: int
  sample: 2210
ended_ms:
  description: When everything was found restored.
  returned: success
  type: int
  sample: 4420
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._lab import node as lab_node
from ..module_utils._lab.drill import Drill, DrillFailed, Script


def main():
    text = {"type": "str", "required": True}
    step = {
        "node": text,
        "command": {"type": "list", "elements": "str"},
        "reboot": {"type": "bool", "default": False},
        "wait_s": {"type": "float", "default": 0},
    }
    steps = {
        "type": "list",
        "elements": "dict",
        "options": step,
        "mutually_exclusive": [("command", "reboot")],
        "required_if": [("reboot", False, ["command"])],
    }
    module = AnsibleModule(
        argument_spec={
            "lab": text,
            "pairs": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "node": text,
                    "namespace": {"type": "str"},
                    "from": text,
                    "to": text,
                    "to_name": text,
                    "family": {"type": "str", "choices": ["ipv4", "ipv6"], "required": True},
                },
            },
            "steps": {**steps, "required": True},
            "restore": {**steps, "default": []},
            "calm": {"type": "bool", "default": True},
            "prepare": {**steps, "default": []},
            "cleanup": {**steps, "default": []},
            "limit": {"type": "float", "default": 60},
        },
        supports_check_mode=False,
    )
    given = module.params
    up = {node.name for node in lab_node.gather_nodes(given["lab"]) if node.pid}
    script = Script(given["steps"], given["restore"], given["prepare"], given["cleanup"], given["calm"])
    steps = (*script.prepare, *script.steps, *script.restore, *script.cleanup)
    missing = sorted({one["node"] for one in (*given["pairs"], *steps)} - up)
    if missing:
        module.fail_json(msg=f"lab {given['lab']}: not up: {', '.join(missing)}")
    try:
        found = Drill(given["lab"], given["pairs"], given["limit"]).run(script)
    except DrillFailed as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
