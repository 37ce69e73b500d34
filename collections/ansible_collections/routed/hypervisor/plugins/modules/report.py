#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Gather the results of the verification, write them down, and fail if one did not pass
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes one JSON file with the results of M(routed.hypervisor.verify) of all nodes, and counts them.
  - Fails with one line for each result that failed; a node without results counts as one that did. What could not be
    run is counted separately.
  - Runs on the controller.
attributes:
  check_mode:
    support: full
    description: Counts, but writes no file.
  diff_mode:
    support: none
    description: The report is not part of the state of any node.
  idempotent:
    support: full
    description: Reports no change, as the report is not part of the state of any node.
options:
  fabric:
    description: The name of the fabric or lab.
    type: str
    required: true
  results:
    description: >-
      The results by node, each as M(routed.hypervisor.verify) returns them, or an empty map for
      a node that failed before it was verified.
    type: dict
    required: true
  path:
    description: The file to write. Its directory is made.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Write the results of one node down
  routed.hypervisor.report:
    fabric: l3_hypervisor
    path: artifacts/l3_hypervisor/verify.json
    results:
      hv1:
        - title: vm1 answers
          kind: ping
          state: passed
          seen: reply
          seconds: 0.1
"""

RETURN = r"""
total:
  description: How many results there are.
  returned: always
  type: int
  sample: 214
passed:
  description: How many of them passed.
  returned: always
  type: int
  sample: 214
failures:
  description: How many of them failed.
  returned: always
  type: int
  sample: 0
not_run:
  description: How many of them could not be run. They count as neither passed nor failed.
  returned: always
  type: int
  sample: 0
reasons:
  description: Why something was not run, by kind.
  returned: always
  type: dict
  sample: {"firewall": "this kernel has no nftables of family inet"}
kinds:
  description: How many passed of each kind.
  returned: always
  type: dict
  sample: {"bgp": 24, "ping": 40}
path:
  description: The file that was written.
  returned: always
  type: str
  sample: artifacts/l3_hypervisor/verify.json
"""
