"""Networks that share a hypervisor, kept apart by VRFs, by ip rules, and by namespaces.

forward: a packet to the last of the networks, from a socket through one router to its destination: microseconds. With
VRFs, one rule serves all networks; without, each has a rule for packets that arrive on its port. A path without rules
and VRFs is the floor. memory: what the kernel takes for each network with an uplink and a port, and its routing daemon,
one for all VRFs of a host, but one for each namespace.
"""

from __future__ import annotations

import functools
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import PROJECT, Results, Times, arguments, counted, image, interleaved, ip, timed

sys.path.extend([str(PROJECT / "tests"), str(PROJECT / "collections")])
from support.namespace import Namespace
from support.waiting import until

PACKETS, ROUNDS = 100, 200  # the fastest round counts: others were disturbed
TARGET = "198.51.100.1"
FIRST_TABLE = 1000
BIRD = """router id 192.0.2.1;
protocol device {{ scan time 60; }}
{protocols}"""
KERNEL = """
ipv4 table network{number};
protocol kernel network{number}_kernel {{ {vrf} kernel table {table}; ipv4 {{ table network{number}; export all; }}; }}
protocol static network{number}_static {{ ipv4 {{ table network{number}; }}; route 192.0.2.0/24 unreachable; }}
"""


class Path3:
    """A sender, a router and a receiver; the router's two ports are in the last of the networks."""

    def __init__(self, kind: str, networks: int) -> None:
        self.spaces = [Namespace.made(f"bench-{name}") for name in ("sender", "router", "receiver")]
        sender, router, receiver = self.spaces
        table = FIRST_TABLE + networks
        lines = ["link add port type veth peer name eth0 netns bench-sender"]
        lines += ["link add uplink type veth peer name eth0 netns bench-receiver"]
        if kind == "VRFs":
            for number in range(1, networks + 1):
                lines += [f"link add vrf{number} type vrf table {FIRST_TABLE + number}", f"link set vrf{number} up"]
            lines += [f"link set {name} master vrf{networks}" for name in ("port", "uplink")]
        if kind == "rules":
            lines += [
                f"rule add pref {number} iif port{number} lookup {FIRST_TABLE + number}"
                for number in range(1, networks)
            ]
            lines += [f"rule add pref {networks} iif {name} lookup {table}" for name in ("port", "uplink")]
        lines += ["link set port up", "link set uplink up", "address add 10.0.0.1/24 dev port"]
        lines += ["address add 10.0.1.1/24 dev uplink"]
        where = "" if kind == "nothing" else f" table {table}"
        lines += [f"route add {TARGET} via 10.0.1.2 dev uplink{where}"]
        if kind == "rules":
            lines += [
                f"route add 10.0.{number}.0/24 dev {name}{where}" for number, name in ((0, "port"), (1, "uplink"))
            ]
        ip("-n", router.name, batch=lines)
        router.sysctl("ipv4/ip_forward", 1)
        sender.batch("link set eth0 up\naddress add 10.0.0.2/24 dev eth0\nroute add default via 10.0.0.1")
        receiver.batch(
            f"link set lo up\nlink set eth0 up\naddress add 10.0.1.2/24 dev eth0\naddress add {TARGET} dev lo"
        )

    def microseconds(self) -> float:
        with self.spaces[2].inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
            sink.bind((TARGET, 9))
            sink.settimeout(5)
            with self.spaces[0].inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
                source.connect((TARGET, 9))
                source.send(b"first: resolves neighbours")
                sink.recv(64)
                return min(self._round(source, sink) for _number in range(ROUNDS)) / PACKETS * 1e6

    def _round(self, source: socket.socket, sink: socket.socket) -> float:
        def exchange() -> None:
            for _number in range(PACKETS):
                source.send(b"x")
                sink.recv(64)

        return timed(exchange)

    def remove(self) -> None:
        for space in self.spaces:
            space.remove()


