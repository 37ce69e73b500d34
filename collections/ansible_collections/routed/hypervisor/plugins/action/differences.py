# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import json
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils import differences as found
from ..plugin_utils.report.document import replace


class ActionModule(ActionBase):
    """Runs entirely on the controller; documented in the module of the same name."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(
            argument_spec={"fabric": {"type": "str", "required": True}, "path": {"type": "path", "required": True}}
        )
        hosts = found.HOSTS
        if not hosts:
            raise AnsibleActionFail(
                "no host was compared: run playbooks/compare.yml before, and enable the callback plugin "
                "routed.hypervisor.differences in callbacks_enabled of ansible.cfg"
            )
        path = Path(given["path"])
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        replace(path, json.dumps(found.document(given["fabric"], now, hosts), indent=1) + "\n")
        replace(path.with_suffix(".txt"), found.text(hosts))
        return {
            "changed": False,
            "path": str(path),
            "differing": found.named(hosts, found.DIFFERS),
            "failed_hosts": found.named(hosts, found.FAILED),
            "unreachable_hosts": found.named(hosts, found.UNREACHABLE),
            "errors": [f"{name}: {error}" for name, host in sorted(hosts.items()) for error in host.errors],
            "summary": f"{found.summary(hosts)} ({path})",
            "text": found.lines(hosts),
        }
