"""One pass from an intent to all rendered files in one process; intent.py runs it, and measures it from outside.

intent_work.py [--profile] resolve|render INVENTORY OUT

resolve: the inventory plugin's work, with no Ansible around it. render: Ansible reads the inventory, and each node's
files are rendered from the variables of roles/render and written by its action plugin, as playbooks/render.yml does,
without what a play does for each host and task. Prints seconds by part, as JSON; --profile: functions by their time.
"""

from __future__ import annotations

import cProfile
import gc
import json
import os
import pstats
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def resolve(inventory: str, _out: str) -> dict[str, float]:
    sys.path.insert(0, str(PROJECT / "collections"))
    times, last = {}, time.perf_counter()

    def done(part: str) -> None:
        nonlocal last
        times[part], last = time.perf_counter() - last, time.perf_counter()

    from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent import read  # noqa: PLC0415
    from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve import fabric  # noqa: PLC0415

    done("import")
    gc.disable()  # as the plugin does
    intent = read.read(f"{inventory}/fabric.yml")
    done("read and check")
    fabric.resolve(intent, owner=inventory)
    done("resolve")
    return times


def render(inventory: str, out: str) -> dict[str, float]:
    times: dict[str, float] = {}
    start = time.perf_counter()
    from ansible.plugins.loader import init_plugin_loader  # noqa: PLC0415

    init_plugin_loader([str(PROJECT / "collections")])
    from ansible.inventory.manager import InventoryManager  # noqa: PLC0415
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.playbook.play_context import PlayContext  # noqa: PLC0415
    from ansible.playbook.task import Task  # noqa: PLC0415
    from ansible.plugins.loader import action_loader, connection_loader  # noqa: PLC0415
    from ansible.template import Templar, trust_as_template  # noqa: PLC0415
    from ansible.vars.manager import VariableManager  # noqa: PLC0415

    loader = DataLoader()
    read = time.perf_counter()
    hosts = InventoryManager(loader, sources=[inventory])
    variables = VariableManager(loader, hosts)
    times["import"], times["read, check, resolve"] = read - start, time.perf_counter() - read
    times |= {"variables": 0.0, "render": 0.0, "write": 0.0}
    role = PROJECT / "roles" / "render"
    files = loader.load_from_file(str(role / "vars" / "main.yml"), trusted_as_template=True)
    here = connection_loader.get("ansible.builtin.local", PlayContext(), os.devnull)
    task = Task.load({"name": "Write", "routed.hypervisor.render": {}}, loader=loader)
    for host in hosts.get_hosts():
        begin = time.perf_counter()
        values = variables.get_vars(host=host, include_hostvars=False)
        values |= files | {"ansible_search_path": [str(role)], "role_path": str(role)}
        known = time.perf_counter()
        templar = Templar(loader, values)
        texts = templar.template(trust_as_template("{{ render_files }}"))
        rendered = time.perf_counter()
        task.args = {"directory": f"{out}/{host.name}", "files": texts}
        action = action_loader.get(
            "routed.hypervisor.render",
            task=task,
            connection=here,
            play_context=PlayContext(),
            loader=loader,
            templar=templar,
            shared_loader_obj=None,
        )
        action.run(task_vars=values)
        times["variables"] += known - begin
        times["render"] += rendered - known
        times["write"] += time.perf_counter() - rendered
    return times


def main() -> None:
    *options, what, inventory, out = sys.argv[1:]
    work = {"resolve": resolve, "render": render}[what]
    if options == ["--profile"]:
        profile = cProfile.Profile()
        print(json.dumps(profile.runcall(work, inventory, out)))
        for order in ("cumulative", "tottime"):
            pstats.Stats(profile).strip_dirs().sort_stats(order).print_stats(45)
    else:
        print(json.dumps(work(inventory, out)))


if __name__ == "__main__":
    main()
