#!/usr/bin/env python3
"""The routing manager with many routes from a real GoBGP peer, next to `ip -batch` writing the same routes.

    sudo .venv/bin/python bench/routing_manager.py [ROUTES …]        (default: 10000)

start: the manager is started beside a GoBGP that has all routes, until the kernel has them, and until it says that it
is in step. live: the peer announces all at once to a running manager; how much later than GoBGP the kernel has the last
one. change, withdraw: the same for a new next hop of all, and for their end. kill: GoBGP is told to end with all routes
there; how many the manager loses. Memory is the resident set of the manager, now and at its highest.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from routing_lab import RoutingLab, many

RUNS = 3


def image() -> Path:
    cache = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache/routed-hypervisor"))
    return max((path for path in (cache / "images").glob("*") if path.is_dir()), key=lambda path: path.stat().st_mtime)


class Bench:
    def __init__(self, lab: RoutingLab, routes: list[str]):
        self.lab, self.routes = lab, routes

    def inject(self, next_hop: str) -> None:
        self.lab.inject("left", self.routes, next_hop)

    def in_gobgp(self) -> int:
        words = self.lab.gobgp("host", "global rib summary").replace(",", " ").split()
        return int(words[words.index("Destination:") + 1])

    def in_kernel(self, via: str = "") -> int:
        shown = self.lab.ip("host", "route show proto 83")
        return sum(via in line for line in shown.splitlines())

    def lag(self, action, gobgp_has, kernel_has) -> float:
        """Seconds by which the kernel is later than GoBGP after an action."""
        action()
        seen = {}
        while len(seen) < 2:
            if "gobgp" not in seen and gobgp_has():
                seen["gobgp"] = time.perf_counter()
            if "kernel" not in seen and kernel_has():
                seen["kernel"] = time.perf_counter()
            time.sleep(0.02)
        return max(0.0, seen["kernel"] - seen["gobgp"])

    def memory(self, key: str) -> float:
        """MB of the manager itself: `ip netns exec` replaces itself by it."""
        status = Path(f"/proc/{self.lab.manager.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key)) / 1024

    def batch(self) -> float:
        """`ip -batch` writes the same routes, into a table of its own."""
        lines = "\n".join(f"route replace {p} via 192.168.1.2 dev to-left proto 83 table 99" for p in self.routes)
        command = ["ip", "-n", self.lab.space("host"), "-batch", "-"]
        start = time.perf_counter()
        subprocess.run(command, input=lines, text=True, check=True)
        seconds = time.perf_counter() - start
        self.lab.ip("host", "route flush table 99")
        return seconds

    def run(self) -> dict[str, float]:
        count, lab = len(self.routes), self.lab
        result = {"ip -batch": self.batch()}
        lab.end_manager()
        self.inject("192.168.1.2")
        while self.in_gobgp() < count:
            time.sleep(0.1)
        start = time.perf_counter()
        lab.start_manager()
        while self.in_kernel() < count:
            time.sleep(0.02)
        result["start, in the kernel"] = time.perf_counter() - start
        lab.in_step()
        result["start, in step"] = time.perf_counter() - start
        changed = "via 192.168.1.77"
        first = self.routes[0]
        result["change"] = self.lag(
            lambda: self.inject("192.168.1.77"),
            lambda: (
                "192.168.1.77" in lab.gobgp("host", f"global rib {self.routes[-1]}")
                and "192.168.1.77" in lab.gobgp("host", f"global rib {first}")
            ),
            lambda: self.in_kernel(changed) == count,
        )
        result["withdraw"] = self.lag(
            lambda: lab.gobgp("left", "global rib del all"), lambda: not self.in_gobgp(), lambda: not self.in_kernel()
        )
        result["live"] = self.lag(
            lambda: self.inject("192.168.1.2"), lambda: self.in_gobgp() >= count, lambda: self.in_kernel() >= count
        )
        result["memory, MB"], result["memory at its highest, MB"] = self.memory("VmRSS:"), self.memory("VmHWM:")
        since = len(lab.log.read_text())
        lab.kill_gobgpd("host", signal.SIGTERM)
        while not lab.logged("lost gobgpd", since):
            time.sleep(0.1)
        time.sleep(0.5)
        result["kill, lost"] = count - self.in_kernel()
        lab.start_gobgpd("host")
        lab.connected()
        while not lab.logged("in step", since):
            time.sleep(0.1)
        lab.gobgp("left", "global rib del all")
        while self.in_kernel():
            time.sleep(0.1)
        return result


def main() -> None:
    answers = {}
    for count in [int(argument) for argument in sys.argv[1:]] or [10000]:
        with tempfile.TemporaryDirectory() as directory:
            lab = RoutingLab(image(), Path(directory))
            try:
                lab.build()
                lab.start_manager()
                lab.connected()
                lab.in_step()
                bench = Bench(lab, many(count))
                runs = [bench.run() for _ in range(RUNS)]
            finally:
                lab.remove()
        medians = {step: round(statistics.median(run[step] for run in runs), 2) for step in runs[0]}
        answers[count] = medians
        print(f"{count} routes (medians of {RUNS} runs)")
        for step, value in medians.items():
            timed = "memory" not in step and "lost" not in step
            ratio = f"   {value / medians['ip -batch']:5.1f} times ip -batch" if timed and step != "ip -batch" else ""
            print(f"  {step:26} {value:8.2f}{' s' if timed else ''}{ratio}")
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
