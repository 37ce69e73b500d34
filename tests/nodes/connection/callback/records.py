"""Writes the result of each task to a file, a JSON object a line."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: records
type: notification
short_description: Records results
description: [Writes the result of each task to the file that ANSIBLE_RECORDS names.]
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "records"
    CALLBACK_NEEDS_ENABLED = True

    def record(self, result, **more):
        content = {**result.result, **more}
        with open(os.environ["ANSIBLE_RECORDS"], "a", encoding="utf-8") as file:
            line = {"host": result.host.get_name(), "task": result.task.get_name(), "result": content}
            file.write(json.dumps(line, default=str) + "\n")

    v2_runner_on_ok = record

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.record(result, failed=True)

    def v2_runner_on_unreachable(self, result):
        self.record(result, unreachable=True)
