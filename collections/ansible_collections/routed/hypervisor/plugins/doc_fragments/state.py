# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by all kernel modules."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  state:
    description:
      - V(merged) sets the given values and leaves others alone; addresses, proxy entries and sysctls are added.
      - V(replaced) makes the given objects exactly as given; addresses and proxy entries of ours that are not given are
        removed.
      - V(overridden) is V(replaced), and removes objects of ours that are not given, of every given kind.
      - V(deleted) removes the given objects, or all of ours if none is given. It warns about given routes and
        interfaces that are not ours, which it leaves in place.
      - V(gathered) changes nothing and returns the current state.
    type: str
    choices: [merged, replaced, overridden, deleted, gathered]
    default: merged
attributes:
  action_group:
    support: full
    description: Defaults for the whole group can be given in C(module_defaults), as C(group/routed.hypervisor.kernel).
    membership:
      - routed.hypervisor.kernel
  check_mode:
    support: full
    description: Returns exactly what a run would do; the plan is the same but not applied.
  diff_mode:
    support: full
    description: Shows the objects that change, before and after.
  idempotent:
    support: full
    description: A second run changes nothing, however addresses, prefixes and values are spelled.
requirements:
  - Linux 4.20 or later
  - pyroute2 0.7.2 or later (Debian C(python3-pyroute2)), for policy rules
notes:
  - Only the running kernel is changed; nothing is written to disk.
  - All mistakes in O(config) are reported together, each with its place, before anything is changed.
  - A link or namespace of ours is not deleted or replaced while links of others would be deleted with it. Links of
    ours that are deleted with another one are listed in RV(ignore:changes), and so is what loses its VRF or bridge.
  - After a change the kernel is read again; a change that it accepted but did not make is a failure.
  - Needs root, except with O(state=gathered).
"""
