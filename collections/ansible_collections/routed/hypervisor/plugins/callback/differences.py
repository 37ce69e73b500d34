# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: differences
type: aggregate
short_description: Collects what differs from the intent, for the module of the same name
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Collects the changes, differences and errors of every task of plays with the tag C(compare), which run in check
    mode, by host. M(routed.hypervisor.differences) writes them to files.
  - Prints nothing.
requirements:
  - The plugin must be enabled in C(callbacks_enabled).
"""

EXAMPLES = r"""
# In ansible.cfg:
# [defaults]
# callbacks_enabled = routed.hypervisor.differences
"""

from ansible.plugins.callback import CallbackBase

from ..plugin_utils.differences import HOSTS, Host

TAG = "compare"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "routed.hypervisor.differences"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._compares = False

    def v2_playbook_on_play_start(self, play):
        self._compares = TAG in play.tags

    def _add(self, result, **more):
        # The host of a lab is no router; its task is the one that finds out whether the lab is up.
        if self._compares and not result.task.action.endswith("lab_kernel"):
            HOSTS.setdefault(result.host.get_name(), Host()).add({**result.result, **more})

    def v2_runner_on_ok(self, result):
        self._add(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._add(result, failed=True)  # ansible-core removes it from what callbacks get

    def v2_runner_on_unreachable(self, result):
        if self._compares:
            HOSTS.setdefault(result.host.get_name(), Host()).is_unreachable = True
