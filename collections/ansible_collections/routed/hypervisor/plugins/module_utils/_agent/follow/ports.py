# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configures guests' ports, with the engine of the modules. Private to this collection."""

from __future__ import annotations

import socket
import typing as t

from ..._engine.apply import Failed
from ..._engine.plan import Refused
from ..._engine.snapshot import Snapshot
from ..._netlink.codec import address_text
from ..._netlink.kernel import Kernel
from ..._netlink.marks import FOLLOWED
from ..._network import network
from .answering import OwnPort, OwnPorts
from .guests import Guest, Guests

Config = dict[str, list[dict[str, t.Any]]]
# The kernel looks through all proxy entries for each that is added: 10,000 on each of 10 ports took a minute. Above
# this, the agent answers by itself (neighbors.py), until there are no more than half as many.
MOST_ENTRIES = 20_000


def config_of(guests: Guests, ports: t.Mapping[str, Guest], answers_ndp: bool) -> Config:
    """What the modules `interfaces` and `proxy_arp` would be given, for ports by name."""
    made: Config = {"interfaces": [], "proxy_arp": []}
    for name, guest in ports.items():
        kind = guests.kind(guest)
        own = {address_text(address) for address in (*guest.addresses, *guest.anycast)}
        # Not its own: the guest's detection of duplicates would find one.
        entries = [address for address in kind.neighbors if address not in own] if answers_ndp else []
        made["interfaces"].append({"name": name, "mac": guest.port_mac, **kind.interface})
        made["proxy_arp"].append({"interface": name, **kind.proxy_arp, "entries": entries})
    return made


def entries_of(own: OwnPorts, ports: t.Mapping[str, OwnPort], answers_ndp: bool) -> Config:
    """What the module `proxy_arp` would be given for ports of the hypervisor's own guests, by name."""
    entries = {name: own.entries(port) if answers_ndp else [] for name, port in ports.items()}
    return {"proxy_arp": [{"interface": name, "entries": found} for name, found in entries.items()]}


def entries(kernel: Kernel) -> dict[int, dict[str, int]]:
    """The protocol of each proxy entry by its address, by link."""
    found: dict[int, dict[str, int]] = {}
    for entry in Snapshot(kernel).proxies:
        found.setdefault(entry.link, {})[address_text(entry.address)] = entry.protocol
    return found


def with_entries(kernel: Kernel) -> list[str]:
    """The names of links with entries of the agent."""
    names = Snapshot(kernel).names
    links = (index for index, found in entries(kernel).items() if FOLLOWED in found.values())
    return sorted(names[index] for index in links if index in names)


def no_entries(names: t.Collection[str]) -> Config:
    return {"proxy_arp": [{"interface": name} for name in sorted(names)]}


def configure(kernel: Kernel, config: Config) -> tuple[int, list[str]]:
    """The number of changes, and what was refused. Under the host's lock."""
    done, problems = _configure(kernel, config)
    if problems:  # a port that is refused, or gone again, must not keep the others waiting
        alone: dict[str, Config] = {}
        for kind, entries in config.items():
            for entry in entries:
                name = entry.get("name") or entry["interface"]
                alone.setdefault(name, {}).setdefault(kind, []).append(entry)
        results = [(name, _configure(kernel, one)) for name, one in alone.items()]
        there = {name for _index, name in socket.if_nameindex()}
        done += sum(count for _name, (count, _refused) in results)
        problems = [f"{name}: {text}" for name, (_count, refused) in results if name in there for text in refused]
    return done, problems


def _configure(kernel: Kernel, config: Config) -> tuple[int, list[str]]:
    wanted, mistakes = network.parse(config, "replaced")
    return (0, list(mistakes)) if mistakes else _carry_out(kernel, wanted, "replaced")


def drifted(kernel: Kernel, config: Config) -> list[str]:
    """The ports that are not as they were configured, by name; none if `configure` would refuse."""
    wanted, mistakes = network.parse(config, "replaced")
    if mistakes:
        return []
    try:
        changes = network.plan_all(Snapshot(kernel, FOLLOWED), wanted, "replaced").all_changes()
    except (Refused, OSError):
        return []
    return sorted({change.name for change in changes})


def release(kernel: Kernel, names: t.Collection[str]) -> tuple[int, list[str]]:
    """Removes what the agent has configured on ports that are no guest's any more, and takes them out of their VRFs."""
    found = Snapshot(kernel).links
    there = [name for name in names if name in found]
    if not there:  # nothing given would be everything of ours
        return 0, []
    vrfs = {name for name, link in found.items() if link.kind == "vrf"}
    leaving = [{"name": name, "vrf": ""} for name in there if found[name].master in vrfs]
    wanted, _mistakes = network.parse({"interfaces": leaving}, "merged")
    done, problems = _carry_out(kernel, wanted, "merged")
    given: Config = {
        "interfaces": [{"name": name} for name in there],
        "proxy_arp": [{"interface": name} for name in there],
    }
    wanted, _mistakes = network.parse(given, "deleted")
    more, refused = _carry_out(kernel, wanted, "deleted")
    return done + more, problems + refused


def _carry_out(kernel: Kernel, wanted: network.Wanted, state: str) -> tuple[int, list[str]]:
    try:
        outcome = network.plan_all(Snapshot(kernel, FOLLOWED), wanted, state)
        changes = outcome.all_changes()
        if changes:
            network.carry_out(kernel, outcome)
    except Refused as refused:
        return 0, refused.mistakes
    except Failed as failed:
        return len(failed.done), [str(failed)]
    except OSError as error:
        return 0, [f"the kernel refused: {error}"]
    return len(changes), []
