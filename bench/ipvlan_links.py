#!/usr/bin/env python3
"""ipvlan links with addresses next to `ip -batch` doing the same, as ratios of medians in the same run.

    bin/lab-kernel .venv/bin/python bench/ipvlan_links.py [LINKS …]        (default: 100 1000)

Links on one dummy, each with an address, up and marked: all on the host; all in one other namespace; and each in a
namespace of its own. Times are of whole processes: a module call includes the start of Python, and `ip -batch` needs
one process for each namespace to set links up in. The last line is the same in JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import ansible

PROJECT = Path(__file__).resolve().parents[1]
HOST = "bench-host"
MASTER = "bench-master"
RUNS = 3
MOST_NAMESPACES = 100  # with more, ip takes minutes to start its processes in user-mode Linux


def module(**arguments) -> dict:
    """Runs the module in a process of its own, as Ansible would, in the namespace HOST."""
    path = os.pathsep.join([str(PROJECT / "collections"), str(Path(ansible.__file__).parents[1])])
    command = [sys.executable, "-m", "ansible_collections.routed.hypervisor.plugins.modules.ipvlan_links"]
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{HOST}", *command],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        sys.exit(done.stdout + done.stderr)
    if answer.get("failed"):
        sys.exit(answer["msg"])
    return answer


def ip(*arguments: str, batch: list[str]) -> None:
    subprocess.run(["ip", *arguments, "-batch", "-"], input="\n".join(batch), text=True, check=True)


def timed(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def address(number: int) -> str:
    return f"10.{number // 60000}.{number // 250 % 240}.{number % 250 + 1}/8"


def place(where: str, number: int) -> str | None:
    return {"host": None, "one namespace": "bench-c0", "a namespace each": f"bench-c{number}"}[where]


def with_module(where: str, count: int) -> dict[str, float]:
    config = []
    for number in range(count):
        entry = {"name": f"link{number}", "master": MASTER, "mode": "l2", "addresses": [{"address": address(number)}]}
        namespace = place(where, number)
        config.append({**entry, "namespace": namespace} if namespace else entry)

    def again() -> None:
        if module(config=config, state="overridden")["changed"]:
            sys.exit("a second call changed something")

    return {
        "create": timed(lambda: module(config=config, state="overridden")),
        "again": timed(again),
        "delete": timed(lambda: module(state="deleted")),
    }


def with_ip(where: str, count: int) -> dict[str, float]:
    by_namespace: dict[str, list[int]] = {}
    for number in range(count):
        by_namespace.setdefault(place(where, number) or HOST, []).append(number)

    def create() -> None:
        lines = []
        for namespace, numbers in by_namespace.items():
            there = "" if namespace == HOST else f"netns {namespace} "
            lines += [f"link add link {MASTER} name link{n} {there}type ipvlan mode l2" for n in numbers]
        ip("-n", HOST, batch=lines)
        for namespace, numbers in by_namespace.items():
            lines = [f"link set link{n} alias routed.hypervisor up" for n in numbers]
            ip("-n", namespace, batch=[*lines, *(f"address add {address(n)} dev link{n}" for n in numbers)])

    def delete() -> None:
        for namespace, numbers in by_namespace.items():
            ip("-n", namespace, batch=[f"link delete link{n}" for n in numbers])

    return {"create": timed(create), "delete": timed(delete)}


def compare(where: str, count: int) -> list[dict]:
    containers = sorted({place(where, number) for number in range(count)} - {None})
    ours, theirs = [], []
    try:
        ip(batch=[f"netns add {name}" for name in (HOST, *containers)])
        ip("-n", HOST, batch=[f"link add {MASTER} type dummy", f"link set {MASTER} up"])
        for _ in range(RUNS):
            ours.append(with_module(where, count))
            theirs.append(with_ip(where, count))
    finally:
        ip("-force", batch=[f"netns delete {name}" for name in (HOST, *containers)])
    rows = []
    for step in ours[0]:
        row = {"links": count, "where": where, "step": step, "module": statistics.median(run[step] for run in ours)}
        if step in theirs[0]:
            row["ip_batch"] = statistics.median(run[step] for run in theirs)
            row["ratio"] = row["module"] / row["ip_batch"]
        rows.append({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    return rows


def main() -> None:
    rows = []
    for count in [int(argument) for argument in sys.argv[1:]] or [100, 1000]:
        for where in ("host", "one namespace", "a namespace each"):
            if where == "a namespace each" and count > MOST_NAMESPACES:
                continue
            print(f"{count} links, {where} (medians of {RUNS} runs)", flush=True)
            for row in compare(where, count):
                text = f"  {row['step']:8} module {row['module']:7.2f} s"
                if "ratio" in row:
                    text += f"   ip -batch {row['ip_batch']:7.2f} s   ratio {row['ratio']:5.2f}"
                print(text, flush=True)
                rows.append(row)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
