"""Ansible on a lab with a supervisor: n1 warm, `twin` cold, and the results of all tasks."""

from __future__ import annotations

import json
from pathlib import Path

from support import ansible_runs

CONNECTION = Path(__file__).resolve().parent / "connection"
HOSTS = {
    "n1": {},
    "twin": {"ansible_node_name": "n2", "lab_connection": "cold"},
    "machine": {"ansible_node_name": "", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
    "gone": {},  # is not up
}


def ansible(lab, directory: Path, program: str, *arguments, input: str | None = None, **variables: str):
    """Run one of Ansible's programs. Returns the finished process, and the results of all tasks by host and name."""
    ansible_runs.write_inventory(lab, directory, {"hosts": HOSTS})
    records = directory / "records.jsonl"
    records.unlink(missing_ok=True)
    ours = {
        "ANSIBLE_CALLBACK_PLUGINS": str(CONNECTION / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "records",
        "ANSIBLE_RECORDS": str(records),
        "ANSIBLE_LIBRARY": str(CONNECTION / "library"),
        "ANSIBLE_MODULE_UTILS": str(CONNECTION / "module_utils"),
    }
    done = ansible_runs.run(directory, program, *arguments, input=input, **ours, **variables)
    found: dict[str, dict[str, dict]] = {}
    for line in records.read_text().splitlines() if records.exists() else []:
        record = json.loads(line)
        found.setdefault(record["host"], {})[record["task"]] = record["result"]
    return done, found
