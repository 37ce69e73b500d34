# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kind `interfaces`; steps.py writes them. Private to this collection."""

from __future__ import annotations

import dataclasses
import socket
import typing as t

from ..._addresses.ipv6 import IPV6_MTU, interface_identifier
from ..._engine import options
from ..._engine.apply import Step
from ..._engine.change import Change, Item, K
from ..._engine.kind import Have, Kind
from ..._engine.planned import Planned
from ..._engine.snapshot import Link, Snapshot
from ..._netlink.codec import Address, address_text
from ..._netlink.kernel import has_address_protocol, read_sysctl
from ..._netlink.marks import PROTOCOL
from ..link_members import (
    MEMBERS,
    displaced,
    enable_ipv6,
    host,
    observe_sysctls,
    parse_addresses,
    parse_sysctls,
    show_members,
)
from . import checks as interface_checks
from . import steps as interface_steps
from .effects import disturb, rejoin_bridges, replace_children
from .ports import observe_wanted_port, parse_guest, prepare_release
from .usable import is_duplicate

TYPES = {"vlan": ("parent", "vlan_id"), "dummy": (), "veth": ("peer",), "bridge": ()}
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
PERMANENT = 0x80  # IFA_F_PERMANENT; without it the address was learned (DHCP, router advertisement) and will expire


