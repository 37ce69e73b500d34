"""A hypervisor in a namespace whose agent follows guests, and guests behind veth pairs."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import stored as states
from ansible_collections.routed.hypervisor.plugins.module_utils._verify import probes
from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp

from .namespace import Namespace
from .waiting import until

TABLE, BASE = 90, 1_000_000
GATEWAYS = ("203.0.113.254", "fe80::1")
WEB1 = ("203.0.113.11", "2001:db8:cb00:7100:5054:ff:fe12:3401")
WEB2 = ("203.0.113.12", "2001:db8:cb00:7100:5054:ff:fe12:3402")
ELSEWHERE = "2001:db8:cb00:7100::99"  # a guest of another hypervisor
MACS = {"web1": "52:54:00:12:34:01", "web2": "52:54:00:12:34:02"}
PORT_MACS = {name: f"fe{mac[2:]}" for name, mac in MACS.items()}
ADDRESSES = {"web1": WEB1, "web2": WEB2}
# -I ignores PYTHONPATH, and the packages of Debian's pyroute2 are those of an image here, not of this machine.
RUN = """
import runpy, sys
directories, program, *arguments = sys.argv[1:]
sys.path += directories.split(":") if directories else []
sys.modules["ansible"] = None
sys.argv = [program, *arguments]
runpy.run_path(program, run_name="__main__")
"""
# Two hosts share this machine's /run.
ALONE = [
    "unshare",
    "--mount",
    "--propagation",
    "slave",
    "--",
    "sh",
    "-c",
    'mount -t tmpfs none /run/routed-hypervisor-agent && exec "$@"',
    "sh",
]
WITH_PROGRAMS = 'mount --bind "$0" /usr/local/sbin && exec "$@"'


def table(vrf: str | None, guests: t.Mapping[str, str | None]) -> dict:
    """The variable `followed_guests` for guests and the names of their ports."""
    addresses = [{"address": f"{GATEWAYS[0]}/32", "scope": "link"}, {"address": f"{GATEWAYS[1]}/64", "nodad": True}]
    sysctls = {
        "ipv4": {"forwarding": 1, "rp_filter": 1, "send_redirects": 0, "accept_redirects": 0},
        "ipv6": {"accept_ra": 0, "accept_redirects": 0, "addr_gen_mode": 1},
    }
    interface = {"addresses": addresses, "sysctls": sysctls, **({"vrf": vrf} if vrf else {})}
    kind = {
        "interface": interface,
        "proxy_arp": {"proxy_arp": True, "proxy_ndp": True, "delay": 0, "ndp_delay": 0},
        "neighbors": [WEB1[1], WEB2[1], ELSEWHERE],
        "gateways": list(GATEWAYS),
        "tables": [TABLE, 254] if vrf else [254],
    }
    return {
        "ports": {"guests": kind},
        "guests": {
            name: {
                "kind": "guests",
                "mac": MACS[name],
                "port": port,
                "port_mac": PORT_MACS[name],
                "addresses": list(ADDRESSES[name]),
            }
            for name, port in guests.items()
        },
    }


class FollowingHost:
    def __init__(self, space: Namespace, interpreter, scratch: Path, vrf: str | None):
        self.space, self.vrf = space, vrf
        self.python, self.library = interpreter
        self.table = TABLE if vrf else 254
        self.states = scratch / f"states-{space.name}"
        self.log = scratch / f"log-{space.name}"
        self.program = scratch / "routed-hypervisor"
        self.programs = scratch / "programs"  # those that the agent finds, and this machine may not have
        self.programs.mkdir(exist_ok=True)
        if not self.program.exists():
            self.program.write_bytes(zipapp.build().encode())
        self.process: subprocess.Popen | None = None
        space.ip("link set lo up")
        if vrf and not [link for link in space.show("link show") if link["ifname"] == vrf]:
            space.ip(f"link add {vrf} type vrf table {TABLE}")
            space.ip(f"link set {vrf} up")
        space.sysctl("ipv6/conf/all/forwarding", 1)

    def store(self, guests: t.Mapping[str, str | None]) -> None:
        self.store_table(table(self.vrf, guests))

    def store_table(self, given: dict, routing_manager: dict | None = None, proxy_ndp: dict | None = None) -> None:
        more = routing_manager or {}, proxy_ndp or {}
        stored = states.Stored("hv1", states.this_machine(), {}, [], given, *more)
        states.write(str(self.states), stored)

    def command(self, *arguments: str) -> list[str]:
        libraries = ":".join(map(str, self.library or ()))
        return [self.python, "-I", "-c", RUN, libraries, str(self.program), "--directory", str(self.states), *arguments]

    def start(self) -> None:
        os.makedirs("/run/routed-hypervisor-agent", exist_ok=True)
        with self.log.open("a") as log:
            found = ["sh", "-c", WITH_PROGRAMS, self.programs]
            self.process = self.space.start(*ALONE, *found, *self.command("run"), stderr=log)
        until(lambda: "following" in self.said() or self.process.poll() is not None, 60, "the agent follows guests")
        assert self.process.poll() is None, self.said()
        until(self.report, 60, "the agent reports whom it follows")

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)  # a test may have stopped it
            self.process.wait()
            self.process = None
            self.log.write_text("")

    def said(self) -> str:
        return self.log.read_text()

    def report(self) -> dict:
        path = Path(f"/proc/{self.process.pid}/root/run/routed-hypervisor-agent/guests.json")
        return json.loads(path.read_text()) if path.exists() else {}

    def listens_to(self, name: str) -> bool:
        """Whether a guest is not here, and the agent waits for what it sends on its port, which is configured."""
        return self.report().get("guests", {}).get(name, {}).get("here") is False

    def routes(self, address: str, where: int | None = None) -> list[dict]:
        family = "-6" if ":" in address else "-4"
        return self.space.show(f"{family} route show table {where or self.table} {address}")

    def numbers(self, address: str) -> list[int]:
        """Sequence numbers of the agent's routes to an address."""
        return [route["metric"] - BASE for route in self.routes(address) if route.get("protocol") == "85"]

    def port_of(self, address: str) -> str | None:
        found = [route for route in self.routes(address) if route.get("protocol") == "85"]
        return found[0]["dev"] if len(found) == 1 else None

    def announced_elsewhere(self, number: int | None, *addresses: str) -> None:
        """What the routing daemon does when it learns, or no longer knows, another place of a guest."""
        for address in addresses:
            family = "-6" if ":" in address else "-4"
            if number is None:
                self.space.ip(f"{family} route flush table {self.table} proto bird {address}")
            else:
                self.space.ip(f"{family} route add {address} dev uplink table {self.table} proto bird metric {number}")


