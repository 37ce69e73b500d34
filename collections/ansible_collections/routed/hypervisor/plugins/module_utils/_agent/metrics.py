# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no exporter of Debian's knows of a host, in Prometheus's text format. Private to this collection.

python3-prometheus-client would write the same lines, but the agent runs without packages other than pyroute2, and all
that the format asks for is to escape values of labels.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
import typing as t
from collections import Counter

from .._daemon.nftables import TABLE
from .._netlink.codec import LINK, ROUTE
from .._netlink.kernel import Kernel
from .._verify import bird
from .._verify.command import run
from .._verify.firewall import dropped

PREFIX = "routed_hypervisor"
FAMILIES = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
PLACES = ("here", "elsewhere", "silent")
UNICAST = 1  # a VRF's unreachable default route and its local addresses are no ways anywhere

Labels = dict[str, str]
Samples = t.Iterable[tuple[Labels, float]]
Found = dict[str, t.Any]


class Text:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, about: str, samples: Samples, kind: str = "gauge") -> None:
        lines = [f"{PREFIX}_{name}{_labels(labels)} {value:.15g}" for labels, value in samples]
        if lines:
            self.lines += [f"# HELP {PREFIX}_{name} {about}", f"# TYPE {PREFIX}_{name} {kind}", *lines]

    def value(self, name: str, about: str, value: float) -> None:
        self.add(name, about, [({}, value)])


def _labels(labels: Labels) -> str:
    listed = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{listed}}}" if listed else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def text(found: Found | None, arming: Found | None, network: Found) -> str:
    """FOUND is what `status` finds; without a usable state there is only ARMING. NETWORK is the stored one."""
    made = Text()
    made.value("written_seconds", "When these metrics were written, in seconds since 1970.", time.time())
    made.value("state_usable", "Whether the stored state can be applied.", found is not None)
    _arming(made, found or arming or {})
    if found is not None:
        _status(made, found)
        _vrfs(made, network)
        _bfd(made)
        _firewall(made)
    return "\n".join(made.lines) + "\n"


def _arming(made: Text, found: Found) -> None:
    armed = found["armed"]
    made.value("armed", "Whether a change undoes itself unless it is confirmed.", armed is not None)
    made.value("armed_left_seconds", "Time left to confirm it.", armed["left_s"] if armed else 0)
    made.value("rolled_back", "Whether the last change was rolled back.", found["rolled_back"] is not None)


def _status(made: Text, found: Found) -> None:
    made.value("out_of_step", "How many things differ from the stored state.", len(found["differences"]))
    made.value("problems", "What could not be read or done.", len(found["problems"]))
    made.value("absent_ports", "Ports of the host's own guests that are absent.", len(found["absent"]))
    up = [({"unit": name}, float(state == "active")) for name, state in found["daemons"].items()]
    made.add("daemon_up", "Whether a daemon that uses the network is active.", up)
    places = Counter(guest["place"] for guest in found["guests"].values())
    guests = [({"place": place}, float(places[place])) for place in PLACES] if found["guests"] else []
    made.add("guests", "Guests that may run on any hypervisor, by where they are.", guests)
    made.value("strange_ports", "Ports of no guest.", len(found["strangers"]))
    runtimes = Counter(one["runtime"] for one in found["containers"])
    made.add(
        "container_addresses",
        "Addresses of containers, by runtime.",
        [({"runtime": name}, float(count)) for name, count in runtimes.items()],
    )
    instances = [({"gobgp": one["instance"]}, one) for one in found["routing"]]
    for name, about, key in (
        ("gobgp_learned_prefixes", "Prefixes that a GoBGP has learned.", "learned"),
        ("gobgp_announced_prefixes", "Prefixes that it announces.", "announced"),
        ("gobgp_neighbors_away", "Its neighbors without a session.", "neighbors_away"),
    ):
        made.add(name, about, [(labels, _count(one[key])) for labels, one in instances])


def _count(value: t.Any) -> float:
    return float(value if isinstance(value, int) else len(value))


def _vrfs(made: Text, network: Found) -> None:
    tables = {vrf["table"]: vrf["name"] for vrf in network.get("vrfs") or ()}
    if not tables:
        return
    routes: Counter[tuple[str, str]] = Counter()
    with contextlib.closing(Kernel()) as kernel:
        up = {link.name for link in kernel.network.dump(LINK) if link.up}
        for family, name in FAMILIES.items():
            for route in kernel.network.dump(ROUTE, {"family": family}):
                if route.table in tables and route.type == UNICAST:
                    routes[tables[route.table], name] += 1
    made.add("vrf_up", "Whether a VRF exists and is up.", [({"vrf": vrf}, float(vrf in up)) for vrf in tables.values()])
    made.add(
        "vrf_routes",
        "Unicast routes in the kernel's table of a VRF.",
        [
            ({"vrf": vrf, "family": name}, float(routes[vrf, name]))
            for vrf in tables.values()
            for name in FAMILIES.values()
        ],
    )


def _bfd(made: Text) -> None:
    """GoBGP has no BFD, and FRR runs on no host with the agent's metrics."""
    sessions = bird.bfd_sessions()
    if "error" in sessions:
        return
    made.add(
        "bfd_up",
        "Whether a BFD session is up.",
        [
            ({"neighbor": neighbor, "interface": interface}, float(state == "Up"))
            for (neighbor, interface), state in sorted(sessions.items())
        ],
    )


def _firewall(made: Text) -> None:
    code, output, _errors = run(["nft", "--json", "list", "counters", "table", "inet", TABLE])
    if code:
        return
    made.add(
        "dropped_packets_total",
        "Packets that the firewall has dropped, by reason, since its table was loaded.",
        [({"reason": name}, float(packets)) for name, packets in dropped(json.loads(output)["nftables"]).items()],
        "counter",
    )
