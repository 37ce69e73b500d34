# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils._engine.change import Change
from ..plugin_utils.nxos.plan import changes
from ..plugin_utils.nxos.shown import block_changes, difference
from ..plugin_utils.nxos.tree import Conflict, commands


class ActionModule(ActionBase):
    """Runs wholly on the controller; its documentation is that of the module of the same name."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(
            argument_spec={
                "intended": {"type": "str", "required": True},
                "secrets": {"type": "str", "default": "", "no_log": True},
                "running": {"type": "str", "required": True},
                "complete": {"type": "str", "required": True},
                "replace_passwords": {"type": "bool", "default": False, "no_log": False},
                "replace_bgp": {"type": "bool", "default": False},
                "directory": {"type": "path"},
                "expect_none": {"type": "bool", "default": False},
            }
        )
        try:
            shown, passwords = changes(
                *(given[key] for key in ("intended", "running", "complete", "secrets")),
                *(given[key] for key in ("replace_passwords", "replace_bgp")),
            )
        except ValueError as error:
            raise AnsibleActionFail(f"A configuration cannot be read: {error}") from error
        except Conflict as conflict:
            raise AnsibleActionFail(f"Nothing was sent: {conflict}") from conflict
        sent, secret = commands(shown), commands(passwords)
        names = [line.strip() for line in secret if line.strip().startswith(("neighbor ", "interface "))]
        lines = difference(shown) + [f"+ password of {name}" for name in names]
        if given["expect_none"] and lines:
            told = "\n".join(lines)
            raise AnsibleActionFail(f"The switch took these lines, but its configuration is not as intended:\n{told}")
        if given["directory"] and not self._task.check_mode:
            _write(Path(given["directory"]) / "changes.cfg", sent)
            _write(Path(given["directory"]) / "changes-secrets.cfg", secret)
        found = block_changes(shown)
        found += [Change("passwords", "change", name, "it is to be sent") for name in names]
        return {
            "changed": bool(found),
            "changes": [change.shown() for change in found],
            "commands": sent,
            "passwords": names,
            "diff": {"prepared": "".join(f"{line}\n" for line in lines)},
        }


def _write(path: Path, lines: list[str]) -> None:
    """For their owner's eyes only; a file without lines is none."""
    if not lines:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
