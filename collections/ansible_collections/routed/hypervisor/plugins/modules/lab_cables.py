#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_cables
short_description: Plug and unplug cables between the nodes of a lab
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - A cable is a pair of virtual Ethernet interfaces, one in each of two nodes of M(routed.hypervisor.lab_nodes).
    Plugging it sets both ends up.
  - One call plugs any number of cables.
  - Later changes of an interface are left alone, except for a MAC address, MTU or impairment that is given here. An end
    that was set down stays down.
  - A cable with an end that is missing, renamed or plugged elsewhere is replaced. Ends carry a mark (their group, and
    an alias that names the lab and the other end), and only interfaces with the mark are ever removed.
requirements:
  - root
extends_documentation_fragment:
  - routed.hypervisor.attributes.lab
attributes:
  check_mode:
    support: full
    description:
      - Returns exactly what a run would do, and changes nothing.
      - Nodes that are not up are not mistakes, because a run would have created them before.
  diff_mode:
    support: full
    description: Shows the cables before and after.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
options:
  lab:
    description:
      - The name of the lab.
    type: str
    required: true
  config:
    description:
      - The cables.
    type: list
    elements: dict
    default: []
    suboptions:
      a:
        description:
          - One end.
        type: dict
        required: true
        suboptions: &end
          node:
            description:
              - The node.
            type: str
            required: true
          interface:
            description:
              - The name of the interface in it.
            type: str
            required: true
          mac:
            description:
              - Its MAC address. By default the kernel chooses one.
            type: str
      b:
        description:
          - The other end.
        type: dict
        required: true
        suboptions: *end
      mtu:
        description:
          - The MTU of both ends, 1500 if not given.
        type: int
      impair:
        description:
          - What each end does to the packets that it sends, by the kernel's netem. Without it, an impairment that this
            module has made ends; one of others is left alone.
        type: dict
        suboptions:
          delay_ms:
            description: Delays each packet, in milliseconds.
            type: int
            default: 0
          loss_percent:
            description: How many percent of the packets it loses.
            type: int
            default: 0
  state:
    description:
      - V(merged) plugs the cables in O(config) that are missing.
      - V(overridden) also removes the cables of the lab that are not in O(config).
      - V(deleted) removes the cables in O(config), or all of the lab if O(config) is empty.
      - V(gathered) only returns the current state.
    type: str
    choices: [merged, overridden, deleted, gathered]
    default: merged
"""

EXAMPLES = r"""
- name: A guest on a hypervisor
  routed.hypervisor.lab_cables:
    lab: example
    config:
      - a: {node: hv1, interface: vm1}
        b: {node: vm1, interface: eth0, mac: "02:00:00:00:00:01"}
        mtu: 9000
"""

RETURN = r"""
before:
  description:
    - The cables of the lab before. A loose end is a cable without C(b).
    - MAC addresses are shown only if O(config) gives them.
  returned: if O(state) is not V(gathered)
  type: list
  elements: dict
  sample: [{a: {node: hv1, interface: vm1}, b: {node: vm1, interface: eth0}, mtu: 1500}]
after:
  description: The cables of the lab after; in check mode, as they would be.
  returned: if O(state) is not V(gathered)
  type: list
  elements: dict
  sample: [{a: {node: hv1, interface: vm1}, b: {node: vm1, interface: eth0}, mtu: 1500}]
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: if O(state) is not V(gathered)
  type: list
  elements: dict
  sample:
    - kind: cables
      op: create
      name: hv1:vm1 - vm1:eth0
      before: {}
      after: {a: {node: hv1, interface: vm1}, b: {node: vm1, interface: eth0}, mtu: 1500}
      why: it does not exist
new:
  description: The interfaces created, or predicted in check mode, by node.
  returned: if O(state) is not V(gathered)
  type: dict
  sample: {hv1: [vm1], vm1: [eth0]}
gathered:
  description: The cables of the lab, with all MAC addresses.
  returned: if O(state) is V(gathered)
  type: list
  elements: dict
  sample: [{a: {node: hv1, interface: vm1, mac: "02:00:00:00:00:02"}, b: null}]
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._lab import exchange
from ..module_utils._lab.cable import Cable, after, as_seen, cable_from, cable_mistakes, plan_cables
from ..module_utils._lab.node import gather_nodes, name_mistakes
from ..module_utils._lab.plug import Networks


def nodes_not_up(want: list[Cable], running: set[str], lab: str) -> list[str]:
    missing = {end.node: cable for cable in reversed(want) for end in cable.ends if end.node not in running}
    return [f"node {name} of lab {lab} is not up (cable {missing[name]})" for name in sorted(missing)]


def interfaces_of(cables: list[Cable]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for end in (end for cable in cables for end in cable.ends):
        found.setdefault(end.node, []).append(end.interface)
    return found


def run(module: AnsibleModule) -> dict:
    lab, state = module.params["lab"], module.params["state"]
    want = [cable_from(item) for item in module.params["config"]]
    mistakes = name_mistakes(lab, []) + cable_mistakes(want)
    if os.geteuid() != 0:
        mistakes.append("only root can enter the namespaces of nodes: run this as root")
    if mistakes:
        module.fail_json(msg="\n".join(mistakes))

    with exchange.locked(60), Networks(lab, gather_nodes(lab)) as networks:
        observed = networks.observe()
        if state == "gathered":
            loose = [{"a": end.as_dict(), "b": None} for end in observed.loose]
            return {"changed": False, "gathered": sorted((c.as_dict() for c in observed.cables), key=str) + loose}
        plan, mistakes = plan_cables(state, observed, want)
        if state != "deleted" and not module.check_mode:
            mistakes = nodes_not_up(want, set(networks.fds), lab) + mistakes
        if mistakes:
            module.fail_json(msg="\n".join(mistakes))
        changes = plan.changes()
        result = {
            "before": as_seen(observed, want),
            "after": after(observed, plan, want),
            "changes": [change.shown() for change in changes],
            "changed": bool(changes),
            "new": interfaces_of(plan.create),
        }
        if changes and not module.check_mode:
            failures = networks.carry_out(plan)
            if failures:
                result["after"] = as_seen(networks.observe(), want)
                result["changed"] = result["after"] != result["before"]
                module.fail_json(msg="\n".join(failures), **result)
        result["diff"] = {"before": {"cables": result["before"]}, "after": {"cables": result["after"]}}
        return result


def main():
    end = {
        "type": "dict",
        "required": True,
        "options": {
            "node": {"type": "str", "required": True},
            "interface": {"type": "str", "required": True},
            "mac": {"type": "str"},
        },
    }
    number = {"type": "int", "default": 0}
    impair = {"type": "dict", "options": {"delay_ms": number, "loss_percent": number}}
    module = AnsibleModule(
        argument_spec={
            "lab": {"type": "str", "required": True},
            "config": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"a": end, "b": end, "mtu": {"type": "int"}, "impair": impair},
            },
            "state": {"type": "str", "choices": ["merged", "overridden", "deleted", "gathered"], "default": "merged"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