class Interfaces(Kind[str]):
    name = "interfaces"
    noun = "interface"
    lists = ("addresses", "sysctls")
    immutable = ("type", "parent", "vlan_id", "peer")
    if_foreign = "leave out its type to configure it as it is, or delete it first"
    spec: t.ClassVar[dict[str, t.Any]] = {
        "name": {"type": "str", "required": True},
        "type": {"type": "str", "choices": sorted(TYPES)},
        "parent": {"type": "str"},
        "vlan_id": {"type": "int"},
        "peer": {"type": "str"},
        "vlan_filtering": {"type": "bool"},
        "stp": {"type": "bool"},
        "vrf": {"type": "str"},
        "bridge": {"type": "str"},
        "state": {"type": "str", "choices": ["up", "down"], "default": "up"},
        "mtu": {"type": "int"},
        "mac": {"type": "str"},
        "guest": {"type": "str"},
        **MEMBERS,
    }

    def parse(self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes, state: str) -> Item[str] | None:
        name = entry.get("name")
        if name is None or not options.interface_name(name, f"{place}.name", mistakes):
            return None
        given = {key: value for key, value in entry.items() if key not in ("name", "addresses", "sysctls")}
        if state != "deleted":
            given.setdefault("state", "up")
            self._check_type(given, place, mistakes)
        options.in_range(given, "vlan_id", (1, 4094), place, mistakes)
        options.in_range(given, "mtu", (68, 65535), place, mistakes)
        for key in ("parent", "peer", "vrf", "bridge"):
            if given.get(key):
                options.interface_name(given[key], f"{place}.{key}", mistakes)
                if given[key] == name:
                    mistakes.at(f"{place}.{key}", f"{name} cannot be its own {key}")
        if given.get("vrf") and given.get("bridge"):
            mistakes.at(place, "vrf and bridge are mutually exclusive")
        for key in ("vrf", "bridge"):
            if key in given:  # a link has one master: joining one means leaving the other; an empty name means none
                given[key] = given[key] or None
                if given[key]:
                    given["bridge" if key == "vrf" else "vrf"] = None
        if "mac" in given:
            given["mac"] = _mac(given["mac"], f"{place}.mac", mistakes)
        guest = given.pop("guest", None)
        item = Item(name, name, given, creates="type" in given, place=place)
        if guest is not None:
            parse_guest(item, guest, mistakes)
        parse_addresses(item, entry.get("addresses"), mistakes)
        parse_sysctls(item, entry.get("sysctls"), mistakes)
        return item

    def _check_type(self, given: dict[str, t.Any], place: str, mistakes: options.Mistakes) -> None:
        kind = given.get("type", "")
        for key in TYPES.get(kind, ()):
            if not given.get(key):
                mistakes.at(place, f"{key} is missing (type is {kind})")
        for other, keys in TYPES.items():
            for key in keys:
                if other != kind and given.get(key) is not None:
                    mistakes.at(f"{place}.{key}", f"is only for type {other}")
        for key in ("vlan_filtering", "stp"):
            if kind != "bridge" and key in given:
                mistakes.at(f"{place}.{key}", "is only for type bridge")

    def arrange(self, want: list[Item[str]], mistakes: options.Mistakes) -> list[Item[str]]:
        return _parents_first(want, mistakes)

    def announce(self, want: list[Item[str]], snapshot: Snapshot, planned: Planned) -> None:
        planned.forget_links({item.key for item in want}, lambda link: link.kind not in ("vrf", "ipvlan"))
        for item in want:
            if item.key in snapshot.links:
                enable_ipv6(item, snapshot.links[item.key].families)
            planned.states[item.key] = item.attributes.get("state", "up")
            if item.creates:
                planned.links[item.key] = item.attributes["type"]
                if item.attributes.get("peer"):
                    planned.links.setdefault(item.attributes["peer"], None)

    def defaults(self, want: Item[str], have: Item[str]) -> dict[str, t.Any]:
        defaults: dict[str, t.Any] = {"vrf": None, "bridge": None}
        if have.hints.get("default_mtu"):
            defaults["mtu"] = have.hints["default_mtu"]
        if have.attributes.get("type") == "bridge":
            defaults |= {"vlan_filtering": False, "stp": False}
        return defaults

    def same(self, attribute: str, have: t.Any, want: t.Any) -> bool:
        # the peer of a veth is invisible once it is in another namespace
        return have == want or (attribute == "peer" and have is None)

    def displaced(self, attribute: str, wanted: dict[str, t.Any], members: dict[str, t.Any]) -> set[str]:
        return displaced(wanted, members) if attribute == "addresses" else set()

    def release(self, target: dict[str, t.Any], have: Item[str], given: Item[str] | None) -> None:
        target.update(have.hints.get("released", {}))

    def complete(self, item: Item[str]) -> dict[str, t.Any]:
        return {name: value for name, value in item.attributes.items() if value is not None}

    def gather(self, snapshot: Snapshot, want: list[Item[str]], planned: Planned) -> Have[str]:
        found: Have[str] = {}
        for link in snapshot.links.values():
            if link.owned and link.kind == "ipvlan":
                continue  # belongs to the kind ipvlan_links
            found[link.name] = Item(
                link.name,
                link.name,
                _attributes(link, snapshot),
                # a VRF belongs to the kind vrfs; here it is just a link that may have addresses
                owned=link.owned and link.kind != "vrf",
                configured=link.port is not None,
                marked={"addresses": set()},
                hints={"default_mtu": _default_mtu(link, snapshot), "protocols": {}},
                former=_former(link, planned),
            )
        wanted = wanted_hosts(want)
        for address in snapshot.addresses:
            name = snapshot.names.get(address.index)
            if name in found:
                observe_address(found[name], address, wanted.get(name, ()), snapshot.protocol)
        for item in [*(item for item in found.values() if "sysctls" in item.former), *want]:
            if item.key in found:
                values = observe_sysctls(item.key, item, read_sysctl)
                found[item.key].attributes.setdefault("sysctls", {}).update(values)
        for item in want:
            if item.key not in found:
                continue
            link = snapshot.links[item.key]
            observe_wanted_port(found[item.key], item, link)
            if item.attributes.get("sysctls", {}).get("ipv6.addr_gen_mode") == "1":  # none are generated from now on
                if link.mtu < IPV6_MTU and read_sysctl("ipv6/conf/default/addr_gen_mode") == "0":
                    observe_address(found[item.key], generated_address(link))
                own = found[item.key].hints["protocols"]
                generated = {key for key in own if own[key] == interface_steps.KERNEL_LINK_LOCAL}
                found[item.key].marked["addresses"] |= generated
        wanted_names = set() if planned.state == "deleted" else {item.key for item in want}
        for item in found.values():
            if item.key not in wanted_names and not item.owned:
                prepare_release(item, snapshot, planned.state)
        return found

    def check(
        self, want: list[Item[str]], have: Have[str], snapshot: Snapshot, planned: Planned, mistakes: options.Mistakes
    ) -> None:
        interface_checks.check(want, snapshot, planned, mistakes)

    def foresee(self, have: Have[str], want: list[Item[str]], planned: Planned) -> Have[str]:
        foreseen = {key: _foreseen(item, planned) for key, item in have.items()}
        for item in want:
            if not item.creates:  # created in this run (the peer of a veth, a VRF), or plugged in and set up before it
                bare: dict[str, t.Any] = {"vrf": None, "bridge": None, "addresses": {}, "sysctls": {}}
                bare["state"] = "up" if item.key in planned.expected else "down"
                foreseen.setdefault(item.key, Item(item.key, item.label, bare, marked={"addresses": set()}))
        return foreseen

    def after(
        self, changes: list[Change[str]], have: Have[str], want: list[Item[str]], snapshot: Snapshot, planned: Planned
    ) -> None:
        planned.gone = replace_children(changes, have, want, snapshot.links.values())
        rejoin_bridges(changes, have, want)
        disturb(planned, changes, have)
        planned.mtus = {change.item.key: change.after["mtu"] for change in changes if change.after.get("mtu")}
        planned.interfaces = {key: item.attributes for key, item in have.items() if key not in planned.gone}
        for change in changes:
            if change.want is None:
                planned.interfaces.pop(change.item.key, None)
            else:
                planned.interfaces[change.item.key] = change.want.attributes

    def passed_over(self, want: list[Item[str]], have: Have[str], snapshot: Snapshot) -> list[str]:
        return [
            f"{item.place}: interface {item.label} is not ours and is left in place; only addresses of ours are removed"
            for item in want
            if item.key in have and not have[item.key].owned
        ]

    def steps(self, change: Change[str], planned: Planned) -> list[Step]:
        return interface_steps.steps(change, planned.snapshot.protocol)

    def show(self, item: Item[str]) -> dict[str, t.Any]:
        return show_members({"name": item.key, **{k: v for k, v in item.attributes.items() if v is not None}})


