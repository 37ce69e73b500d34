"""Guests in the nodes of a lab that belong to no hypervisor: network namespaces behind ports that a test makes."""

from __future__ import annotations

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Guest:
    name: str
    ipv4: str
    mac: str
    shared: str = ""  # an IPv4 address that other guests have, too

    @property
    def entry(self) -> dict:
        """As it is in the intent."""
        more = {"addresses": [self.shared]} if self.shared else {}
        return {"ipv4": self.ipv4, "mac": self.mac, "port": f"tap-{self.name}", **more}

    def start(self, lab, host: str, gateway: str = "203.0.113.254") -> None:
        """What QEMU does: a port, and behind it a guest that sends."""
        shared = f"ip -netns {self.name} address add {self.shared}/32 dev eth0" if self.shared else ":"
        script = f"""set -e
          ip netns add {self.name}
          ip link add tap-{self.name} type veth peer name eth0 netns {self.name}
          ip netns exec {self.name} ip link set eth0 address {self.mac} up
          ip link set tap-{self.name} up
          ip -netns {self.name} address add {self.ipv4}/24 dev eth0
          {shared}
          ip -netns {self.name} route add default via {gateway}"""
        lab.run(host, "sh", "-c", script)

    def falls_silent(self, lab, host: str) -> None:
        """Nothing from its MAC is sent any more, and its port lingers."""
        lab.run(host, "ip", "-netns", self.name, "link", "set", "eth0", "address", "52:54:00:00:00:99")

    def stop(self, lab, host: str) -> None:
        lab.run(host, "ip", "netns", "delete", self.name)

    def numbers(self, lab, host: str) -> list[int]:
        """The sequence numbers of the agent's routes to it."""
        found = lab.json(host, "-4", "route", "show", self.ipv4, "proto", "85")
        return [route["metric"] - 1_000_000 for route in found]


def replies(lab, node: str, address: str, seconds: float = 0.5) -> bool:
    return lab.tried(node, "ping", "-c", "1", "-W", str(seconds), address)[0] == 0


def places(lab, host: str) -> dict[str, str]:
    """Where a hypervisor's agent sees guests."""
    found = json.loads(lab.tried(host, "routed-hypervisor", "status", "--json")[1] or "{}")
    return {name: entry["place"] for name, entry in found.get("guests", {}).items()}
