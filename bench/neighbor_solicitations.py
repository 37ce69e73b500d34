"""Answers to neighbor solicitations: the agent compared with ndppd, one after the other on the same ports.

A hypervisor has the ports of 50 guests, and routes to the others. One guest asks for 1,000 of them, one after the
other. With few guests, the kernel answers for those that the agent has given it; with many, the agent answers itself.
ndppd answers for the whole prefix, as the role configures it. Processor time is that of the process, so the kernel's
own answers have none. Memory is the resident set.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import PROJECT, Results, Times, arguments, counted, image

sys.path.extend([str(PROJECT / "tests"), str(PROJECT / "collections")])
from support.following import GATEWAYS, FollowingHost, GuestMachine
from support.namespace import Namespace
from support.soliciting import address, answers, ask, entries, mac
from support.waiting import until

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.ports import MOST_ENTRIES

PORTS, ASKED, SOON_S = 50, 1000, 60
PREFIX = "2001:db8:cb00:7100::/64"
NDPPD = """mount --bind {image} {image}
mount -t tmpfs none {image}/run
mount -t tmpfs none {image}/mnt
cp {file} {image}/mnt/ndppd.conf
exec chroot {image} ndppd -c /mnt/ndppd.conf
"""


class Bench:
    def __init__(self, host: FollowingHost, guests: int, scratch: Path) -> None:
        self.host, self.guests, self.scratch = host, guests, scratch
        self.machines = [self._machine(number) for number in range(1, PORTS + 1)]
        self.targets = random.Random(1).choices(range(PORTS + 1, guests + 1), k=ASKED)
        host.space.ip("link add uplink type veth peer name fabric")
        for end in ("uplink", "fabric"):
            host.space.ip(f"link set {end} up")
        routes = (f"route add {address(number)}/128 dev uplink\n" for number in range(PORTS + 1, guests + 1))
        host.space.run("ip", "-6", "-batch", "-", text="".join(routes))

    def _machine(self, number: int) -> GuestMachine:
        """Behind a port as a run configures it."""
        port = f"vm{number}"
        made = GuestMachine(self.host, f"guest{number}", port, mac(number))
        self.host.space.ip(f"link set {port} up")
        self.host.space.ip(f"-6 address add {GATEWAYS[1]}/64 dev {port} nodad")
        self.host.space.ip(f"-6 route add {address(number)}/128 dev {port}")
        for path, value in ((f"conf/{port}/proxy_ndp", 1), (f"neigh/{port}/proxy_delay", 0)):
            self.host.space.sysctl(f"ipv6/{path}", value)
        made.runs((f"203.0.113.{number}", address(number)))
        return made

    def with_agent(self) -> Times:
        neighbors = [address(number) for number in range(1, self.guests + 1)]
        ports = {f"vm{number}": {"segment": "guests", "own": [address(number)]} for number in range(1, PORTS + 1)}
        segments = {"guests": {"gateway": GATEWAYS[1], "neighbors": neighbors}}
        self.host.store_table({}, proxy_ndp={"segments": segments, "ports": ports})
        self.host.start()
        try:
            number = PORTS * (self.guests - 1)
            wanted = number if number <= MOST_ENTRIES else 0
            until(lambda: entries(self.host) == wanted, SOON_S, self.host.said())
            return self._asked(self.host.process)
        finally:
            self.host.store_table({}, proxy_ndp={"segments": {}, "ports": {}})
            until(lambda: entries(self.host) == 0, SOON_S, "no entry is left")
            self.host.end()

    def with_ndppd(self) -> Times:
        file = self.scratch / "ndppd.conf"
        options = f"router yes; timeout 500; ttl 30000; rule {PREFIX} {{ static }}"
        file.write_text("".join(f"proxy vm{number} {{ {options} }}\n" for number in range(1, PORTS + 1)))
        script = NDPPD.format(image=image("usr/sbin/ndppd"), file=file)
        process = self.host.space.start(
            "unshare", "--mount", "--", "sh", "-ec", script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return self._asked(process)
        finally:
            process.kill()
            process.wait()

    def _asked(self, process: subprocess.Popen) -> Times:
        asking = self.machines[0]
        until(lambda: answers(asking, 1, self.guests) or process.poll() is not None, SOON_S, "an answer")
        before = processor(process.pid)
        took = ask(asking, 1, self.targets)
        if None in took:
            sys.exit(f"{took.count(None)} of {len(took)} solicitations were not answered")
        return {
            "median": statistics.median(took) * 1e6,
            "99 %": sorted(took)[len(took) * 99 // 100] * 1e6,
            "processor": (processor(process.pid) - before) / len(took) * 1e6,
            "memory": resident(process.pid),
        }


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


@contextmanager
def benched(guests: int) -> Iterator[dict[str, Callable[[], Times]]]:
    with tempfile.TemporaryDirectory() as directory:
        space = Namespace.made()
        bench = None
        try:
            bench = Bench(FollowingHost(space, (sys.executable, None), Path(directory), None), guests, Path(directory))
            yield {"agent": bench.with_agent, "ndppd": bench.with_ndppd}
        finally:
            for machine in bench.machines if bench else ():
                machine.remove()
            space.remove()


def main() -> None:
    given = arguments(__doc__, sizes=[200, 10000], runs=3)
    results = Results(__file__, given)
    for guests in given.sizes:
        case = f"{counted(guests, 'guest(s)')}, {counted(PORTS, 'port(s)')}"
        with benched(guests) as contenders:
            runs = [
                {name: contenders[name]() for name in list(contenders)[:: -1 if number % 2 else 1]}
                for number in range(given.runs)
            ]
        results.seen[case] = runs
        medians = {
            name: {step: statistics.median(run[name][step] for run in runs) for step in runs[0][name]}
            for name in contenders
        }
        for step, unit in (("median", "us"), ("99 %", "us"), ("processor", "us"), ("memory", "MB")):
            results.add(case, step, medians["agent"][step], "ndppd", medians["ndppd"][step], unit=unit)
    results.finish()


if __name__ == "__main__":
    main()
