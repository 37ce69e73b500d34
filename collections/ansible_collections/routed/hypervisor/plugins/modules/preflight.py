#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check that a host has what it needs, before anything is touched
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Checks programs, their versions and what the kernel can do by trying them, and reports everything that is missing in
    one answer, with the names of Debian's packages. Kernel features are tried in network namespaces of their own.
  - Warns of programs that manage interfaces, of daemons that the host does not need, and of a firewall that drops what
    is forwarded.
attributes:
  check_mode:
    support: full
    description: The module never changes anything.
  diff_mode:
    support: none
    description: There are no differences.
  idempotent:
    support: full
    description: The module never changes anything.
options:
  needs:
    description: What the host runs.
    type: list
    elements: str
    choices:
      - bird
      - gobgp
      - frr
      - ndppd
      - radvd
      - dnsmasq
      - dhcrelay
      - nftables
      - prometheus-node-exporter
      - prometheus-bird-exporter
      - cni
      - podman
      - docker
      - verify
    required: true
  features:
    description: What its kernel must support.
    type: list
    elements: str
    choices: [vrf, 802.1q, ipvlan, nftables]
    default: []
"""

EXAMPLES = r"""
- name: Check that this host can be a hypervisor
  routed.hypervisor.preflight:
    needs: [bird, nftables]
    features: [vrf, nftables]
"""

RETURN = r"""
packages:
  description: The packages to install.
  type: list
  elements: str
  returned: always
  sample: [bird2]
mistakes:
  description: Everything that is missing.
  type: list
  elements: str
  returned: always
  sample: ["bird is missing (package bird2)"]
remarks:
  description: What may interfere.
  type: list
  elements: str
  returned: always
  sample: ["systemd-networkd manages eno1"]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._preflight.host import FEATURES, PROGRAMS, check


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "needs": {
                "type": "list",
                "elements": "str",
                "required": True,
                "choices": [need for need in PROGRAMS if need != "all"],
            },
            "features": {"type": "list", "elements": "str", "choices": list(FEATURES), "default": []},
        },
        supports_check_mode=True,
    )
    found = check(module.params["needs"], module.params["features"])
    for remark in found.remarks:
        module.warn(remark)
    result = {"packages": found.packages, "mistakes": found.mistakes, "remarks": found.remarks}
    if found.mistakes:
        install = [f"apt install {' '.join(found.packages)}"] if found.packages else []
        module.fail_json(msg="\n".join(["Nothing was changed.", *found.mistakes, *install]), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
