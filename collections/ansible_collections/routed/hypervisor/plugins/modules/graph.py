#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: graph
short_description: Draw the topology of the fabric, as SVG and as Mermaid
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Draws the routers, fabrics, hypervisors and guests of an intent, which is the inventory of the play.
  - Writes C(graph.svg), for browsers, and C(graph.mmd), for Markdown in GitLab or GitHub.
  - With results of M(routed.hypervisor.report), nodes, links and sessions have the colours of their states.
  - Runs on the controller, and connects to no node.
attributes:
  check_mode:
    support: full
    description: Reports what would be written, and writes nothing.
  diff_mode:
    support: none
    description: A difference of drawings is not readable.
  idempotent:
    support: full
    description: The same intent and results give the same files.
options:
  fabric:
    description: The name of the fabric or lab.
    type: str
    required: true
  directory:
    description: The directory for the files. It is created.
    type: path
    required: true
  results:
    description:
      - A file of results that M(routed.hypervisor.report) has written. If it does not exist, nothing has a state.
      - A file that is incomplete, of another fabric, or of a newer format is refused.
    type: path
"""

EXAMPLES = r"""
- name: Draw the topology
  routed.hypervisor.graph:
    fabric: l3_hypervisor
    directory: artifacts/l3_hypervisor
    results: artifacts/l3_hypervisor/verify.json
  run_once: true
"""

RETURN = r"""
changes:
  description:
    - The files created or changed, or predicted in check mode.
    - M(routed.hypervisor.network) explains the keys.
  returned: always
  type: list
  elements: dict
  sample:
    - {kind: files, op: create, name: artifacts/l3_hypervisor/graph.svg, before: {}, after: {}, why: it does not exist}
"""
