# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxy ARP and proxy NDP of existing ports. Private to this collection."""

from __future__ import annotations

import dataclasses
import typing as t

from .._engine import options
from .._engine.apply import Phase, Step
from .._engine.change import Change, Item
from .._engine.kind import Have, Kind
from .._engine.planned import Planned
from .._engine.snapshot import NTF_PROXY, VERSIONS, Link, Snapshot
from .._netlink.codec import NEIGHBOR, PROXY_ARP, PROXY_NDP, address_text, setting
from .._netlink.kernel import FAMILIES, Kernel, read_sysctl, write_sysctl
from .._netlink.sockets import CREATE, REPLACE
from .interface.steps import OF_SYSCTLS

SYSCTLS = {
    "proxy_arp": "ipv4/conf/{}/proxy_arp",
    "proxy_ndp": "ipv6/conf/{}/proxy_ndp",
    "delay": "ipv4/neigh/{}/proxy_delay",  # in 1/100 s (USER_HZ) in user space, whatever the kernel's HZ
    "ndp_delay": "ipv6/neigh/{}/proxy_delay",
}
DELAYS = ("delay", "ndp_delay")
DELAY = 80  # the kernel's default


class ProxyArp(Kind[str]):
    name = "proxy_arp"
    noun = "port"
    lists = ("entries",)
    spec: t.ClassVar[dict[str, t.Any]] = {
        "interface": {"type": "str", "required": True},
        "proxy_arp": {"type": "bool"},
        "proxy_ndp": {"type": "bool"},
        "delay": {"type": "int"},
        "ndp_delay": {"type": "int"},
        "entries": {"type": "list", "elements": "str"},
    }

    def parse(self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes, state: str) -> Item[str] | None:
        name = entry.get("interface")
        if name is None or not options.interface_name(name, f"{place}.interface", mistakes):
            return None
        for key in DELAYS:
            options.in_range(entry, key, (0, 2**31 // 100), place, mistakes)
        attributes = {key: entry[key] for key in SYSCTLS if key in entry}
        if "entries" in entry:
            parsed = [
                options.address(text, f"{place}.entries[{number}]", mistakes)
                for number, text in enumerate(entry["entries"])
            ]
            attributes["entries"] = {str(address): True for address in parsed if address is not None}
        return Item(name, name, attributes, creates=False, place=place)

    def release(self, target: dict[str, t.Any], have: Item[str], given: Item[str] | None) -> None:
        if given is not None:
            target.update(have.hints.get("defaults", {}))  # no hints: the port no longer exists

    def gather(self, snapshot: Snapshot, want: list[Item[str]], planned: Planned) -> Have[str]:
        wanted = {item.key for item in want}
        hints = {"defaults": _defaults()} if wanted and planned.state == "deleted" else {}
        found: Have[str] = {}
        for name, link in snapshot.links.items():
            attributes: dict[str, t.Any] = {"entries": {}}
            former = planned.former_of(self.name, link)
            if name in wanted or planned.everything or former:
                attributes.update(_settings(link))
            found[name] = Item(name, name, attributes, marked={"entries": set()}, hints=hints, former=former)
        for entry in snapshot.proxies:
            port = found.get(snapshot.names.get(entry.link, ""))
            if port and entry.family in VERSIONS:
                address = address_text(entry.address)
                port.attributes["entries"][address] = True
                if entry.protocol == snapshot.protocol:
                    port.marked["entries"].add(address)
        return found

    def check(
        self, want: list[Item[str]], have: Have[str], snapshot: Snapshot, planned: Planned, mistakes: options.Mistakes
    ) -> None:
        for item in want:
            if item.key not in planned.links:
                mistakes.at(f"{item.place}.interface", planned.no_link(item.key))
            elif item.attributes.get("entries") and planned.down(item.key):
                mistakes.at(
                    f"{item.place}.entries", f"{item.key} will be down; the kernel drops the entries of such a port"
                )

    def foresee(self, have: Have[str], want: list[Item[str]], planned: Planned) -> Have[str]:
        ports: Have[str] = {}
        for key, item in have.items():
            if key in planned.remade:
                continue
            bare = {**item.attributes, "entries": {}}
            lost = key in planned.disturbed
            ports[key] = dataclasses.replace(item, attributes=bare, marked={}) if lost else item
        for item in want:  # nothing is known of a port that does not exist yet: everything wanted is set
            ports.setdefault(item.key, Item(item.key, item.label, {"entries": {}}, marked={"entries": set()}))
        return ports

    def steps(self, change: Change[str], planned: Planned) -> list[Step]:
        name, protocol = change.item.key, planned.snapshot.protocol
        steps = [_setting(name, key, int(change.after[key])) for key in SYSCTLS if change.after.get(key) is not None]
        added, removed = change.after.get("entries", {}), change.before.get("entries", {})
        steps += [_entry(name, address, protocol, False) for address in removed if address not in added]
        steps += [_entry(name, address, protocol, True) for address in added]
        return steps

    def show(self, item: Item[str]) -> dict[str, t.Any]:
        return {"interface": item.key, **item.attributes, "entries": list(item.attributes.get("entries", {}))}


def _settings(link: Link) -> dict[str, t.Any]:
    # The kernel does not send delays with the link.
    delays = {key: read_sysctl(SYSCTLS[key].format(link.name)) for key in DELAYS}
    return {
        "proxy_arp": setting(link.families, PROXY_ARP) == 1,
        "proxy_ndp": setting(link.families, PROXY_NDP) == 1,
        **{key: int(delay) if delay else None for key, delay in delays.items()},
    }


def _defaults() -> dict[str, t.Any]:
    arp, ndp = (read_sysctl(SYSCTLS[key].format("default")) for key in ("proxy_arp", "proxy_ndp"))
    # only the initial network namespace has default neighbour settings
    delays = {key: read_sysctl(SYSCTLS[key].format("default")) for key in DELAYS}
    return {
        "proxy_arp": arp == "1",
        "proxy_ndp": ndp == "1",
        **{key: int(delay) if delay else DELAY for key, delay in delays.items()},
    }


def _setting(name: str, key: str, value: int) -> Step:
    path = SYSCTLS[key].format(name)
    return Step(
        Phase.PROXIES,
        f"set {key} of {name} to {value}",
        lambda _kernel: write_sysctl(path, str(value)),
        remedies=OF_SYSCTLS,
    )


def _entry(name: str, address: str, protocol: int, present: bool) -> Step:
    version = 6 if ":" in address else 4

    def run(kernel: Kernel) -> None:
        fields = {"family": FAMILIES[version], "ifindex": kernel.index(name), "flags": NTF_PROXY}
        if present:
            kernel.new(NEIGHBOR, fields, [("NDA_DST", address), ("NDA_PROTOCOL", protocol)], flags=CREATE | REPLACE)
        else:
            kernel.delete(NEIGHBOR, fields, [("NDA_DST", address)], missing_ok=True)

    verb = "add" if present else "remove"
    return Step(Phase.PROXIES if present else Phase.REMOVE_PROXIES, f"{verb} proxy entry {address} on {name}", run)
