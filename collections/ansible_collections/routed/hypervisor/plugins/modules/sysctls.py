#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: sysctls
short_description: Host-wide network sysctls
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Sets run-time values below C(net). Nothing is written to C(/etc/sysctl.d).
  - A sysctl always has a value, so O(state=deleted) is refused, and O(state=overridden) equals O(state=replaced).
extends_documentation_fragment:
  - routed.hypervisor.routing.sysctls
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: Enable forwarding
  routed.hypervisor.sysctls:
    config:
      - {name: net.ipv4.ip_forward, value: 1}
      - {name: net.ipv6.conf.all.forwarding, value: 1}

- name: Read whether forwarding is enabled
  routed.hypervisor.sysctls:
    state: gathered
    config:
      - name: net.ipv4.ip_forward
  register: found
"""

RETURN = r"""
before:
  description: The wanted objects and all of ours, before the run.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: net.ipv4.ip_forward, value: "0"}
after:
  description: The same objects after the run, or as predicted in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: net.ipv4.ip_forward, value: "1"}
gathered:
  description: All objects, with C(owned) set for ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: net.ipv4.ip_forward, value: "1", owned: true}
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: sysctls
      op: change
      name: net.ipv4.ip_forward
      before: {value: "0"}
      after: {value: "1"}
      why: differs
done:
  description: Changes that were completed before the kernel refused a step. Another run makes the others.
  returned: on failure during the changes
  type: list
  elements: dict
  sample: []
not_done:
  description: Changes that were not completed because the kernel refused a step.
  returned: on failure during the changes
  type: list
  elements: dict
  sample:
    - kind: sysctls
      op: change
      name: net.ipv4.ip_forward
      before: {value: "0"}
      after: {value: "1"}
      why: differs
mistakes:
  description: The mistakes in O(config), each with its place.
  returned: when O(config) is refused
  type: list
  elements: str
  sample: ["interfaces[3].vlan_id: 5000 is out of range 1..4094"]
"""

from ..module_utils._network.module import main_of_kind


def main() -> None:
    main_of_kind("sysctls")


if __name__ == "__main__":
    main()
