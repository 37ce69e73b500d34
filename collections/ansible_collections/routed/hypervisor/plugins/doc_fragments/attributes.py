# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that several modules share."""

from __future__ import annotations


class ModuleDocFragment:
    READS = r"""
attributes:
  check_mode:
    support: full
    description: Changes nothing, with or without check mode.
  diff_mode:
    support: none
    description: Nothing is changed, so there is no difference to show.
  idempotent:
    support: full
    description: Changes nothing.
"""

    LAB = r"""
attributes:
  action_group:
    support: full
    description: Defaults for the whole group can be given in C(module_defaults), as C(group/routed.hypervisor.lab).
    membership:
      - routed.hypervisor.lab
"""
