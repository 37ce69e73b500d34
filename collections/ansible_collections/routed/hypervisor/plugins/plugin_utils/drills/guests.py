# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills with guests that move. A guest of the intent that runs nowhere is started for the drill, as QEMU would."""

from __future__ import annotations

import typing as t
from ipaddress import ip_address

from .model import DrillMistake, Lab, Pair, Plan, Step, Wanted, chosen, command, pair, script

UNIT = "routed-hypervisor-run"
SILENCE = "qdisc {} dev eth0 root netem loss 100%"
DOWN_S = 3  # systemd starts it again after 1 s, and takes a moment
AGAIN = f"timeout 60 sh -c 'until systemctl is-active --quiet {UNIT}; do sleep 0.1; done'"
NEEDS = "a hypervisor with systemd (lab.nodes.NAME.init), and a guest under guests"


class Guest:
    """In a namespace of a hypervisor, behind a port as QEMU makes it."""

    def __init__(self, name: str, variables: t.Mapping[str, t.Any]) -> None:
        given = variables["followed_guests"]["guests"][name]
        self.name = name
        self.segment = given["kind"].partition(" ")[0]
        self.addresses = [ip_address(text) for text in given["addresses"]]
        self._namespace = f"drill-{name}"
        self._mac, self._port_mac = given["mac"], given["port_mac"]
        self._port = given["port"] or self._namespace[:15]
        self._gateways = [ip_address(text) for text in variables["followed_guests"]["ports"][given["kind"]]["gateways"]]

    def create(self, host: str) -> Step:
        """The port and the guest behind it, which sends nothing yet, like one that QEMU is about to receive."""
        inside = f"ip -netns {self._namespace}"
        addresses = [f"{inside} address add {one} dev eth0{' nodad' * (one.version == 6)}" for one in self.addresses]
        # A guest's own address has no prefix that its gateway would be in.
        gateways = [
            f"{inside} -{gateway.version} route add {to} dev eth0"
            for gateway in self._gateways
            for to in (str(gateway), f"default via {gateway}")
        ]
        return script(
            host,
            f"ip netns add {self._namespace}",
            f"ip link add {self._port} type veth peer name eth0 netns {self._namespace}",
            f"ip link set {self._port} address {self._port_mac} up",
            f"{inside} link set eth0 address {self._mac}",
            f"tc -netns {self._namespace} {SILENCE.format('add')}",
            f"{inside} link set eth0 up",
            *addresses,
            *gateways,
        )

    def resume(self, host: str) -> Step:
        """It sends, and begins by asking for its gateway, where QEMU would send an announcement."""
        return script(
            host,
            f"tc -netns {self._namespace} {SILENCE.format('del')}",
            f"ip netns exec {self._namespace} ping -c 1 -W 0.1 {self._gateways[0]} >/dev/null || true",
        )

    def pause(self, host: str) -> Step:
        """It sends nothing any more. Its port keeps its carrier, as that of QEMU does."""
        return script(host, f"tc -netns {self._namespace} {SILENCE.format('add')}")

    def remove(self, host: str) -> Step:
        return script(host, f"ip netns delete {self._namespace} 2>/dev/null || true")


def kill_agent(wanted: Wanted, lab: Lab) -> Plan:
    """The kernel keeps what the agent has made."""
    node = chosen("node", wanted.node, _followers(lab), NEEDS)
    guest = _guest(lab, node)
    steps = [
        command(node, "systemctl", "kill", "--signal=KILL", UNIT, wait_s=DOWN_S),
        script(node, AGAIN),
    ]
    return Plan(
        f"the agent of {node} is killed, and systemd starts it again",
        node,
        steps,
        prepare=[guest.remove(node), guest.create(node), guest.resume(node)],
        cleanup=[guest.remove(node)],
        pairs=_pairs(lab, guest),
    )


def migrate(wanted: Wanted, lab: Lab) -> Plan:
    """As by live migration: it is paused here, resumed there, and then its old port goes."""
    followers = _followers(lab)
    node = chosen("node", wanted.node, followers if len(followers) > 1 else [], f"two times {NEEDS}")
    there = next(one for one in followers if one != node)
    guest = _guest(lab, node)
    remove = [guest.remove(node), guest.remove(there)]
    return Plan(
        f"guest {guest.name} moves from {node} to {there}",
        node,
        [guest.pause(node), guest.resume(there), guest.remove(node)],
        prepare=[*remove, guest.create(node), guest.resume(node), guest.create(there)],
        cleanup=remove,
        pairs=_pairs(lab, guest),
    )


def _followers(lab: Lab) -> list[str]:
    nodes = [node for node in lab.groups["hypervisors"] if node in lab.systemd]
    return [node for node in nodes if lab.nodes[node].get("followed_guests")]


def _guest(lab: Lab, node: str) -> Guest:
    """The first one that guests of the lab can send to."""
    guests = (Guest(name, lab.nodes[node]) for name in lab.nodes[node]["followed_guests"]["guests"])
    if guest := next((guest for guest in guests if _pairs(lab, guest)), None):
        return guest
    raise DrillMistake("no guest of this lab is in the segment of a guest under guests, so nothing is measured")


def _pairs(lab: Lab, guest: Guest) -> list[Pair]:
    senders = [name for name in lab.groups["guests"] if lab.nodes[name]["guest"]["segment"] == guest.segment]
    return [
        pair(sender, None, str(address), guest.name, f"ipv{address.version}")
        for sender in senders
        for address in guest.addresses
        if lab.nodes[sender]["guest"].get(f"ipv{address.version}")
    ]
