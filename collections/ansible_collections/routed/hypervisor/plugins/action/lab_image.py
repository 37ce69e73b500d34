# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from ansible.plugins.action import ActionBase

from ..module_utils._lab.image import OPTIONS, Image, answer


class ActionModule(ActionBase):
    """Runs the module unless a check on this machine finds nothing to do, which saves starting a Python interpreter."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(argument_spec=OPTIONS)
        image = Image(Path(given["path"]) / "images", given["suite"], tuple(given["packages"]))
        if self._connection.transport == "local" and image.exists() == (given["state"] == "present"):
            return {**result, **answer(image, given["state"], existed=image.exists())}
        return {**result, **self._execute_module(task_vars=task_vars)}