class GuestMachine:
    """A namespace behind a port. It sends nothing until `runs` is called."""

    def __init__(self, host: FollowingHost, name: str, port: str, mac: str = ""):
        self.name, self.host, self.port = name, host, port
        self.space = Namespace.made()
        self.space.sysctl("ipv6/conf/all/disable_ipv6", 1)
        self.space.sysctl("ipv6/conf/default/disable_ipv6", 1)
        host.space.ip(f"link add {port} type veth peer name eth0 netns {self.space.name}")
        self.mac = mac or MACS[name]
        self.space.ip(f"link set eth0 address {self.mac} arp off up")

    def runs(self, addresses: t.Sequence[str] = ()) -> None:
        ipv4, ipv6 = addresses or ADDRESSES[self.name]
        self.space.ip("link set eth0 arp on")
        self.space.ip(f"address add {ipv4}/24 dev eth0")
        self.space.ip(f"route add default via {GATEWAYS[0]}")
        self.space.sysctl("ipv6/conf/eth0/disable_ipv6", 0)
        self.space.ip(f"-6 address add {ipv6}/64 dev eth0 nodad")
        self.space.ip(f"-6 route add default via {GATEWAYS[1]} dev eth0")

    def stops(self) -> None:
        """Nothing from its MAC is sent any more, and its port lingers."""
        self.space.ip("link set eth0 address 52:54:00:00:00:99")

    def sends(self, frame: bytes) -> None:
        with self.space.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind(("eth0", 0))
            sender.send(frame)

    def reaches(self, address: str, seconds: float = 20) -> bool:
        with self.space.inside():
            return until(lambda: probes.echo([{"to": address}], 0.5)[0].received, seconds, f"{address} replies")

    def remove(self) -> None:
        self.space.remove()


def raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def rarp(mac: str, sender: str = "") -> bytes:
    """What QEMU sends for a guest that has just been resumed."""
    own = raw(sender or mac)
    return (
        b"\xff" * 6 + raw(mac) + struct.pack("!HHHBBH6s4s6s4s", 0x8035, 1, 0x800, 6, 4, 3, own, bytes(4), own, bytes(4))
    )


def arp(mac: str, address: str, sender: str = "") -> bytes:
    """An announcement of an address (RFC 5227)."""
    own, packed = raw(sender or mac), socket.inet_aton(address)
    return (
        b"\xff" * 6 + raw(mac) + struct.pack("!HHHBBH6s4s6s4s", 0x806, 1, 0x800, 6, 4, 1, own, packed, bytes(6), packed)
    )


def udp(mac: str, address: str) -> bytes:
    """A packet from an address."""
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, socket.inet_aton(address), socket.inet_aton("192.0.2.1")
    )
    return raw(PORT_MACS["web1"]) + raw(mac) + b"\x08\x00" + header + struct.pack("!HHHH", 9, 9, 8, 0)