def forward(kind: str, networks: int) -> Times:
    path = Path3(kind, networks)
    try:
        return {"forward": path.microseconds()}
    finally:
        path.remove()


def available() -> float:
    """MB; without what the kernel would give back anyway."""
    time.sleep(1)  # namespaces go in the background
    Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) / 1024


def daemons(root: Path, scratch: Path, spaces: list[Namespace], texts: list[str]) -> list[subprocess.Popen]:
    started = []
    for number, (space, text) in enumerate(zip(spaces, texts, strict=True)):
        (scratch / f"{number}.conf").write_text(text, encoding="utf-8")
        script = (
            f"mount --bind {scratch} {root}/mnt && exec chroot {root} bird -f -c /mnt/{number}.conf -s /mnt/{number}"
        )
        started.append(space.start("unshare", "--mount", "--", "sh", "-c", script))
    until(lambda: all((scratch / str(number)).exists() for number in range(len(started))), 120, "all run", 0.1)
    return started


def memory(kind: str, networks: int, root: Path) -> Times:
    """MB for each network."""
    numbers = range(1, networks + 1)
    spaces, started = [], []
    switch = Namespace.made("bench-switch")
    try:
        before = available()
        if kind == "VRFs":
            spaces = [Namespace.made("bench-router")]
            lines = []
            for n in numbers:
                lines += [f"link add vrf{n} type vrf table {FIRST_TABLE + n}", f"link set vrf{n} up"]
                for name in ("port", "uplink"):
                    lines += [f"link add {name}{n} type veth peer name {name}{n} netns {switch.name}"]
                    lines += [f"link set {name}{n} master vrf{n} up"]
            ip("-n", spaces[0].name, batch=lines)
            protocols = "".join(KERNEL.format(number=n, vrf=f'vrf "vrf{n}";', table=FIRST_TABLE + n) for n in numbers)
            texts = [BIRD.format(protocols=protocols)]
        else:
            spaces = [Namespace.made(f"bench-router{n}") for n in numbers]
            for n, space in zip(numbers, spaces, strict=True):
                lines = [
                    f"link add {name}{n} type veth peer name {name}{n} netns {switch.name}"
                    for name in ("port", "uplink")
                ]
                ip("-n", space.name, batch=[*lines, f"link set port{n} up", f"link set uplink{n} up"])
            texts = [BIRD.format(protocols=KERNEL.format(number=n, vrf="", table=254)) for n in numbers]
        kernel = (before - available()) / networks
        with tempfile.TemporaryDirectory() as scratch:
            started = daemons(root, Path(scratch), spaces, texts)
            return {"kernel": kernel, "kernel and daemons": (before - available()) / networks}
    finally:
        for process in started:
            process.kill()
            process.wait()
        for space in (switch, *spaces):
            space.remove()


def main() -> None:
    given = arguments(__doc__, sizes=[10, 100, 1000], runs=3)
    results = Results(__file__, given)
    for count in given.sizes:
        kinds = {kind: functools.partial(forward, kind, count) for kind in ("VRFs", "rules", "nothing")}
        medians, results.seen[f"forward, {count}"] = interleaved(given.runs, kinds)
        for peer in ("rules", "nothing"):
            ours, theirs = medians["VRFs"]["forward"], medians[peer]["forward"]
            results.add(counted(count, "network(s)"), "forward a packet, VRFs", ours, peer, theirs, unit="us")
    root = image("usr/sbin/bird")
    many = min(100, *given.sizes[-1:])
    kinds = {kind: functools.partial(memory, kind, many, root) for kind in ("VRFs", "namespaces")}
    medians, results.seen[f"memory, {many}"] = interleaved(given.runs, kinds)
    for step, ours in medians["VRFs"].items():
        theirs = medians["namespaces"][step]
        results.add(counted(many, "network(s)"), f"memory of each, {step}", ours, "namespaces", theirs, unit="MB")
    results.finish()


if __name__ == "__main__":
    main()
