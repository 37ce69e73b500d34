# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import statistics
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.drills import plan as drills
from ..plugin_utils.drills.model import DrillMistake, Lab, Wanted, systemd_nodes
from ..plugin_utils.drills.results import add, read
from ..plugin_utils.inventory_variables import inventory_variables
from ..plugin_utils.report.document import DocumentError
from ..plugin_utils.report.document import read as document_of
from ..plugin_utils.report.files import write
from ..plugin_utils.resolve.lab import LAB_HOST


class ActionModule(ActionBase):
    """Plans on the controller, and has lab_drill do it; documented in the module of the same name."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        text = {"type": "str"}
        _result, given = self.validate_argument_spec(
            argument_spec={
                "drill": {**text, "required": True},
                "node": text,
                "fabric": text,
                "runs": {"type": "int", "default": 1},
                "limit": {"type": "float", "default": 60},
                "path": {"type": "path", "required": True},
            }
        )
        if given["runs"] < 1:
            raise AnsibleActionFail(f"runs: {given['runs']} is less than 1")
        if not given["limit"] > 0:
            raise AnsibleActionFail(f"limit: {given['limit']:g} is not more than 0 seconds")
        nodes = inventory_variables(task_vars)
        lab = nodes[LAB_HOST]["lab"]
        try:
            plan = drills.plan(
                Wanted(given["drill"], given["node"], given["fabric"]),
                Lab(nodes, task_vars["groups"], lab["cables"], systemd_nodes(lab)),
            )
            read(Path(given["path"]), lab["name"])  # refused before anything is broken
        except (DrillMistake, DocumentError) as error:
            raise AnsibleActionFail(str(error)) from None
        heading = f"{given['drill']}: {plan.title}"
        if self._task.check_mode:
            senders = [f"{pair['from']} sends to {pair['to_name']}, {pair['to']}" for pair in plan.pairs]
            return {"changed": False, "text": [heading, *senders]}
        arguments = {
            "lab": lab["name"],
            "pairs": plan.pairs,
            "steps": plan.steps,
            "restore": plan.restore,
            "calm": plan.is_calm,
            "prepare": plan.prepare,
            "cleanup": plan.cleanup,
            "limit": given["limit"],
        }
        runs = []
        for _number in range(given["runs"]):
            done = self._execute_module(
                module_name="routed.hypervisor.lab_drill", module_args=arguments, task_vars=task_vars
            )
            if done.get("failed"):
                return {**done, "msg": f"{heading}; {done['msg']}"}
            runs.append({key: done[key] for key in ("pairs", "restored_ms", "ended_ms")})
        budget = lab.get("drills", {}).get(given["drill"])
        found = {
            "drill": given["drill"],
            "title": plan.title,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "budget_ms": budget,
            "bfd_ms": drills.bfd_ms(nodes),
            "runs": runs,
        }
        add(Path(given["path"]), lab["name"], found)
        self._report(Path(given["path"]), lab["name"], nodes)
        longest = [max(pair["longest_ms"] for pair in run["pairs"]) for run in runs]
        answer = {"changed": False, "runs": runs, "longest_ms": longest, "text": [heading, *lines(found, longest)]}
        if budget is not None and max(longest) > budget:
            answer.update(
                failed=True,
                msg=f"{heading}; packets were lost for {max(longest)} ms, and the intent allows {budget} ms",
            )
        return answer

    @staticmethod
    def _report(path, fabric, nodes):
        """Writes the report again, if the network was verified."""
        try:
            document = document_of(path.with_name("verify.json"), fabric)
        except DocumentError:
            return
        write(path.parent, nodes, document, "this report was written again after a drill", read(path, fabric))


def lines(found, longest):
    runs = found["runs"]
    made = []
    for number, pair in enumerate(runs[0]["pairs"]):
        each = [run["pairs"][number] for run in runs]
        lost, sent = sum(one["lost"] for one in each), sum(one["sent"] for one in each)
        gap = max(one["longest_ms"] for one in each)
        made.append(f"{pair['title']}: {lost} of {sent} packets lost" + (f", longest {gap} ms" if lost else ""))
    if len(runs) > 1:
        made.append(
            f"longest loss of {len(runs)} runs: median {statistics.median(longest):.0f} ms, worst {max(longest)} ms"
        )
    if found["bfd_ms"] is not None:
        made.append(f"BFD finds a dead path after {found['bfd_ms']} ms")
    return made
