# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ..plugin_utils.program_action import ProgramAction


class ActionModule(ProgramAction):
    """For the program that rolls back; documented in the module of the same name."""

    def needs_program(self, given):
        return given.get("state", "armed") == "armed" and not given.get("extend")
