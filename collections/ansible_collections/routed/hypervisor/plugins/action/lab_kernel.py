# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess

from ansible.plugins.action import ActionBase

from ..plugin_utils import lab_client


class ActionModule(ActionBase):
    """Runs entirely on the controller; documented in the module of the same name."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        text = {"type": "str", "required": True}
        _result, given = self.validate_argument_spec(
            argument_spec={
                "lab": text,
                "owner": {**text, "type": "path"},
                "program": {**text, "type": "path"},
                "start": {"type": "bool", "default": True},
            }
        )
        return self.bring_up(given)

    def bring_up(self, given):
        # A running lab answers on its socket: no process needs to be started.
        try:
            status = lab_client.ask(given["lab"], "status")
        except (lab_client.LabDown, OSError) as error:
            if not given["start"]:
                return {"failed": True, "changed": False, "msg": refusal(given, error)}
            status = None
        if status and status["owner"] == os.path.realpath(given["owner"]):
            return {**status, "changed": False, "state": "up"}
        command = [given["program"], "up", given["lab"], "--owner", given["owner"], "--json"]
        done = subprocess.run(
            [*command, *(["--check"] if self._task.check_mode else [])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return {"failed": True, "changed": False, "msg": (done.stderr or done.stdout).strip()}
        *said, last = done.stdout.splitlines()
        result = json.loads(last)
        return {**result, "changed": result["state"] != "up", "msg": "\n".join(said)}


def refusal(given, error):
    if not isinstance(error, lab_client.NotUp):
        return str(error)
    note = lab_client.end_note(given["lab"])
    return (
        f"lab {given['lab']} is not up{f' ({note})' if note else ''}: run site.yml without --tags and --skip-tags, "
        f"or make lab INVENTORY={given['owner']}"
    )
