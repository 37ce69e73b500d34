#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write a report of verification results, and fail if one failed
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes one JSON file with the results of M(routed.hypervisor.verify) from all nodes, and counts them.
  - Results of container networks fail if containers of several nodes have the same address, each with all owners.
  - Writes the same beside it for people and programs. C(report.html) is one page without any other file, with the
    topology of the intent, which is the inventory of the play. C(report.md) is for merge requests, C(report.xml) is
    JUnit XML for CI systems. All have the failures first, and what changed since the file that was replaced.
  - The drills of M(routed.hypervisor.drill) in C(drills.json) beside it are part of them.
  - Fails with one line for each failed result; a node without results counts as a failure. Results that could not be
    run are counted separately.
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
    description: Reports no change, because the report is not part of the state of any node.
options:
  fabric:
    description: The name of the fabric or lab.
    type: str
    required: true
  results:
    description:
      - The results by node, as returned by M(routed.hypervisor.verify), or an empty map for a node that failed before
        it was verified.
      - Without it, the results are read from O(path), and only the files beside it are written. A file that is
        incomplete, of another fabric, or of a newer format is refused, and so is such a C(drills.json). Failed results
        are then no failure of the task.
    type: dict
  path:
    description: The JSON file to write, or to read without O(results). Its directory is created.
    type: path
    required: true
  files:
    description:
      - The configuration files of nodes, each as in O(routed.hypervisor.render#module:files). C(report.html) shows
        their texts. A placeholder such as C(<bgp_passwords.public>) stands for each password.
      - Without it, the texts of the page that is replaced are kept.
    type: list
    elements: dict
    suboptions:
      path:
        description: As in O(routed.hypervisor.render#module:files[].path), and so are all others.
        type: str
        required: true
      template:
        description: The template.
        type: str
      proxies:
        description: The proxies of ndppd.
        type: str
      when:
        description: Whether a node has the file.
        type: str
        default: "true"
      loop:
        description: The items, with a file for each.
        type: str
      loop_var:
        description: The variable with the item.
        type: str
        default: item
      secret:
        description: Whether it contains passwords.
        type: str
        default: "false"
      owner:
        description: Of the file on the node.
        type: str
      group:
        description: Of the file on the node.
        type: str
      mode:
        description: Of the file on the node.
        type: str
      secret_part:
        description: What matches the secrets in it.
        type: str
"""

EXAMPLES = r"""
- name: Write the results of one node to a report
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
  description: Number of results, without those that need an absent guest.
  returned: always
  type: int
  sample: 214
passed:
  description: Number of passed results.
  returned: always
  type: int
  sample: 214
failures:
  description: Number of failed results.
  returned: always
  type: int
  sample: 0
not_run:
  description: Number of results that could not be run. They count as neither passed nor failed.
  returned: always
  type: int
  sample: 0
guests:
  description: Number of guests on hypervisors that were verified.
  returned: always
  type: int
  sample: 5
present:
  description: Number of them whose ports exist.
  returned: always
  type: int
  sample: 4
absent:
  description: The others, with their hypervisors and ports. Failures that their absence explains are not counted.
  returned: always
  type: list
  elements: str
  sample: [hv1 web1 (tap-web1)]
reasons:
  description: Why expectations were not run, by kind.
  returned: always
  type: dict
  sample: {"firewall": "this kernel has no nftables of family inet"}
kinds:
  description: Number of passed results by kind.
  returned: always
  type: dict
  sample: {"bgp": 24, "ping": 40}
lab:
  description: Whether the nodes are those of a lab.
  returned: always
  type: bool
  sample: true
path:
  description: The written file.
  returned: always
  type: str
  sample: artifacts/l3_hypervisor/verify.json
page:
  description: The written page.
  returned: always
  type: str
  sample: artifacts/l3_hypervisor/report.html
"""
