#!/usr/bin/env python3
"""Lab nodes and cables next to `ip -batch` doing the same links, as ratios of medians in the same run.

    sudo .venv/bin/python bench/lab_nodes.py [NODES …]        (default: 10 100)

A ring: as many cables as nodes, both ends up. `ip -batch` makes bare network namespaces and the same cables; a lab node
has mount, UTS, IPC and PID namespaces, an overlay of a Debian image and a first process besides. Times are of whole
processes: a module call includes the start of Python, and one `ip -batch` a namespace is what iproute2 needs to set
links up.
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
LAB = "bench"
RUNS = 5


def module(name: str, **arguments) -> dict:
    """Runs a module of the collection in a process of its own, as Ansible would."""
    path = os.pathsep.join([str(PROJECT / "collections"), str(Path(ansible.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.routed.hypervisor.plugins.modules.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stdout)
    if answer.get("failed"):
        sys.exit(answer["msg"])
    return answer


def ip(*arguments: str, batch: list[str]) -> None:
    text = "\n".join(batch)
    subprocess.run(["ip", *arguments, "-batch", "-"], input=text, text=True, check=True)


def timed(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def image() -> str:
    cache = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache/routed-hypervisor"))
    images = [path for path in (cache / "images").glob("*") if path.is_dir()]
    return str(max(images, key=lambda path: path.stat().st_mtime))


def ring(names: list[str]) -> list[tuple[str, str]]:
    return list(zip(names, names[1:] + names[:1], strict=True))


def with_modules(names: list[str]) -> dict[str, float]:
    nodes = [{"name": name} for name in names]
    cables = [{"a": {"node": a, "interface": "right"}, "b": {"node": b, "interface": "left"}} for a, b in ring(names)]
    common = {"lab": LAB, "owner": str(PROJECT), "image": image()}
    return {
        "nodes": timed(lambda: module("lab_nodes", **common, config=nodes)),
        "links, up": timed(lambda: module("lab_cables", lab=LAB, config=cables)),
        "again": timed(lambda: module("lab_cables", lab=LAB, config=cables)),
        "down": timed(lambda: module("lab_nodes", lab=LAB, state="deleted")),
    }


def with_ip(names: list[str]) -> dict[str, float]:
    def links() -> None:
        ip(batch=[f"link add right netns {a} type veth peer name left netns {b}" for a, b in ring(names)])
        for name in names:
            ip("-n", name, batch=["link set right up", "link set left up"])

    return {
        "nodes": timed(lambda: ip(batch=[f"netns add {name}" for name in names])),
        "links, up": timed(links),
        "down": timed(lambda: ip(batch=[f"netns del {name}" for name in names])),
    }


def main() -> None:
    for count in [int(argument) for argument in sys.argv[1:]] or [10, 100]:
        names = [f"bench{number}" for number in range(count)]
        ours, theirs = [], []
        for _ in range(RUNS):
            ours.append(with_modules(names))
            theirs.append(with_ip(names))
        print(f"{count} nodes, {count} cables (medians of {RUNS} runs)")
        for step in ours[0]:
            mine = statistics.median(run[step] for run in ours)
            if step in theirs[0]:
                limit = statistics.median(run[step] for run in theirs)
                print(f"  {step:10} modules {mine:6.2f} s   ip -batch {limit:6.2f} s   ratio {mine / limit:5.1f}")
            else:
                print(f"  {step:10} modules {mine:6.2f} s")


if __name__ == "__main__":
    main()
