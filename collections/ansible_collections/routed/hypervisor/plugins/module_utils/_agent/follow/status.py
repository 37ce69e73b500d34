# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where guests are, as this host sees it, and whether the service follows them. Private to this collection."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import time
import typing as t

from ..._netlink.codec import address_text
from ..._netlink.kernel import Kernel
from ..._netlink.marks import FOLLOWED
from . import answering, firewall, ports, report
from .decide import decide
from .guests import Guests
from .seen import Seen


@dataclasses.dataclass
class Status:
    guests: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)  # those that are seen anywhere
    differences: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    strangers: list[str] = dataclasses.field(default_factory=list)

    def lines(self) -> list[str]:
        return [
            *(_line(name, entry) for name, entry in self.guests.items()),
            *(f"{stranger} is the port of no guest: it has no VRF and no route" for stranger in self.strangers),
        ]


def status(
    kernel: Kernel,
    given: dict[str, t.Any],
    path: str = report.PATH,
    configured: t.Collection[str] = (),
    proxy_ndp: dict[str, t.Any] | None = None,
) -> Status:
    guests, own = Guests(given, configured), answering.OwnPorts(proxy_ndp or {})
    if not guests.all and not own.all:
        return Status()
    seen = Seen(guests.by_destination)
    seen.read(kernel.network)
    decision = decide(guests, seen, {})
    written = report.load(path) if is_running() else {}
    found = Status(problems=list(written.get("problems", ())), strangers=decision.strangers)
    if not written:
        found.problems += ["guests are not followed: routed-hypervisor-run is not running", *decision.problems]
    if written and not written.get("by_itself"):
        found.differences += _entries(kernel, own, seen)
    if written and decision.bound:
        here = {seen.links[index].name: guest for index, guest in decision.bound.items()}
        config = ports.config_of(guests, here, not written.get("by_itself"))
        found.differences += [f"{name} is not as its guest needs it" for name in ports.drifted(kernel, config)]
    since = {name: entry["since"] for name, entry in written.get("guests", {}).items() if entry["here"]}
    waiting = {guest.name: seen.links[index].name for index, guest in decision.bound.items()}
    for name in sorted(guests.all):
        gateways = _gateways(guests, seen, name)
        if name in decision.held:
            port = seen.links[decision.held[name][0]].name
            found.guests[name] = {"place": "here", "port": port, "since": since.get(name), "via": []}
        elif gateways:
            found.guests[name] = {"place": "elsewhere", "port": waiting.get(name), "since": None, "via": gateways}
        elif name in waiting:
            found.guests[name] = {"place": "silent", "port": waiting[name], "since": None, "via": []}
    have = firewall.present()
    if have is not None:
        want = firewall.wanted(guests, {seen.links[index].name: guest for index, guest in decision.bound.items()})
        sets = firewall.differences(have, want)
        found.differences += [f"the firewall's set {name} is not as the ports are" for name in sets]
    if seen.own != decision.routes:
        wrong = {*seen.own, *decision.routes} - {
            where for where in seen.own if seen.own[where] == decision.routes.get(where)
        }
        found.differences += [
            f"the route to {address_text(address)} in table {table} is not as the ports are"
            for table, address in sorted(wrong)
        ]
    return found


def _entries(kernel: Kernel, own: answering.OwnPorts, seen: Seen) -> list[str]:
    """On ports of the hypervisor's own guests."""
    found, have = [], ports.entries(kernel)
    for index, port in own.here(seen.links).items():
        wanted, there = {*own.entries(port)}, have.get(index, {})
        if not wanted <= there.keys() or any(there[one] == FOLLOWED for one in there.keys() - wanted):
            found.append(
                f"{seen.links[index].name} does not answer neighbor solicitations for the guests of its segment"
            )
    return found


def is_running() -> bool:
    try:
        lock = os.open(report.LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _gateways(guests: Guests, seen: Seen, name: str) -> list[str]:
    """Those of the latest place that others have announced."""
    for where in guests.destinations(guests.all[name]):
        found = seen.others.get(where)
        if found:
            return [address_text(hop.gateway) for hop in found[max(found)] if hop.gateway]
    return []


def _line(name: str, entry: dict[str, t.Any]) -> str:
    if entry["place"] == "here":
        since = time.strftime(", since %Y-%m-%d %H:%M:%S", time.localtime(entry["since"])) if entry["since"] else ""
        return f"{name} is here, on {entry['port']}{since}"
    lingering = f"; its port here, {entry['port']}, is silent" if entry["port"] else ""
    if entry["place"] == "elsewhere":
        return f"{name} is elsewhere, via {' and '.join(entry['via'])}{lingering}"
    return f"{name} has a port here, {entry['port']}, and has sent nothing"
