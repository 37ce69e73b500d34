# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64

from ansible.plugins.action import ActionBase

from ..plugin_utils import zipapp


class ActionModule(ActionBase):
    """Transfers the program that rolls back only to hosts that do not have it; documented in the module."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        arms = given.get("state", "armed") == "armed" and not given.get("extend")
        if arms:
            program = zipapp.build()
            given["program_digest"] = program.digest()
        result = self._execute_module(module_args=given, task_vars=task_vars)
        if arms and result.pop("needs_program", False):
            given["program"] = base64.b64encode(program.encode()).decode()
            result = self._execute_module(module_args=given, task_vars=task_vars)
        result.pop("invocation", None)  # the program
        return result