def _former(link: Link, planned: Planned) -> dict[str, t.Any]:
    """Without masters that no longer exist."""
    former = planned.former_of("interfaces", link)
    gone = [key for key in ("vrf", "bridge") if former.get(key) and former[key] not in planned.snapshot.links]
    return {**former, **dict.fromkeys(gone)}


def planned_interfaces(planned: Planned) -> dict[str, dict[str, t.Any]]:
    """The attributes that interfaces will have; their current ones if no interfaces are planned."""
    if planned.interfaces is None:
        found = Interfaces().gather(planned.snapshot, [], planned)
        planned.interfaces = {key: _foreseen(item, planned).attributes for key, item in found.items()}
    return planned.interfaces


def wanted_hosts(want: list[Item[K]]) -> dict[K, set[str]]:
    """The wanted addresses of each link, without prefix lengths."""
    return {item.key: {host(address) for address in item.attributes.get("addresses", {})} for item in want}


def _parents_first(items: list[Item[str]], mistakes: options.Mistakes) -> list[Item[str]]:
    by_name = {item.key: item for item in items}
    done: dict[str, Item[str]] = {}
    for item in items:
        chain: list[Item[str]] = []
        here: Item[str] | None = item
        while here is not None and here.key not in done:
            if here in chain:
                mistakes.at(f"{item.place}.parent", f"the parents of {item.key} form a loop")
                break
            chain.append(here)
            here = by_name.get(here.attributes.get("parent") or "")
        for link in reversed(chain):
            done.setdefault(link.key, link)
    return list(done.values())


