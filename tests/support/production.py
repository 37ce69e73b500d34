"""Production inventories for tests: that of the documentation, and a fleet behind leaves with NX-OS."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from .modules import PROJECT

DOMAIN = "fra.example.net"
PASSWORD = "production-vault"  # of the vault, which a twin does not need
SECRET = "a-long-one-of-ours"


def documented(directory: Path) -> Path:
    """The inventory of docs/real_hosts.md, in which each block begins with its file's name, with clear passwords."""
    page = (PROJECT / "docs" / "real_hosts.md").read_text()
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", page, re.DOTALL):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def encrypt(directory: Path) -> Path:
    """The inventory, with its passwords in a vault."""
    file = directory / "group_vars/all/vault.yml"
    key = file.with_suffix(".key")
    key.write_text(PASSWORD)
    identity = ("--vault-id", f"production@{key}", "--encrypt-vault-id", "production")
    subprocess.run(["ansible-vault", "encrypt", *identity, file], check=True, capture_output=True, cwd=PROJECT)
    key.unlink()
    return directory


def fleet(hosts: int = 20) -> dict:
    """Hypervisors in two racks. Each is on two fabrics, A and B, with a leaf that runs NX-OS on either."""
    racks = {1: ("rack1a", "rack1b"), 2: ("rack2a", "rack2b")}
    places = [fabric for pair in racks.values() for fabric in pair]
    fabrics = {name: network(f"10.{rack}.{side}", f"{rack}:{side}") for name, rack, side in each(racks)}
    leaves = {}
    for number, (fabric, rack, side) in enumerate(each(racks), 1):
        backbones = {
            name: {"interface": f"Ethernet1/{port}", "addresses": addresses(f"10.80.{at}", f"80:{at}", number)}
            for at, (name, port) in enumerate((("north", 49), ("south", 50)), 1)
        }
        access = {"interface": f"Vlan{10 * rack + side}", "ports": [f"Ethernet1/{port}" for port in range(1, 11)]}
        access["addresses"] = addresses(f"10.{rack}.{side}", f"{rack}:{side}", 254)
        leaves[f"leaf{number}.{DOMAIN}"] = {
            "platform": "nxos",
            "loopback": {"ipv4": f"10.255.0.{number}", "ipv6": f"2001:db8:255::{number}"},
            "fabrics": {fabric: access, **backbones},
        }
    fabrics |= {name: network(f"10.80.{at}", f"80:{at}") for at, name in enumerate(("north", "south"), 1)}
    for name in places:  # leaves are the gateways of their hosts
        one = next(leaf["fabrics"][name] for leaf in leaves.values() if name in leaf["fabrics"])["addresses"]["main"]
        fabrics[name]["networks"]["main"] |= {"gateway4": one["ipv4"], "gateway6": one["ipv6"]}
    hypervisors = {}
    for number in range(1, hosts + 1):
        rack = 1 if number <= hosts // 2 else 2
        uplinks = {fabric: {"interface": f"eno{port}"} for port, fabric in enumerate(racks[rack], 1)}
        near = [name for name, leaf in leaves.items() if set(uplinks) & set(leaf["fabrics"])]
        guest = {"ipv4": f"203.0.113.{number}", "mac": f"52:54:00:12:34:{number:02x}", "port": f"tap-web{number}"}
        hypervisors[f"hv{number}.{DOMAIN}"] = {
            "id": number,
            "as": 65002,
            "fabrics": uplinks,
            "neighbors": {name: {} for name in near},
            "guests": {f"web{number}": guest},
        }
    return {
        "plugin": "routed.hypervisor.fabric",
        "name": "fleet",
        "bgp": {"as": 500, "peering": "configured", "bfd": {"interval_ms": 300, "multiplier": 3}},
        "ospf": {"process": 500},
        "vrfs": {"main": {"password": True}},
        "fabrics": fabrics,
        "leaves": leaves,
        "segments": {
            "guests": {
                "vrf": "main",
                "ipv4": "203.0.113.0/24",
                "gateway4": "203.0.113.254",
                "ipv6": "2001:db8:cb00:7100::/64",
                "dhcp": {},
            }
        },
        "hypervisors": hypervisors,
    }


def each(racks):
    return [(name, rack, side) for rack, pair in racks.items() for side, name in enumerate(pair, 1)]


def network(ipv4: str, ipv6: str) -> dict:
    return {"networks": {"main": {"ipv4": f"{ipv4}.0/24", "ipv6": f"2001:db8:{ipv6}::/64"}}}


def addresses(ipv4: str, ipv6: str, number: int) -> dict:
    return {"main": {"ipv4": f"{ipv4}.{number}", "ipv6": f"2001:db8:{ipv6}::{number:x}"}}


def write(directory: Path, intent: dict) -> Path:
    """The inventory of a fleet, with an encrypted file of passwords."""
    nodes = [*intent["leaves"], *intent["hypervisors"]]
    reached = {name: {"ansible_host": f"192.0.2.{number}"} for number, name in enumerate(nodes, 10)}
    for name, content in {
        "fabric.yml": intent,
        "hosts.yml": {"all": {"vars": {"ansible_user": "admin"}, "hosts": reached}},
        "group_vars/all/vault.yml": {"bgp_passwords": {"main": SECRET}},
    }.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(yaml.safe_dump(content, sort_keys=False))
    return encrypt(directory)
