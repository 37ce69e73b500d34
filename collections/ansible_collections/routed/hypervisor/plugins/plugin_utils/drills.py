# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill breaks in a lab, how it is restored, and whose packets show the effect. Private to this collection."""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, field

from .intent import names

Nodes = t.Mapping[str, t.Mapping[str, t.Any]]  # variables by node
Step = dict[str, t.Any]  # node, command, and for how long to wait afterwards: wait_s
MOST_PAIRS = 4  # in each family
DOWN_S = 3  # for which a daemon that was killed does not run


class DrillMistake(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Wanted:
    """What the user asked for; None is the first that the drill can be done with."""

    drill: str
    node: str | None = None
    fabric: str | None = None


@dataclass
class Plan:
    title: str
    steps: list[Step]
    restore: list[Step]
    pairs: list[dict[str, t.Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Lab:
    """The parts of an inventory that drills need."""

    nodes: Nodes
    groups: t.Mapping[str, t.Sequence[str]]
    cables: t.Sequence[t.Mapping[str, t.Any]]


@dataclass(frozen=True)
class Port:
    """A cable between a router and the switch of a fabric."""

    node: str
    interface: str
    switch: str

    @property
    def fabric(self) -> str:
        return self.switch.removeprefix(names.switch(""))


def plan(wanted: Wanted, lab: Lab) -> Plan:
    """Raises DrillMistake."""
    if wanted.drill not in DRILLS:
        close = difflib.get_close_matches(wanted.drill, DRILLS, 1)
        right = f"did you mean {close[0]}?" if close else f"there are {', '.join(DRILLS)}"
        raise DrillMistake(f"no drill is called {wanted.drill}: {right}")
    made, node = DRILLS[wanted.drill](wanted, lab)
    made.pairs = _sampled(lab, node)
    if not made.pairs:
        raise DrillMistake("no guests or containers on different hypervisors reach each other, so nothing is measured")
    return made


def _command(node: str, *command: str, wait_s: float = 0.0) -> Step:
    return {"node": node, "command": list(command), "wait_s": wait_s}


def _link(node: str, interface: str, state: str, wait_s: float = 0.0) -> Step:
    return _command(node, "ip", "link", "set", interface, state, wait_s=wait_s)


def _chosen(kind: str, given: str | None, known: t.Sequence[str]) -> str:
    if not known:
        raise DrillMistake(f"this lab has no {kind} that the drill could be done with")
    if given is None:
        return known[0]
    if given not in known:
        close = difflib.get_close_matches(given, known, 1)
        right = f"did you mean {close[0]}?" if close else f"there are {', '.join(known[:20])}"
        raise DrillMistake(f"the drill cannot be done with the {kind} {given}: {right}")
    return given


def _ports(lab: Lab) -> list[Port]:
    switches = set(lab.groups["switches"])
    return [
        Port(cable["a"]["node"], cable["a"]["interface"], cable["b"]["node"])
        for cable in lab.cables
        if cable["b"]["node"] in switches
    ]


def _port(wanted: Wanted, lab: Lab) -> Port:
    """The uplink that was asked for; by default, the first one of the first hypervisor."""
    ports = _ports(lab)
    routers = dict.fromkeys([*lab.groups["hypervisors"], *(port.node for port in ports)])
    connected = {port.node for port in ports}
    node = _chosen("node", wanted.node, [name for name in routers if name in connected])
    here = [port for port in ports if port.node == node]
    fabric = _chosen("fabric", wanted.fabric, [port.fabric for port in here])
    return next(port for port in here if port.fabric == fabric)


def _cut_uplink(wanted: Wanted, lab: Lab) -> tuple[Plan, str]:
    """At the switch, as when a cable is pulled: both ends lose their carrier."""
    port = _port(wanted, lab)
    title = f"the uplink of {port.node} to fabric {port.fabric} is cut"
    made = Plan(title, [_link(port.switch, port.node, "down")], [_link(port.switch, port.node, "up")])
    return made, port.node


def _silence_uplink(wanted: Wanted, lab: Lab) -> tuple[Plan, str]:
    """No end loses its carrier: only BFD and BGP's hold timers notice."""
    port = _port(wanted, lab)
    ends = ((port.node, port.interface), (port.switch, port.node))
    lose = [_command(node, "tc", "qdisc", "add", "dev", link, "root", "netem", "loss", "100%") for node, link in ends]
    keep = [_command(node, "tc", "qdisc", "del", "dev", link, "root") for node, link in ends]
    return Plan(f"the uplink of {port.node} to fabric {port.fabric} loses every packet", lose, keep), port.node


def _flap_uplink(wanted: Wanted, lab: Lab) -> tuple[Plan, str]:
    port = _port(wanted, lab)
    flap = [_link(port.switch, port.node, state, wait_s=0.5) for state in ("down", "up") * 5]
    title = f"the uplink of {port.node} to fabric {port.fabric} is cut and plugged five times"
    return Plan(title, flap, []), port.node


def _lose_fabric(wanted: Wanted, lab: Lab) -> tuple[Plan, str]:
    """All ports of its switch go down."""
    ports = _ports(lab)
    fabric = _chosen("fabric", wanted.fabric, list(dict.fromkeys(port.fabric for port in ports)))
    here = [port for port in ports if port.fabric == fabric]
    switch = here[0].switch

    def turn(state: str) -> Step:
        script = " && ".join(f"ip link set {port.node} {state}" for port in here)
        return _command(switch, "sh", "-c", script)

    return Plan(f"fabric {fabric} is lost", [turn("down")], [turn("up")]), _first_hypervisor(lab)


@dataclass(frozen=True)
class Daemon:
    process: str
    services: t.Sequence[str]
    reload: tuple[str, ...]


def _daemon(lab: Lab, node: str) -> Daemon:
    if node in lab.groups["bird_routers"]:
        return Daemon("bird", ["bird"], ("birdc", "configure"))
    if node in lab.groups["frr_routers"]:
        return Daemon("bgpd", ["frr"], ("/usr/lib/frr/frr-reload.py", "--reload", "/etc/frr/frr.conf"))
    instances = [f"gobgpd-{instance['name']}" for instance in lab.nodes[node]["bgp"]["instances"]]
    return Daemon("gobgpd", instances, ("sh", "-c", "kill -HUP $(pidof gobgpd)"))


def _services(node: str, daemon: Daemon, verb: str) -> list[Step]:
    return [_command(node, "service", service, verb) for service in daemon.services]


def _kill_daemon(wanted: Wanted, lab: Lab) -> tuple[Plan, str]:
    node = _chosen("node", wanted.node, _routers(lab))
    daemon = _daemon(lab, node)
    kill = _command(node, "sh", "-c", f"kill -KILL $(pidof {daemon.process})", wait_s=DOWN_S)
    # FRR starts its daemons again itself, as systemd does with others. Nothing does where a lab's node has no systemd.
    start = [] if daemon.process == "bgpd" else _services(node, daemon, "start")
    return Plan(f"{daemon.process} of {node} is killed, and runs again within {DOWN_S} s", [kill, *start], []), node


def _stop_reflector(wanted: Wanted, lab: Lab) -> tuple[Plan, str]:
    node = _chosen("reflector", wanted.node, lab.groups["reflectors"])
    daemon = _daemon(lab, node)
    made = Plan(f"reflector {node} is stopped", _services(node, daemon, "stop"), _services(node, daemon, "start"))
    return made, _first_hypervisor(lab)


def _reload(wanted: Wanted, lab: Lab) -> tuple[Plan, str]:
    node = _chosen("node", wanted.node, _routers(lab))
    daemon = _daemon(lab, node)
    return Plan(f"{daemon.process} of {node} reads its configuration again", [_command(node, *daemon.reload)], []), node


def _routers(lab: Lab) -> list[str]:
    return [name for group in ("hypervisors", "reflectors", "leaves", "borders") for name in lab.groups[group]]


def _first_hypervisor(lab: Lab) -> str:
    return lab.groups["hypervisors"][0]


DRILLS: dict[str, t.Callable[[Wanted, Lab], tuple[Plan, str]]] = {
    "cut_uplink": _cut_uplink,
    "silence_uplink": _silence_uplink,
    "flap_uplink": _flap_uplink,
    "lose_fabric": _lose_fabric,
    "kill_daemon": _kill_daemon,
    "stop_reflector": _stop_reflector,
    "reload": _reload,
}


def _sampled(lab: Lab, node: str) -> list[dict[str, t.Any]]:
    """Pairs that cross the fabrics, first those with an end on NODE, each pair once and in each family."""
    place = _places(lab)
    found: dict[str, dict[tuple[str, ...], dict[str, t.Any]]] = {"ipv4": {}, "ipv6": {}}
    is_affected: dict[tuple[str, ...], bool] = {}
    for host, one in _pings(lab):
        sender = one.get("namespace") or host
        ends = {place.get(sender, sender), place.get(one["to_name"], one["to_name"])}
        pair = tuple(sorted((sender, one["to_name"])))
        if len(ends) == 2 and pair not in found[one["family"]]:
            found[one["family"]][pair] = {
                "from": sender,
                "node": host,
                "namespace": one.get("namespace"),
                "to": one["to"],
                "to_name": one["to_name"],
                "family": one["family"],
            }
            is_affected[pair] = node in ends
    made = []
    for pairs in found.values():
        made += [pairs[pair] for pair in sorted(pairs, key=lambda pair: not is_affected[pair])[:MOST_PAIRS]]
    return made


def _pings(lab: Lab) -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    """Of guests and containers; a hypervisor's own packets take other ways."""
    for host, variables in lab.nodes.items():
        for one in variables.get("verify", ()):
            is_wanted = one["kind"] == "ping" and one["expect"] == "reply" and not one["source"]
            if is_wanted and ("guest" in variables or one.get("namespace")):
                yield host, one


def _places(lab: Lab) -> dict[str, str]:
    """The hypervisor of each guest and container."""
    found = {name: node["guest"]["hypervisor"] for name, node in lab.nodes.items() if "guest" in node}
    found |= {one["namespace"]: host for host, one in _pings(lab) if one.get("namespace")}
    return found


def bfd_ms(nodes: Nodes) -> int | None:
    """How long BFD takes to find a dead path; the same on all routers of a fabric."""
    for variables in nodes.values():
        if bfd := (variables.get("bgp") or {}).get("bfd"):
            return int(bfd["interval_ms"] * bfd["multiplier"])
    return None
