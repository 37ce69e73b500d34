"""A host with GoBGP and the agent between two routers with GoBGP, in namespaces of this machine's kernel."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import uuid
from pathlib import Path

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import stored as states
from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp

from .following import ALONE, RUN
from .namespace import Namespace
from .waiting import until

ROUTERS = ("left", "right")
HOST_AS, ROUTER_AS = 64512, 65001
SUBNET4, SUBNET6 = "10.10.1.0/24", "2001:db8:10:1::/64"
TAIL = 4000  # `gobgp mrt inject` ends before its last paths are sent: these are copies of the last route
FAMILY = {"ipv4-unicast": ".", "ipv6-unicast": ":"}

NEIGHBOR = """
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{address}"
    peer-as = {peer}
  [neighbors.timers.config]
    connect-retry = 1
    idle-hold-time-after-reset = 1
  [neighbors.transport.config]
    passive-mode = {passive}
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 60
    deferral-time = 5
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{family}"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"""


def address(router: str, family: str, end: int) -> str:
    number = ROUTERS.index(router) + 1
    return f"192.168.{number}.{end}" if family == "ipv4-unicast" else f"2001:db8:{number}::{end}"


def many(count: int) -> list[str]:
    return [f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/24" for number in range(count)]


def record(kind: int, body: bytes) -> bytes:
    return struct.pack(">IHHI", 0, 13, kind, len(body)) + body


def mrt(routes: list[str], next_hop: str) -> bytes:
    """A routing table in the format of RFC 6396, that GoBGP reads much faster than single commands."""
    router = socket.inet_aton("192.0.2.9")
    index = router + struct.pack(">HH", 0, 1) + b"\x02" + router + socket.inet_aton(next_hop) + struct.pack(">I", 65001)
    attributes = b"\x40\x01\x01\x00" + b"\x40\x02\x00" + b"\x40\x03\x04" + socket.inet_aton(next_hop)
    content = [record(1, index)]
    for number, prefix in enumerate(routes + routes[-1:] * TAIL):
        address = socket.inet_aton(prefix.split("/", maxsplit=1)[0])[:3]
        entry = struct.pack(">HHIH", 1, 0, 0, len(attributes)) + attributes
        content.append(record(2, struct.pack(">I", number) + b"\x18" + address + entry))
    return b"".join(content)


def settings(api: str, **changes) -> dict:
    """The variable `routing_manager`, with changes of its instance."""
    instance = {
        "name": "main",
        "api": api,
        "vrf": None,
        "table": 254,
        "families": ["ipv4", "ipv6"],
        "local_addresses": {"ipv4": [address(router, "ipv4-unicast", 1) for router in ROUTERS]},
        "prefsrc": {"ipv4": None, "ipv6": None},
        "announce": [{"prefix": SUBNET4, "longest": 32}, {"prefix": SUBNET6, "longest": 128}],
        "networks": [
            {"name": "web", "prefixes": ["10.20.1.0/24", "2001:db8:20:1::/64"], "interface": None},
            {"name": "app", "prefixes": ["10.20.2.0/24", "2001:db8:20:2::/64"], "interface": "host-app"},
        ],
    }
    return {"instances": [{**instance, **changes}], "namespaces": ["/run/netns"]}


class RoutingLab:
    """`host` with a cable `to-left` and one `to-right`; everything ends with the test, whatever happened in it."""

    def __init__(self, image: Path, directory: Path, vrf: str | None = None, **others):
        self.id = uuid.uuid4().hex[:6]
        self.directory, self.binaries = directory, image / "usr/bin"
        self.spaces = {name: Namespace(f"rt-{self.id}-{name}") for name in ("host", *ROUTERS)}
        self.containers: list[Namespace] = []
        self.gobgpds: dict[str, subprocess.Popen] = {}
        self.manager: subprocess.Popen | None = None
        self.others, self.vrf = others, vrf
        self.program, self.states = directory / "routed-hypervisor", directory / "states"
        self.program.write_bytes(zipapp.build().with_byte_code().encode())  # as on a host
        self.started = 0  # where the log of the last start begins
        self.log = directory / "manager.log"

    def build(self) -> None:
        self.make_namespaces()
        for router in ROUTERS:
            self.ip("host", f"link add to-{router} type veth peer name to-host netns {self.spaces[router].name}")
            if self.vrf:
                self.ip("host", f"link set to-{router} master {self.vrf}")
            for node, link, end in (("host", f"to-{router}", 1), (router, "to-host", 2)):
                self.ip(node, f"addr add {address(router, 'ipv4-unicast', end)}/24 dev {link}")
                self.ip(node, f"addr add {address(router, 'ipv6-unicast', end)}/64 dev {link} nodad")
                self.ip(node, f"link set {link} up")
        self.configure("host", HOST_AS, [(address(r, f, 2), ROUTER_AS, f) for r in ROUTERS for f in FAMILY])
        for router in ROUTERS:
            self.configure(router, ROUTER_AS, [(address(router, f, 1), HOST_AS, f) for f in FAMILY])
        for name in (*ROUTERS, "host"):
            self.start_gobgpd(name)
        self.store()

    def make_namespaces(self) -> None:
        for space in self.spaces.values():
            if not Path(space.path).exists():
                Namespace.made(space.name)
                space.ip("link set lo up")

    def remove(self) -> None:
        for process in [self.manager, *self.gobgpds.values()]:
            if process and process.poll() is None:
                process.kill()
                process.wait()
        for space in [*self.containers, *self.spaces.values()]:
            space.remove()
        if self.log.exists():
            print(self.log.read_text(encoding="utf-8")[-8000:])  # pytest shows it where a test failed

    # commands

    def ip(self, node: str, command: str) -> str:
        return self.spaces[node].ip(command)

    def gobgp(self, node: str, command: str) -> str:
        target = f"unix://{self.directory}/{node}.sock"
        return subprocess.run(
            [self.binaries / "gobgp", "--target", target, *command.split()], check=True, capture_output=True, text=True
        ).stdout

    # GoBGP

    def configure(self, name: str, number: int, neighbors: list[tuple[str, int, str]]) -> None:
        last = (*ROUTERS, "host").index(name) + 1
        text = f'[global.config]\n  as = {number}\n  router-id = "192.0.2.{last}"\n'
        text += "[global.use-multiple-paths.config]\n  enabled = true\n"
        for neighbor, peer, family in neighbors:
            passive = "true" if name != "host" else "false"
            text += NEIGHBOR.format(address=neighbor, peer=peer, family=family, passive=passive)
        (self.directory / f"{name}.toml").write_text(text, encoding="utf-8")

    def inject(self, node: str, routes: list[str], next_hop: str) -> None:
        """Has a node announce many routes at once."""
        path = self.directory / "routes.mrt"
        path.write_bytes(mrt(routes, next_hop))
        self.gobgp(node, f"mrt inject global {path}")

    def start_gobgpd(self, name: str) -> None:
        api = self.directory / f"{name}.sock"
        api.unlink(missing_ok=True)
        with (self.directory / f"{name}.log").open("ab") as log:
            self.gobgpds[name] = subprocess.Popen(
                [
                    *("ip", "netns", "exec", self.spaces[name].name),  # `ip vrf exec` makes mounts, which are its own
                    *(("ip", "vrf", "exec", self.vrf) if self.vrf and name == "host" else ()),
                    *(self.binaries / "gobgpd", "-f", self.directory / f"{name}.toml"),
                    *("--pprof-disable", f"--api-hosts=unix://{api}", "--graceful-restart"),
                ],
                stdout=log,
                stderr=log,
            )

    def kill_gobgpd(self, name: str, number: int = signal.SIGKILL) -> None:
        self.gobgpds[name].send_signal(number)
        self.gobgpds[name].wait()

    def is_configured(self, name: str) -> bool:
        """Whether GoBGP has read its configuration; it answers before."""
        with contextlib.suppress(subprocess.CalledProcessError):
            return "192.0.2." in self.gobgp(name, "global")
        return False

    def sessions(self) -> int:
        """How many of the host's sessions are up."""
        with contextlib.suppress(subprocess.CalledProcessError, ValueError):
            return sum(n["state"].get("session_state") == 6 for n in json.loads(self.gobgp("host", "neighbor -j")))
        return 0

    def connected(self, count: int = 4) -> None:
        until(lambda: self.sessions() == count, 30, f"{count} sessions", 0.2)

    def rib(self, node: str, family: str = "ipv4") -> dict[str, list[str]]:
        """Prefix to next hops of all paths."""
        found = json.loads(self.gobgp(node, f"global rib -j -a {family}") or "{}")
        return {
            prefix: [attribute["nexthop"] for path in paths for attribute in path["attrs"] if "nexthop" in attribute]
            for prefix, paths in found.items()
        }

    # the kernel

    def routes(self, protocol: int = 83) -> dict[str, set[str]]:
        """Prefix to the ways of the host's routes of a protocol, each as `via GATEWAY dev LINK`."""
        found: dict[str, set[str]] = {}
        for family in ("-4", "-6"):
            for route in json.loads(self.ip("host", f"-json {family} route show proto {protocol}") or "[]"):
                ways = found.setdefault(route["dst"], set())
                for hop in route.get("nexthops", [route]):
                    via = f"via {hop['gateway']} " if "gateway" in hop else ""
                    ways.add(f"{via}dev {hop['dev']}")
        return found

    def bare_container(self) -> Namespace:
        self.containers.append(Namespace.made(f"rt-{self.id}-c-{uuid.uuid4().hex[:4]}"))
        return self.containers[-1]

    def container(self, *addresses: str) -> Namespace:
        """A namespace with these addresses on `eth0`, up."""
        space = self.bare_container()
        space.ip("link add eth0 type veth peer name peer")
        for entry in addresses:
            space.ip(f"address add {entry} dev eth0{' nodad' if ':' in entry else ''}")
        space.ip("link set eth0 up")
        return space

    # the routing manager

    def store(self, **changes) -> None:
        """Distributes other settings, as a run does."""
        self.store_settings({**settings(f"{self.directory}/host.sock", **changes), **self.others})

    def store_settings(self, given: dict) -> None:
        states.write(str(self.states), states.Stored("host", states.this_machine(), {}, [], {}, given))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-I", "-c", RUN, "", str(self.program), "--directory", str(self.states), *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{os.environ['PATH']}:{self.binaries}"}

    def status(self) -> dict:
        """Of the agent, where it runs."""
        enter = ["nsenter", f"--target={self.manager.pid}", "--mount", "--net", "--"] if self.runs() else []
        done = subprocess.run(
            [*(enter or self.spaces["host"].prefix), *self.command("status", "--json")],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def report(self) -> dict:
        """What the status contains of the only GoBGP."""
        return self.status()["routing"][0]

    def runs(self) -> bool:
        return self.manager is not None and self.manager.poll() is None

    def start_manager(self) -> None:
        self.started = self.log.stat().st_size if self.log.exists() else 0
        os.makedirs("/run/routed-hypervisor-agent", exist_ok=True)
        with self.log.open("ab") as log:
            self.manager = subprocess.Popen(
                [*self.spaces["host"].prefix, *ALONE, *self.command("run")],
                env=self.environment(),
                stdout=log,
                stderr=log,
            )

    def end_manager(self, number: int = signal.SIGTERM) -> None:
        self.manager.send_signal(number)
        self.manager.wait(10)

    def logged(self, text: str, since: int = 0) -> bool:
        return text in self.log.read_text(encoding="utf-8")[since:]

    def in_step(self) -> None:
        """Waits until the manager of the last start has said so."""
        until(lambda: self.logged("in step", self.started), 60, "the manager in step")

    @contextlib.contextmanager
    def pings(self, target: str):
        """Pings every 20 ms meanwhile; gives a list that holds (sent, received) afterwards."""
        library = f"LD_LIBRARY_PATH={self.binaries.parent}/lib/x86_64-linux-gnu"
        said = self.directory / "pings"
        with said.open("wb") as file:
            ping = self.spaces["host"].start(
                *("env", library, self.binaries / "ping", "-n", "-i", "0.02", target), stdout=file, stderr=file
            )
        result: list[int] = []
        try:
            until(lambda: "bytes from" in said.read_text(), 10, f"an answer of {target}")
            yield result
        finally:
            ping.send_signal(signal.SIGINT)
            ping.wait(10)
            text = said.read_text()
            words = next(line for line in text.splitlines() if "transmitted" in line).split()
            answered = re.findall(r"bytes from .* icmp_seq=(\d+)", text)
            # The answer to the last one may have been on its way.
            result += [int(words[0]) - (words[0] not in answered), int(words[3])]
