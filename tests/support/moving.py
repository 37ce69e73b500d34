"""Two hypervisors with BIRD or GoBGP, and a border with BIRD, as the inventory plugin resolves them, in namespaces of
this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import shlex
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.fabric import resolve
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.index import index

from .following import WEB1, WEB2, FollowingHost
from .namespace import Namespace
from .templates import render
from .waiting import until

HOSTS, OLD, BORDER = ("hv1", "hv2"), "hv3", "border"
GUESTS = {
    "web1": {"ipv4": WEB1[0], "mac": "52:54:00:12:34:01", "port": "tap-web1"},
    "web2": {"ipv4": WEB2[0], "mac": "52:54:00:12:34:02"},
}
SHARED = "203.0.113.100"
# The image's daemon, with files that only it sees.
BIRD = """mount --bind {image} {image}
mount -t tmpfs none {image}/mnt
mount -t tmpfs none {image}/run
cp {files}/* {image}/mnt
mount --bind {control} {image}/run
exec chroot {image} bird -f -c /mnt/bird.conf -s /run/{name}.ctl
"""


@dataclasses.dataclass(frozen=True)
class Kind:
    """What is special about a fabric."""

    bfd: dict | None = None
    with_gobgp: tuple[str, ...] = ()
    fabrics: tuple[str, ...] = ("A",)
    firewall: bool = False
    shared: bool = False  # both guests have another address, the same one
    scan_s: int = 2  # between two looks of BIRD at all routes of the kernel
    has_old: bool = False  # another hypervisor, which does not have the configuration for guests that move yet


PLAIN = Kind()


def intent(vrf: str | None, kind: Kind) -> dict:
    name = vrf or "main"
    names = (*HOSTS, OLD) if kind.has_old else HOSTS
    hypervisors = {host: {"id": number} for number, host in enumerate(names, start=1)}
    for host in kind.with_gobgp:
        hypervisors[host]["daemon"] = "gobgp"
    networks = {fabric: (f"10.9.{number}", f"2001:db8:9:{number}:") for number, fabric in enumerate(kind.fabrics)}
    return {
        "plugin": "routed.hypervisor.fabric",
        "name": "moving",
        "bgp": {"as": 65000, "peering": "automatic", **({"bfd": kind.bfd} if kind.bfd else {})},
        "firewall": kind.firewall,
        "vrfs": {name: {"table": 90} if vrf else {}},
        "fabrics": {
            fabric: {
                "networks": {
                    name: {
                        "ipv4": f"{ipv4}.0/24",
                        "ipv6": f"{ipv6}:/64",
                        "hypervisors": {"ipv4": f"{ipv4}.10", "ipv6": f"{ipv6}:10"},
                    }
                }
            }
            for fabric, (ipv4, ipv6) in networks.items()
        },
        "segments": {
            "guests": {
                "vrf": name,
                "ipv4": "203.0.113.0/24",
                "gateway4": "203.0.113.254",
                "ipv6": "2001:db8:cb00:7100::/64",
                "anycast": [SHARED] if kind.shared else [],
            }
        },
        "borders": {
            BORDER: {
                "vrf": name,
                "fabrics": {
                    fabric: {"ipv4": f"{ipv4}.250", "ipv6": f"{ipv6}:250"} for fabric, (ipv4, ipv6) in networks.items()
                },
                "world": ["192.0.2.1", "2001:db8:ffff::1"],
            }
        },
        "hypervisors": hypervisors,
        "guests": {
            guest: {**facts, **({"addresses": [SHARED]} if kind.shared else {})} for guest, facts in GUESTS.items()
        },
    }


def resolved(given: dict) -> dict:
    mistakes = Mistakes()
    found = check(given, mistakes)
    assert found is not None, mistakes.lines()
    return resolve(found, index(found), "somewhere").host_vars


class Fabric:
    def __init__(self, image: Path, run_module, interpreter, scratch: Path, vrf: str | None, kind: Kind = PLAIN):
        self.image, self.run_module, self.scratch, self.vrf = image, run_module, scratch, vrf
        self.interpreter = interpreter
        self.kind = kind
        self.routers = (*HOSTS, *([OLD] if kind.has_old else []), BORDER)
        self.variables = resolved(intent(vrf, kind))
        if kind.has_old:
            self.variables[OLD] = resolved({**intent(vrf, kind), "guests": {}})[OLD]
        self.spaces: dict[str, Namespace] = {}
        self.birds: dict[str, subprocess.Popen] = {}
        self.gobgpds: dict[str, subprocess.Popen] = {}
        programs = scratch / "programs"
        programs.mkdir(exist_ok=True)
        (programs / "gobgp").symlink_to(image / "usr/bin/gobgp")
        if kind.firewall:
            (programs / "nft").write_text(f'#!/bin/sh\nexec chroot {shlex.quote(str(image))} nft "$@"\n')
            (programs / "nft").chmod(0o755)
        self.hosts: dict[str, FollowingHost] = {}

    def build(self) -> None:
        switch = self.spaces["switch"] = Namespace.made()
        for fabric in self.kind.fabrics:
            switch.ip(f"link add bridge-{fabric} type bridge")
            switch.ip(f"link set bridge-{fabric} up")
        for name in self.routers:
            space = self.spaces[name] = Namespace.made()
            space.ip("link set lo up")
            for fabric in self.kind.fabrics:
                switch.ip(f"link add {name}-{fabric} type veth peer name fabric-{fabric} netns {space.name}")
                switch.ip(f"link set {name}-{fabric} master bridge-{fabric} up")
                space.ip(f"link set fabric-{fabric} up")
            python, library = self.interpreter
            network = self.variables[name]["network"]
            # Kernels without VRFs lack dummies, too; nobody sends to the world here.
            network["interfaces"] = [one for one in network["interfaces"] if one.get("type") != "dummy"]
            made = self.run_module(
                "network",
                _python=python,
                _path=library,
                _prefix=space.prefix,
                state="overridden",
                config=network,
            )
            assert not made.get("failed"), made["msg"]
            if self.variables[name]["bgp"]["daemon"] == "gobgp":
                self.start_gobgp(name)
            else:
                self.start_bird(name)
        for name in HOSTS:
            host = self.hosts[name] = FollowingHost(self.spaces[name], self.interpreter, self.scratch, self.vrf)
            manager = self.variables[name].get("routing_manager", {})
            for instance in manager.get("instances", ()):
                instance["api"] = str(self.api(name))
            host.store_table(self.variables[name]["followed_guests"], manager)
            host.start()
            if self.kind.firewall:
                self._nft(name, "--file", "-", text=render("nftables/nftables.conf", self.variables[name]))
        count = 2 * (len(self.routers) - 1) * len(self.kind.fabrics)
        until(lambda: all(self.sessions(name) >= count for name in self.routers), 60, "BGP is established", 0.1)

    def start_bird(self, name: str) -> None:
        files = self.scratch / f"bird-{name}"
        files.mkdir(exist_ok=True)
        values = {**self.variables[name], "bgp_passwords": {}, "bird_log": "/run/log"}
        text = render("bird/bird.conf", values).replace("scan time 2;", f"scan time {self.kind.scan_s};")
        (files / "bird.conf").write_text(text)
        (files / "secrets.conf").write_text(render("bird/secrets.conf", values))
        control = self.scratch / f"run-{name}"
        control.mkdir(exist_ok=True)
        where = {
            key: shlex.quote(str(value))
            for key, value in (("image", self.image), ("files", files), ("control", control))
        }
        script = BIRD.format(name=name, **where)
        self.birds[name] = self.spaces[name].start("unshare", "--mount", "--", "sh", "-ec", script)

    def _nft(self, name: str, *words: str, text: str | None = None) -> str:
        return self.spaces[name].run("chroot", self.image, "nft", *words, text=text)

    def firewall(self, name: str) -> str:
        """The ports of guests that the firewall of a hypervisor knows."""
        return self._nft(name, "list", "set", "inet", "routed_hypervisor", "followed_ports")

    def api(self, name: str) -> Path:
        return self.scratch / f"{name}.sock"

    def start_gobgp(self, name: str) -> None:
        [instance] = self.variables[name]["bgp"]["instances"]
        file = self.scratch / f"{name}.toml"
        file.write_text(render("gobgp/gobgpd.toml", {**self.variables[name], "gobgp_instance": instance}))
        inside = ["ip", "vrf", "exec", self.vrf] if self.vrf else []
        options = ["-f", file, "--pprof-disable", f"--api-hosts=unix://{self.api(name)}"]
        command = [*inside, self.image / "usr/bin/gobgpd", *options]
        self.gobgpds[name] = self.spaces[name].start(*map(str, command))

    def gobgp(self, name: str, *words: str) -> str:
        command = [self.image / "usr/bin/gobgp", "--target", f"unix://{self.api(name)}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def bird(self, name: str, command: str) -> str:
        control = self.scratch / f"run-{name}" / f"{name}.ctl"
        return subprocess.run(
            [self.image / "usr/sbin/birdc", "-s", control, command], capture_output=True, text=True, check=False
        ).stdout

    def lose_power(self, name: str) -> None:
        """Nothing of a host runs any more, and nothing that it has sent arrives."""
        self.cable(name, "down")
        self.hosts[name].end(signal.SIGKILL)
        (self.gobgpds if name in self.gobgpds else self.birds)[name].kill()

    def cable(self, name: str, state: str) -> None:
        for fabric in self.kind.fabrics:
            self.spaces["switch"].ip(f"link set {name}-{fabric} {state}")

    def sessions(self, name: str) -> int:
        if name in self.gobgpds:
            return self.gobgp(name, "neighbor").count("Establ")
        return self.bird(name, "show protocols").count("Established")

    def sees(self, address: str, seconds: float = 0.5) -> bool:
        """Whether the border reaches an address."""
        return bool(self.pinged(address, 1, seconds)[0])

    def pinged(self, address: str, count: int, seconds: float) -> list[bool]:
        with Pinger(self.spaces[BORDER], address, 0.05) as pinger:
            time.sleep(0)
            until(lambda: len(pinger.sent) >= count, 10)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and len(pinger.received) < count:
                time.sleep(0.01)
        return [number in pinger.received for number in range(count)]

    def has_bfd(self, name: str) -> bool:
        """Whether BFD runs on all sessions of a router."""
        sessions = self.bird(name, "show bfd sessions").split()
        return sessions.count("Up") == 2 * (len(self.routers) - 1) * len(self.kind.fabrics)

    def place(self, name: str) -> list[str]:
        """The hypervisors that hold a guest."""
        return [host for host in HOSTS if self.hosts[host].report().get("guests", {}).get(name, {}).get("here")]

    def remove(self) -> None:
        for host in self.hosts.values():
            print(host.said())
            host.end()
        for process in (*self.birds.values(), *self.gobgpds.values()):
            process.kill()
            process.wait()
        for space in self.spaces.values():
            space.remove()


class Pinger:
    """Sends an echo request every `interval` seconds from a namespace, or a VRF in it, until its block ends."""

    def __init__(self, space: Namespace, address: str, interval: float, vrf: str | None = None):
        self.address, self.interval = address, interval
        self.sent: list[float] = []
        self.received: dict[int, float] = {}
        self.ended = threading.Event()
        with space.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            if vrf:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, vrf.encode())
        self.identity = id(self) & 0xFFFF
        self.threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]

    def __enter__(self) -> Pinger:
        self.socket.settimeout(0.2)
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_exception) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        self.socket.close()

    def _send(self) -> None:
        start = time.monotonic()
        while not self.ended.is_set():
            body = struct.pack("!BBHHH", 8, 0, 0, self.identity, len(self.sent) & 0xFFFF)
            total = sum(struct.unpack("!4H", body))
            total = (total & 0xFFFF) + (total >> 16)
            message = body[:2] + struct.pack("!H", total ^ 0xFFFF) + body[4:]
            self.sent.append(time.monotonic())
            with contextlib.suppress(OSError):  # there may be no route for a moment
                self.socket.sendto(message, (self.address, 0))
            self.ended.wait(max(start + len(self.sent) * self.interval - time.monotonic(), 0))

    def _receive(self) -> None:
        while not self.ended.is_set():
            try:
                packet = self.socket.recv(1500)
            except TimeoutError:
                continue
            kind, _code, _sum, identity, number = struct.unpack_from("!BBHHH", packet, (packet[0] & 15) * 4)
            if kind == 0 and identity == self.identity:
                self.received.setdefault(number, time.monotonic())

    def longest_gap(self) -> float:
        """Between two packets that were answered, in seconds."""
        times = sorted(self.sent[number] for number in self.received)
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    def lost(self) -> int:
        """Without the last ones, whose answers may be on their way."""
        last = max(self.received, default=0)
        return sum(number not in self.received for number in range(last))
