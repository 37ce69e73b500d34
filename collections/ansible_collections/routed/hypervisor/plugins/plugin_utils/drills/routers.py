# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills with routers and their daemons."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .model import Lab, Plan, Step, Wanted, chosen, command, script

DOWN_S = 3  # for which a daemon that was killed does not run
# watchfrr starts a killed daemon after 5 s the first time, and a minute or more after it the next times.
ALONE, WATCHED = (f"vtysh -c '{no}watchfrr ignore bgpd' >/dev/null" for no in ("", "no "))
AGAIN = f"/usr/lib/frr/watchfrr.sh restart bgpd 2>/dev/null; {WATCHED}"


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
    return [command(node, "service", service, verb) for service in daemon.services]


def kill_daemon(wanted: Wanted, lab: Lab) -> Plan:
    node = chosen("node", wanted.node, lab.routers)
    daemon = _daemon(lab, node)
    is_frr = daemon.process == "bgpd"
    kill = f"kill -KILL $(pidof {daemon.process})"
    killed = script(node, f"{ALONE}; {kill}" if is_frr else kill, wait_s=DOWN_S)
    # Nothing else starts the others again where a lab's node has no systemd.
    start = [script(node, AGAIN)] if is_frr else _services(node, daemon, "start")
    return Plan(f"{daemon.process} of {node} is killed, and runs again within {DOWN_S} s", node, [killed, *start])


def stop_reflector(wanted: Wanted, lab: Lab) -> Plan:
    node = chosen("reflector", wanted.node, lab.groups["reflectors"])
    daemon = _daemon(lab, node)
    stop, start = (_services(node, daemon, verb) for verb in ("stop", "start"))
    return Plan(f"reflector {node} is stopped", lab.first_hypervisor, stop, start)


def reload(wanted: Wanted, lab: Lab) -> Plan:
    node = chosen("node", wanted.node, lab.routers)
    daemon = _daemon(lab, node)
    return Plan(f"{daemon.process} of {node} reads its configuration again", node, [command(node, *daemon.reload)])


def reload_all(_wanted: Wanted, lab: Lab) -> Plan:
    steps = [command(node, *_daemon(lab, node).reload) for node in lab.routers]
    return Plan("the daemons of all routers read their configurations again", lab.first_hypervisor, steps)


def reboot(wanted: Wanted, lab: Lab) -> Plan:
    """What was behind the node is lost until it is back."""
    known = [node for node in lab.routers if node in lab.systemd]
    node = chosen("node", wanted.node, known, "a node with systemd: set lab.nodes.NAME.init, and run make lab")
    return Plan(f"{node} is rebooted", node, [{"node": node, "reboot": True}], is_off=True)
