# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the modules for daemons share."""

from __future__ import annotations


class ModuleDocFragment:
    RENEWED = r"""
options:
  renewed:
    description:
      - Interfaces that the run before this module creates again (C(replaced)), or moves into another VRF (C(moved)), as
        M(routed.hypervisor.network) returns them. Only for check mode, where they are not renewed yet.
    type: dict
    suboptions:
      replaced:
        description: Names of interfaces.
        type: list
        elements: str
        default: []
      moved:
        description: Names of interfaces.
        type: list
        elements: str
        default: []
"""
