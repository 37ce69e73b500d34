# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._engine.change import Change
from ..plugin_utils.inventory_variables import inventory_variables
from ..plugin_utils.report.document import DocumentError, read, replace
from ..plugin_utils.report.files import graphs


class ActionModule(ActionBase):
    """Runs entirely on the controller; documented in the module of the same name."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(
            argument_spec={
                "fabric": {"type": "str", "required": True},
                "directory": {"type": "path", "required": True},
                "results": {"type": "path"},
            }
        )
        document = {"fabric": given["fabric"], "time": "", "nodes": {}}
        if given["results"] is not None and Path(given["results"]).exists():
            try:
                document = read(Path(given["results"]), given["fabric"])
            except DocumentError as error:
                raise AnsibleActionFail(str(error)) from None
        changes = []
        for name, text in graphs(inventory_variables(task_vars), document).items():
            path = Path(given["directory"], name)
            before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
            if before == text:
                continue
            why = "it does not exist" if before is None else "its content differs"
            changes.append(Change("files", "create" if before is None else "change", str(path), why))
            if not self._task.check_mode:
                replace(path, text)
        return {"changed": bool(changes), "changes": [change.shown() for change in changes]}
