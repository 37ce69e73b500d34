# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: stages
type: aggregate
short_description: Summarizes a run - changes, verification, and the time of each stage
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Prints a readable summary after the recap of a playbook, with the time of each play.
  - Adds these times to the report of M(routed.hypervisor.report), if the playbook has written one.
  - Prints nothing for a playbook with a single play that verified nothing.
requirements:
  - The plugin must be enabled in C(callbacks_enabled).
"""

EXAMPLES = r"""
# In ansible.cfg:
# [defaults]
# callbacks_enabled = routed.hypervisor.stages
"""

import os
import time
from collections import Counter
from pathlib import Path

from ansible import constants, context
from ansible.plugins.callback import CallbackBase

from ..plugin_utils.report.stages import add_stages
from ..plugin_utils.summary import summary


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "routed.hypervisor.stages"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._stages = []
        self._report = self._kernel = None
        self._changed = 0
        self._changes, self._predicted = Counter(), Counter()
        self._absent = {}
        self._playbook = ""

    def v2_playbook_on_start(self, playbook):
        self._playbook = os.path.basename(playbook._file_name)

    def v2_playbook_on_play_start(self, play):
        self._stages.append((play.get_name(), time.monotonic()))

    def v2_runner_on_ok(self, result):
        is_prediction = result.task.check_mode
        self._changed += result.is_changed() and not is_prediction
        # Every module of this collection returns its changes in the same format.
        if result.task.action.startswith("routed.hypervisor."):
            counts = self._predicted if is_prediction else self._changes
            counts.update(change["kind"] for change in result.result.get("changes", []))
        if result.task.action == "routed.hypervisor.network" and result.result.get("absent"):
            names = [f"{port['guest']} ({port['interface']})" for port in result.result["absent"]]
            self._absent[result.host.get_name()] = names
        # It has no counts if it was refused.
        if result.task.action == "routed.hypervisor.report" and "total" in result.result:
            self._report = result.result
        elif result.task.action == "routed.hypervisor.lab_kernel":
            self._kernel = result.result

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.v2_runner_on_ok(result)

    def v2_playbook_on_stats(self, stats):
        ends = [start for _name, start in self._stages[1:]] + [time.monotonic()]
        times = [(name, end - start) for (name, start), end in zip(self._stages, ends, strict=True)]
        if len(times) < 2 and not self._report:
            return
        failed = any(
            stats.summarize(host)["failures"] or stats.summarize(host)["unreachable"] for host in stats.processed
        )
        found = {"report": self._report, "kernel": self._kernel, "changed": self._changed, "changes": self._changes}
        found.update(predicted=self._predicted, absent=self._absent)
        found["inventory"] = inventory_argument()
        if self._report:
            add_stages(Path(self._report["page"]).parent, self._playbook, times)
        for line in summary(self._playbook, times, failed=failed, **found):
            self._display.display(line)


def inventory_argument():
    """The directory of this run's inventory, as for make; empty for the default one in ansible.cfg."""
    sources = list(context.CLIARGS.get("inventory") or [])
    default, origin = constants.config.get_config_value_and_origin("DEFAULT_HOST_LIST")
    if not sources or (sources == default and os.path.isfile(str(origin))):
        return ""
    found = [source if os.path.isdir(source) else os.path.dirname(source) for source in sources]
    directory = next((each for each in found if os.path.isfile(f"{each}/fabric.yml")), found[0])
    relative = os.path.relpath(directory)
    return directory if relative.startswith("..") else relative
