#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: namespaces
short_description: Named network namespaces
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Makes and removes network namespaces with a name, as C(ip netns add) and C(ip netns delete) do, and sets their C(lo)
    up.
  - The C(lo) of a namespace that this module made bears the link alias C(routed.hypervisor). Others are never removed.
extends_documentation_fragment:
  - routed.hypervisor.links.namespaces
  - routed.hypervisor.state
"""

EXAMPLES = r"""
- name: Namespaces for two containers
  routed.hypervisor.namespaces:
    config:
      - name: c1
      - name: c2

- name: See what there is
  routed.hypervisor.namespaces:
    state: gathered
  register: found
"""

RETURN = r"""
before:
  description: The objects that are wanted or ours, as they were.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample: []
after:
  description: The same as they are now, or would be in check mode.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: c1, loopback: up}
gathered:
  description: All objects, with C(owned) telling whether each is ours.
  returned: with O(state=gathered)
  type: list
  elements: dict
  sample:
    - {name: c1, loopback: up, owned: true}
changes:
  description: What was changed, or would be in check mode. M(routed.hypervisor.network) explains the keys.
  returned: unless O(state=gathered)
  type: list
  elements: dict
  sample:
    - kind: namespaces
      op: create
      name: c1
      before: {}
      after: {loopback: up}
      why: it does not exist
done:
  description: Changes that had been completed when the kernel refused a step. Another run does the rest.
  returned: on failure half way
  type: list
  elements: dict
  sample: []
not_done:
  description: Changes that had not been completed when the kernel refused a step.
  returned: on failure half way
  type: list
  elements: dict
  sample:
    - kind: namespaces
      op: create
      name: c1
      before: {}
      after: {loopback: up}
      why: it does not exist
mistakes:
  description: What is wrong with O(config), each with its place.
  returned: when O(config) is refused
  type: list
  elements: str
  sample: ["namespaces[0].name: 'a/b' is not a namespace name (1 to 255 characters, no '/')"]
"""

from ..module_utils._network.module import main_of_kind


def main() -> None:
    main_of_kind("namespaces")


if __name__ == "__main__":
    main()
