"""Which labs are on this machine, and what state they are in."""

from __future__ import annotations

import datetime
import os
import re
import typing as t

import places

from ansible_collections.routed.hypervisor.plugins.module_utils._engine.printable import counted
from ansible_collections.routed.hypervisor.plugins.module_utils._lab import exchange as lab_exchange
from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

ANSWER_S = 10  # a running supervisor answers immediately, even on a busy machine


def status_of(lab: str) -> dict[str, t.Any] | None:
    try:
        return lab_client.ask(lab, "status", ANSWER_S)
    except (lab_client.LabDown, OSError):
        return None


def all_labs() -> list[dict[str, t.Any]]:
    """The status and usage of each lab; for one that is not up, its name and the reason."""
    found = []
    for lab in sorted({*places.labs(), *running_without_supervisor()}):
        status = status_of(lab) or {"lab": lab, "note": why_not_up(lab)}
        if "kind" in status:
            status.update(measure(lab))
        found.append(status)
    return found


def why_not_up(lab: str) -> str:
    if processes := places.supervisors(lab):
        return f"its supervisor (process {processes[0]}) does not answer"
    return places.end_note(lab) or "its supervisor was killed"


def running_without_supervisor() -> set[str]:
    """Labs with nodes on the machine's own kernel."""
    try:
        return set(os.listdir(lab_exchange.BASE))
    except FileNotFoundError:
        return set()


def measure(lab: str) -> dict[str, t.Any]:
    script = "grep -E '^(MemTotal|MemAvailable):' /proc/meminfo"
    nodes = f"ls /run/routed-hypervisor/{lab}/nodes 2>/dev/null | grep -c '[.]pid$'; {script}"
    request = {"kind": "exec", "lab": lab, "command": nodes, "directory": "/"}
    try:
        _code, output, _errors = lab_client.run(lab, request, silence_s=ANSWER_S)
    except lab_client.KernelSilent as error:
        return {"trouble": str(error)}
    except (lab_client.LabDown, lab_client.JobFailed):  # the status says why
        return {}
    numbers = [int(word) for word in re.findall(r"\b\d+\b", output.decode())]
    if len(numbers) != 3:
        return {}
    return {"nodes": numbers[0], "memory_used": (numbers[1] - numbers[2]) // 1024}


def describe(status: dict[str, t.Any]) -> str:
    if "kind" not in status:
        lab = status["lab"]
        return f"{lab}: not up: {status['note']}. Bring it up again with make lab, or clean up with bin/lab down {lab}"
    since = datetime.datetime.fromtimestamp(status["since"]).strftime("%Y-%m-%d %H:%M:%S")
    where = {"host": "this machine's kernel", "uml": "user-mode Linux", "qemu": "QEMU"}[status["kind"]]
    memory = (
        f", {status['memory_used']} of {status['memory']} MB" if status["memory"] and "memory_used" in status else ""
    )
    nodes = f"{counted(status['nodes'], 'node(s)')}, " if "nodes" in status else ""
    trouble = "".join(f"; {status[key]}" for key in ("out_of_memory", "trouble") if status.get(key))
    return (
        f"{status['lab']}: up since {since}, {nodes}{where} {status['release']} (process {status['process']}){memory}, "
        f"from {status['owner']}{trouble}"
    )
