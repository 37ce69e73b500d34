# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions of modules that need the program `routed-hypervisor` on the host. Private to this collection."""

from __future__ import annotations

import base64
import typing as t

from ansible.plugins.action import ActionBase

from . import zipapp


class ProgramAction(ActionBase):
    """Builds the program, and transfers it only to hosts that do not have it."""

    _supports_check_mode = True
    _supports_diff = True

    def needs_program(self, given: dict[str, t.Any]) -> bool:
        """Whether the module needs it, with these options."""
        raise NotImplementedError

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        if not self.needs_program(given):
            return self._executed(given, task_vars)
        program = zipapp.build()
        given["program_digest"] = program.digest()
        result = self._executed(given, task_vars)
        if result.pop("needs_program", False):
            result = self._executed({**given, "program": base64.b64encode(program.encode()).decode()}, task_vars)
        return result

    def _executed(self, given, task_vars):
        result = self._execute_module(module_args=given, task_vars=task_vars)
        result.pop("invocation", None)  # the program, and what the module was given
        return result
