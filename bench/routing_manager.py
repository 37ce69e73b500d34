"""The routing manager with many routes from a real GoBGP peer, compared with `ip -batch` writing the same routes.

start: the manager is started beside a GoBGP that has all routes, until the kernel has them, and until it is in sync.
live: the peer announces all routes in one burst to a running manager; the delay from GoBGP to the kernel for the last.
change, withdraw: the same for a new next hop of all routes, and for their withdrawal. kill: GoBGP is stopped with all
routes present; how many the manager loses. Memory is the resident set of the manager, current and peak.
"""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from measure import PROJECT, Results, Times, arguments, counted, image, ip, timed

sys.path.extend([str(PROJECT / "tests"), str(PROJECT / "collections")])
from support.routing_lab import RoutingLab, many
from support.waiting import until

LIMIT_S = 600


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
        """Seconds by which the kernel lags behind GoBGP after an action."""
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
        """MB of the manager itself, because `ip netns exec` execs it."""
        status = Path(f"/proc/{self.lab.manager.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key)) / 1024

    def batch(self) -> float:
        """`ip -batch` writes the same routes, into a table of its own."""
        lines = [f"route replace {p} via 192.168.1.2 dev to-left proto 83 table 99" for p in self.routes]
        seconds = timed(lambda: ip("-n", self.lab.spaces["host"].name, batch=lines))
        self.lab.ip("host", "route flush table 99")
        return seconds

    def run(self) -> Times:
        count, lab = len(self.routes), self.lab
        result = {"ip -batch": self.batch()}
        lab.end_manager()
        self.inject("192.168.1.2")
        until(lambda: self.in_gobgp() >= count, LIMIT_S, "all routes in GoBGP", 0.1)
        start = time.perf_counter()
        lab.start_manager()
        until(lambda: self.in_kernel() >= count, LIMIT_S, "all routes in the kernel")
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
        result["memory"], result["memory at its highest"] = self.memory("VmRSS:"), self.memory("VmHWM:")
        since = len(lab.log.read_text())
        lab.kill_gobgpd("host", signal.SIGTERM)
        until(lambda: lab.logged("lost gobgpd", since), LIMIT_S, "a manager that lost gobgpd")
        time.sleep(0.5)  # time in which it could wrongly remove routes
        result["kill, lost"] = count - self.in_kernel()
        lab.start_gobgpd("host")
        lab.connected()
        until(lambda: lab.logged("in step", since), LIMIT_S, "the manager in step")
        lab.gobgp("left", "global rib del all")
        until(lambda: not self.in_kernel(), LIMIT_S, "a kernel without routes")
        return result


def main() -> None:
    given = arguments(__doc__, sizes=[10000], runs=3)
    results = Results(__file__, given)
    for count in given.sizes:
        with tempfile.TemporaryDirectory() as directory:
            lab = RoutingLab(image("usr/bin/gobgpd"), Path(directory))
            try:
                lab.build()
                lab.start_manager()
                lab.connected()
                lab.in_step()
                bench = Bench(lab, many(count))
                runs = [bench.run() for _ in range(given.runs)]
            finally:
                lab.remove()
        results.seen[str(count)] = runs
        medians = {step: statistics.median(run[step] for run in runs) for step in runs[0]}
        limit = medians.pop("ip -batch")
        for step, value in medians.items():
            if "memory" in step or "lost" in step:
                results.add(counted(count, "route(s)"), step, value, unit="MB" if "memory" in step else "routes")
            else:
                results.add(counted(count, "route(s)"), step, value, "ip -batch", limit)
    results.finish()


if __name__ == "__main__":
    main()
