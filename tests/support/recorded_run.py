"""Runs of ansible-playbook, with the result of each task as the plugin tests/lab/plugins/record.py writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .modules import PROJECT


def recording(record: Path | None) -> dict[str, str]:
    """Variables for ansible-playbook."""
    return {
        "ANSIBLE_CALLBACK_PLUGINS": str(PROJECT / "tests/lab/plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record,routed.hypervisor.stages,routed.hypervisor.differences",
        "RECORD_FILE": str(record or os.devnull),
        "ANSIBLE_NOCOLOR": "1",
    }


class Run:
    """The result of one run of ansible-playbook."""

    def __init__(self, code, output, record):
        self.code = code
        self.output = output
        self.tasks = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []

    @property
    def changed(self):
        return {(task["host"], task["action"].rpartition(".")[2]) for task in self.tasks if task["changed"]}

    @property
    def failures(self):
        return [task for task in self.tasks if task["status"] != "ok"]
