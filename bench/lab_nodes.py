"""Lab nodes and cables, compared with `ip -batch` and Mininet.

A ring: as many cables as nodes, both ends up. `ip -batch` creates bare network namespaces and the same cables, Mininet
creates hosts (network and mount namespaces, a shell in each); a lab node has mount, UTS, IPC and PID namespaces, an
overlay of a Debian image and a first process. Times are of whole processes: a module call and Mininet's first step
include the start of Python, and iproute2 needs one `ip -batch` per namespace to set links up. "Each more" is the time
per added node compared with the previous size, which excludes start-up.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from measure import (
    CACHE,
    PROJECT,
    Results,
    Times,
    arguments,
    counted,
    each_more,
    image,
    interleaved,
    ip,
    module,
    timed,
    unchanged,
)

LAB = "bench"
AIMS = {"ip -batch": 2, "Mininet": 1}
MININET = CACHE / "bench" / "mininet"


def ring(names: list[str]) -> list[tuple[str, str]]:
    return list(zip(names, names[1:] + names[:1], strict=True))


def whole(times: Times) -> Times:
    return {**times, "up in all": times["nodes"] + times["links, up"]}


def with_modules(names: list[str]) -> Times:
    nodes = {"lab": LAB, "config": [{"name": name} for name in names]}
    cables = [{"a": {"node": a, "interface": "right"}, "b": {"node": b, "interface": "left"}} for a, b in ring(names)]
    common = {"owner": str(PROJECT), "image": str(image())}
    times = {
        "nodes": timed(lambda: module("lab_nodes", **common, **nodes)),
        "links, up": timed(lambda: module("lab_cables", lab=LAB, config=cables)),
        "nodes again": timed(lambda: unchanged(module("lab_nodes", **common, **nodes))),
        "links again": timed(lambda: unchanged(module("lab_cables", lab=LAB, config=cables))),
        "down": timed(lambda: module("lab_nodes", lab=LAB, state="deleted")),
    }
    return whole({**times, "again in all": times["nodes again"] + times["links again"]})


def with_ip(names: list[str]) -> Times:
    def links() -> None:
        ip(batch=[f"link add right netns {a} type veth peer name left netns {b}" for a, b in ring(names)])
        for name in names:
            ip("-n", name, batch=["link set right up", "link set left up"])

    return whole(
        {
            "nodes": timed(lambda: ip(batch=[f"netns add {name}" for name in names])),
            "links, up": timed(links),
            "down": timed(lambda: ip(batch=[f"netns del {name}" for name in names])),
        }
    )


def with_mininet(names: list[str]) -> Times:
    programs = ":".join(str(MININET / place) for place in ("usr/bin", "sbin", "usr/sbin"))
    start = time.perf_counter()
    done = subprocess.run(
        ["/usr/bin/python3", str(Path(__file__).with_name("mininet_ring.py")), *names],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:{programs}", "PYTHONPATH": str(MININET / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr)
    times = json.loads(done.stdout)
    times["nodes"] += seconds - sum(times.values())
    return whole(times)


def show(results: Results, case: str, everyone: dict[str, Times], suffix: str = "", **unit: str) -> None:
    ours = everyone["modules"]
    for step in ("up in all", "down") if suffix else ("nodes", "links, up", "up in all", "down"):
        for peer, aim in AIMS.items():
            if peer in everyone:
                limit = aim if step in ("up in all", "down") else None
                results.add(case, step + suffix, ours[step], peer, everyone[peer][step], limit, **unit)
    results.add(case, f"again in all{suffix}", ours["again in all"], "up in all", ours["up in all"], **unit)


def main() -> None:
    given = arguments(__doc__, sizes=[10, 100, 300], runs=5)
    results = Results(__file__, given)
    fewer: tuple[int, dict[str, Times]] | None = None
    for count in sorted(given.sizes):
        names = [f"bench{number}" for number in range(count)]
        everyone = {"modules": lambda names=names: with_modules(names), "ip -batch": lambda names=names: with_ip(names)}
        if not given.alone:
            everyone["Mininet"] = lambda names=names: with_mininet(names)
        medians, results.seen[str(count)] = interleaved(given.runs, everyone)
        case = f"{counted(count, 'node(s)')}, {counted(count, 'cable(s)')}"
        show(results, case, medians)
        if fewer:
            less, before = fewer
            more = {name: each_more(times, before[name], count - less) for name, times in medians.items()}
            show(results, case, more, ", each more", unit="ms")
        fewer = (count, medians)
    source = MININET / "python" / "mininet" / "net.py"
    results.finish(
        **({} if given.alone else {"mininet": re.search(r'(?m)^VERSION = "(.*)"', source.read_text()).group(1)})
    )


if __name__ == "__main__":
    main()
