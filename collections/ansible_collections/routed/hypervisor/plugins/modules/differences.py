#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: differences
short_description: Write what differs from the intent on each host
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes what earlier plays of the same run with the tag C(compare) have found in check mode, which
    P(routed.hypervisor.differences#callback) has collected. One file is JSON, and the one beside it, with the suffix
    C(.txt), is for people.
  - The files have what C(--diff) shows, and no passwords.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Writes the files, too.
  diff_mode:
    support: none
    description: The files are not part of the state of any node.
  idempotent:
    support: full
    description: Reports no change, because the files are not part of the state of any node.
options:
  fabric:
    description: The name of the fabric or lab.
    type: str
    required: true
  path:
    description: The JSON file to write. Its directory is created.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Write what differs
  routed.hypervisor.differences:
    fabric: production
    path: artifacts/production/drift.json
"""

RETURN = r"""
path:
  description: The JSON file.
  returned: always
  type: str
  sample: artifacts/production/drift.json
differing:
  description: Hosts that differ from the intent.
  returned: always
  type: list
  elements: str
  sample: [hv1]
failed_hosts:
  description: Hosts that could not be compared.
  returned: always
  type: list
  elements: str
  sample: []
unreachable_hosts:
  description: Hosts that could not be reached.
  returned: always
  type: list
  elements: str
  sample: [hv7]
errors:
  description: Why hosts could not be compared.
  returned: always
  type: list
  elements: str
  sample: []
summary:
  description: One sentence with the names of hosts that are not as intended.
  returned: always
  type: str
  sample: "1 of 3 hosts differ from the intent: hv1"
text:
  description: Lines for people.
  returned: always
  type: list
  elements: str
  sample: ["hv1: routes: 1 difference", "  create 203.0.113.1/32: it does not exist"]
"""
