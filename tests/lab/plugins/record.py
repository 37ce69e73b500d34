"""Records the result of every task as a line of JSON, for tests to read."""

from __future__ import annotations

DOCUMENTATION = """
name: record
type: aggregate
short_description: Record the result of every task
description: Writes one JSON object per line to the file that the environment variable RECORD_FILE names.
"""

import json
import os

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record"

    def _write(self, result, status):
        answer = result.result
        line = {
            "host": result.host.get_name(),
            "task": result.task.get_name(),
            "action": result.task.action,
            "status": status,
            "changed": bool(answer.get("changed")),
            "changes": answer.get("changes", []),
            "msg": str(answer.get("msg", "")),
        }
        with open(os.environ["RECORD_FILE"], "a", encoding="utf-8") as record:
            record.write(json.dumps(line, default=str) + "\n")

    def v2_runner_on_ok(self, result):
        self._write(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result, "failed")

    def v2_runner_on_unreachable(self, result):
        self._write(result, "unreachable")
