#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Rehearse a failure in a lab, and measure how many packets are lost
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Breaks something in a lab that is up, while guests or containers on different hypervisors send each other a packet
    every 20 ms in both families, restores it, and reports what was lost.
  - The pairs of guests and what is broken come from the inventory of the play.
  - Writes the result to a file, in which it replaces the former one of the same drill. If results of
    M(routed.hypervisor.report) are beside it, writes their report again, with the drill.
  - Fails if a loss is longer than the budget that the intent gives the drill.
attributes:
  check_mode:
    support: full
    description: Says what would be broken, and breaks nothing.
  diff_mode:
    support: none
    description: Nothing differs afterwards.
  idempotent:
    support: full
    description: Leaves the lab as it was.
options:
  drill:
    description:
      - What is rehearsed.
      - C(cut_uplink) pulls the cable between a router and a fabric; C(silence_uplink) loses all packets on it, and no
        end notices by its carrier; C(flap_uplink) pulls and plugs it five times; C(impair) delays and loses some of its
        packets for a while; C(lose_fabric) pulls all cables of a fabric.
      - C(kill_daemon) kills the routing daemon of a node; C(stop_reflector) stops it properly on a route reflector;
        C(reload) has it read its configuration again; C(reload_all) does so on all routers, one after the other.
      - C(reboot) reboots a node that runs systemd.
      - C(kill_agent) kills the agent of a hypervisor that follows guests; C(migrate) moves such a guest to another
        hypervisor. Both start a guest of the intent for the drill.
    type: str
    required: true
  node:
    description: The node that it is rehearsed with. By default, the first one in the intent that it is possible with.
    type: str
  fabric:
    description: The fabric that it is rehearsed with. By default, the first one.
    type: str
  runs:
    description: How often it is rehearsed.
    type: int
    default: 1
  limit:
    description: Seconds after which packets must not be lost any more.
    type: float
    default: 60
  path:
    description: The file of results.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Cut an uplink of hv1
  routed.hypervisor.drill:
    drill: cut_uplink
    node: hv1
    path: artifacts/l3_hypervisor/drills.json
"""

RETURN = r"""
text:
  description: What was lost, in lines for people.
  returned: always
  type: list
  elements: str
  sample:
    - "cut_uplink: the uplink of hv1 to fabric A is cut"
    - "vm1 to vm3 (IPv4): 4 of 512 packets lost, longest 100 ms"
runs:
  description: The results of M(routed.hypervisor.lab_drill), one for each run.
  returned: unless in check mode
  type: list
  elements: dict
  sample: [{pairs: [], restored_ms: 2210, ended_ms: 4420}]
longest_ms:
  description: The longest loss of each run, in milliseconds.
  returned: unless in check mode
  type: list
  elements: int
  sample: [100]
"""
