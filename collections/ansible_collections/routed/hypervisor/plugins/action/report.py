# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.drills import results as drill_results
from ..plugin_utils.inventory_variables import inventory_variables
from ..plugin_utils.rendering import FILES, rendered
from ..plugin_utils.report import containers
from ..plugin_utils.report.document import FORMAT, PAGE, DocumentError, read, replace, text
from ..plugin_utils.report.files import write

PASSWORDS = ["bgp_passwords", "ospf_passwords"]  # the variables with secrets, of which no value is rendered


class ActionModule(ActionBase):
    """Runs entirely on the controller; documented in the module of the same name."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(
            argument_spec={
                "fabric": {"type": "str", "required": True},
                "results": {"type": "dict"},
                "path": {"type": "path", "required": True},
                "files": FILES,
            }
        )
        fabric, path = given["fabric"], Path(given["path"])
        is_again = given["results"] is None
        try:
            previous = read(path, fabric) if is_again or path.exists() else None
        except DocumentError as error:
            if is_again:
                raise AnsibleActionFail(str(error)) from None
            previous = str(error)
        try:
            drilled = drill_results.read(path.with_name(drill_results.NAME), fabric)
        except DocumentError as error:
            if is_again:
                raise AnsibleActionFail(str(error)) from None
            drilled = str(error)
        if not is_again:
            containers.compare(given["results"])
        document = previous if is_again else _document(fabric, given["results"])
        answer = summarise(document["nodes"])
        answer.update(changed=False, fabric=fabric, path=str(path), page=str(path.parent / PAGE))
        answer["lab"] = bool(task_vars["groups"].get("lab"))
        if not self._task.check_mode:
            if is_again:
                previous = "this report was written again from its results"
            else:
                replace(path, text(document))
            variables = inventory_variables(task_vars)
            texts = self._texts(variables, given["files"], task_vars) if given["files"] is not None else None
            write(path.parent, variables, document, previous, drilled, texts)
        if answer["failures"] and not is_again:
            answer.update(failed=True, msg=failure_message(document["nodes"], answer))
        return answer

    def _texts(self, variables, files, task_vars):
        """The configuration files of nodes without passwords, by node and path."""
        nodes = [name for name, given in variables.items() if "verify" in given]
        found = rendered(self, task_vars, nodes, files, PASSWORDS)
        return {node: {path: text.decode() for path, (text, _mode) in files.items()} for node, files in found.items()}


def _document(fabric, results):
    answer = summarise(results)
    return {
        "format": FORMAT,
        "fabric": fabric,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "total": answer["total"],
        "passed": answer["passed"],
        "failed": answer["failures"],
        "not_run": answer["not_run"],
        "absent": answer["absent"],
        "nodes": results,
    }


def summarise(results):
    """Counts the results of all nodes. A node without results, not even an empty list, has failed."""
    lists = [node if isinstance(node, list) else [{"kind": "node", "state": "failed"}] for node in results.values()]
    found = [result for node in lists for result in node if result["kind"] != "present"]
    states = Counter(result["state"] for result in found)
    return {
        "total": len(found) - states["absent"],
        "passed": states["passed"],
        "failures": states["failed"],
        "not_run": states["not run"],
        **presence(results),
        "kinds": dict(Counter(result["kind"] for result in found if result["state"] == "passed")),
        "reasons": {result["kind"]: result["seen"] for result in found if result["state"] == "not run"},
    }


def presence(results):
    """Counts the guests that are present, and names those whose ports are missing, with their hypervisors."""
    found = [(node, result) for node, each in results.items() if isinstance(each, list) for result in each]
    ports = [(node, result) for node, result in found if result["kind"] == "present"]
    missing = [(node, result) for node, result in ports if result["state"] == "absent"]
    return {
        "guests": len(ports),
        "present": len(ports) - len(missing),
        "absent": [f"{node} {', '.join(result['guests'])} ({result['seen']})" for node, result in missing],
    }


def failure_message(results, answer):
    lines = [f"{answer['failures']} of {answer['total']} checks failed:"]
    for node, found in results.items():
        if not isinstance(found, list):
            lines.append(f"  {node}: no results, the node failed before")
            continue
        lines += [f"  {node}: {result['title']}: {result['seen']}" for result in found if result["state"] == "failed"]
    return "\n".join(lines)