def _foreseen(item: Item[str], planned: Planned) -> Item[str]:
    attributes = dict(item.attributes)
    if item.key in planned.freed:
        attributes["vrf"] = None
    sysctls = attributes.get("sysctls")
    if sysctls:
        attributes["sysctls"] = {key: planned.spread.get(key, value) for key, value in sysctls.items()}
    return dataclasses.replace(item, attributes=attributes)


def _mac(text: str, place: str, mistakes: options.Mistakes) -> str:
    digits = text.lower().replace("-", ":").split(":")
    if len(digits) != 6 or any(len(pair) != 2 or set(pair) - set("0123456789abcdef") for pair in digits):
        mistakes.at(place, f"{text!r} is not a MAC address")
    elif int(digits[0], 16) & 1:
        mistakes.at(place, f"{text!r} is a group address; an interface needs an individual one")
    return ":".join(digits)


def _default_mtu(link: Link, snapshot: Snapshot) -> int | None:
    if link.kind == "vlan" and link.parent in snapshot.links:
        return snapshot.links[link.parent].mtu
    return 1500 if link.kind in ("dummy", "veth") else None


def _attributes(link: Link, snapshot: Snapshot) -> dict[str, t.Any]:
    master = snapshot.links.get(link.master) if link.master else None
    attributes: dict[str, t.Any] = {
        "type": None if link.half_made else link.kind,
        "vrf": link.master if master and master.kind == "vrf" else None,
        "bridge": link.master if master and master.kind == "bridge" else None,
        "state": "up" if link.up else "down",
        "mtu": link.mtu,
        "mac": link.mac,
        "addresses": {},
    }
    if link.port:
        attributes["port"] = link.port
    if link.kind == "vlan":
        attributes.update(parent=link.parent, vlan_id=link.data.get("IFLA_VLAN_ID"))
    elif link.kind == "veth":
        attributes["peer"] = link.parent
    elif link.kind == "bridge":
        attributes["vlan_filtering"] = bool(link.data.get("IFLA_BR_VLAN_FILTERING"))
        attributes["stp"] = bool(link.data.get("IFLA_BR_STP_STATE"))
    return attributes


def generated_address(link: Link) -> Address:
    """The link-local address that the kernel generates when IPv6 comes back to a link."""
    address = b"\xfe\x80" + bytes(6) + interface_identifier(link.mac or "0").to_bytes(8, "big")
    return Address(socket.AF_INET6, 64, link.index, PERMANENT, 253, address, interface_steps.KERNEL_LINK_LOCAL)


def observe_address(
    item: Item[t.Any], found: Address, wanted: t.Collection[str] = (), protocol: int = PROTOCOL
) -> None:
    """Adds an address to an observed link. A learned address, which will expire, counts only if it is wanted.

    `wanted` are addresses without prefix lengths.
    """
    text = address_text(found.address)
    key = f"{text}/{found.length}"
    if not found.flags & PERMANENT:
        if text not in wanted:
            return
        item.hints.setdefault("expiring", set()).add(key)
    if is_duplicate(found.flags) and text in wanted:  # treated as missing, so that it is tried again
        item.hints.setdefault("duplicates", set()).add(key)
        return
    item.attributes["addresses"][key] = {"scope": SCOPES.get(found.scope, str(found.scope))}
    item.hints["protocols"][key] = found.protocol
    # before Linux 5.18 an address cannot carry a mark: on our links all except the kernel's own count as ours
    ours = (
        (item.owned or item.configured) and bool(found.flags & PERMANENT) and not text.startswith("fe80:")
        if not has_address_protocol()
        else found.protocol == protocol
    )
    if ours:
        item.marked["addresses"].add(key)
