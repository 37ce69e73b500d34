# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills with the cables between routers and fabrics."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ...module_utils._lab.cable import HANDLE
from ..intent import names
from .model import Lab, Plan, Step, Wanted, chosen, command, script

IMPAIRED_S = 10
DELAY_MS, LOSS = 20, 1  # of what each end sends; in percent


@dataclass(frozen=True)
class Port:
    """A cable between a router and the switch of a fabric."""

    node: str
    interface: str
    switch: str
    impair: t.Mapping[str, int] = field(default_factory=dict)  # as the intent has it

    @property
    def fabric(self) -> str:
        return self.switch.removeprefix(names.switch(""))

    @property
    def title(self) -> str:
        return f"the uplink of {self.node} to fabric {self.fabric}"

    @property
    def ends(self) -> tuple[tuple[str, str], tuple[str, str]]:
        return (self.node, self.interface), (self.switch, self.node)


def _ports(lab: Lab) -> list[Port]:
    switches = set(lab.groups["switches"])
    return [
        Port(cable["a"]["node"], cable["a"]["interface"], cable["b"]["node"], cable.get("impair", {}))
        for cable in lab.cables
        if cable["b"]["node"] in switches
    ]


def _port(wanted: Wanted, lab: Lab) -> Port:
    """The uplink that was asked for; by default, the first one of the first hypervisor."""
    ports = _ports(lab)
    routers = dict.fromkeys([*lab.groups["hypervisors"], *(port.node for port in ports)])
    connected = {port.node for port in ports}
    node = chosen("node", wanted.node, [name for name in routers if name in connected])
    here = [port for port in ports if port.node == node]
    fabric = chosen("fabric", wanted.fabric, [port.fabric for port in here])
    return next(port for port in here if port.fabric == fabric)


def _link(node: str, interface: str, state: str, wait_s: float = 0.0) -> Step:
    return command(node, "ip", "link", "set", interface, state, wait_s=wait_s)


def _netem(port: Port, *effects: str, handle: tuple[str, ...] = ()) -> list[Step]:
    return [
        command(node, "tc", "qdisc", "replace", "dev", interface, "root", *handle, "netem", *effects)
        for node, interface in port.ends
    ]


def _as_intended(port: Port) -> list[Step]:
    if not port.impair:
        return [command(node, "tc", "qdisc", "del", "dev", interface, "root") for node, interface in port.ends]
    delay, loss = (port.impair.get(key, 0) for key in ("delay_ms", "loss_percent"))
    return _netem(port, "delay", f"{delay}ms", "loss", f"{loss}%", handle=("handle", f"{HANDLE >> 16:x}:"))


def cut_uplink(wanted: Wanted, lab: Lab) -> Plan:
    """At the switch, as when a cable is pulled: both ends lose their carrier."""
    port = _port(wanted, lab)
    cut, plug = ([_link(port.switch, port.node, state)] for state in ("down", "up"))
    return Plan(f"{port.title} is cut", port.node, cut, plug)


def silence_uplink(wanted: Wanted, lab: Lab) -> Plan:
    """No end loses its carrier: only BFD and BGP's hold timers notice."""
    port = _port(wanted, lab)
    return Plan(f"{port.title} loses every packet", port.node, _netem(port, "loss", "100%"), _as_intended(port))


def flap_uplink(wanted: Wanted, lab: Lab) -> Plan:
    port = _port(wanted, lab)
    flap = [_link(port.switch, port.node, state, wait_s=0.5) for state in ("down", "up") * 5]
    return Plan(f"{port.title} is cut and plugged five times", port.node, flap)


def impair(wanted: Wanted, lab: Lab) -> Plan:
    """For some time only, because packets are lost all the time."""
    port = _port(wanted, lab)
    steps = _netem(port, "delay", f"{DELAY_MS}ms", "loss", f"{LOSS}%")
    steps[-1]["wait_s"] = IMPAIRED_S
    title = f"{port.title} delays packets by {DELAY_MS} ms and loses {LOSS} % each way, for {IMPAIRED_S} s"
    return Plan(title, port.node, steps, _as_intended(port), is_calm=False)


def lose_fabric(wanted: Wanted, lab: Lab) -> Plan:
    """All ports of its switch go down."""
    ports = _ports(lab)
    fabric = chosen("fabric", wanted.fabric, list(dict.fromkeys(port.fabric for port in ports)))
    here = [port for port in ports if port.fabric == fabric]

    def turn(state: str) -> list[Step]:
        return [script(here[0].switch, *(f"ip link set {port.node} {state}" for port in here))]

    return Plan(f"fabric {fabric} is lost", lab.first_hypervisor, turn("down"), turn("up"))
