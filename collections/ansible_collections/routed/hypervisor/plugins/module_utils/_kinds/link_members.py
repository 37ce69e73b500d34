# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted addresses and sysctls of links of any kind. Private to this collection."""

from __future__ import annotations

import ipaddress
import os
import typing as t

from .._addresses.ipv6 import IPV6_MTU
from .._addresses.roles import ROLES, refusal
from .._engine import options
from .._engine.change import Item
from .._netlink.codec import DISABLE_IPV6, setting
from .sysctl_values import as_wanted

MEMBERS: dict[str, dict[str, t.Any]] = {  # options common to all kinds of links
    "addresses": {
        "type": "list",
        "elements": "dict",
        "options": {
            "address": {"type": "str", "required": True},
            "scope": {"type": "str", "choices": ["global", "link", "host"]},
            "nodad": {"type": "bool"},
            "deprecated": {"type": "bool"},
        },
    },
    "sysctls": {"type": "dict", "options": {"ipv4": {"type": "dict"}, "ipv6": {"type": "dict"}}},
}


def parse_addresses(item: Item[t.Any], entries: list[dict[str, t.Any]] | None, mistakes: options.Mistakes) -> None:
    """Parses the addresses of a link, if given, into its attributes."""
    if entries is None:
        return
    members: dict[str, dict[str, t.Any]] = {}
    for number, entry in enumerate(entries):
        place = f"{item.place}.addresses[{number}]"
        parsed = (
            options.interface_address(entry["address"], f"{place}.address", mistakes) if "address" in entry else None
        )
        if parsed is None:
            continue
        wrong = refusal(str(parsed.ip), "interface")
        if wrong:
            mistakes.at(f"{place}.address", f"{parsed.ip} {wrong}; an interface needs {ROLES['interface'].right}")
        if parsed.version == 6 and item.attributes.get("mtu", IPV6_MTU) < IPV6_MTU:
            mistakes.at(f"{place}.address", f"IPv6 needs an MTU of {IPV6_MTU} or more, not {item.attributes['mtu']}")
        if parsed.version == 6 and "scope" in entry:
            mistakes.at(f"{place}.scope", "is only for IPv4 addresses; the kernel derives the scope of an IPv6 address")
        if str(parsed) in members:
            mistakes.at(f"{place}.address", f"{parsed} is given twice")
        elif parsed.version == 6 and displaced({str(parsed): {}}, members):
            mistakes.at(
                f"{place}.address", f"{parsed.ip} is given with two prefix lengths; an interface can have it only once"
            )
        members[str(parsed)] = {"scope": entry["scope"]} if "scope" in entry else {}
        for hint in ("nodad", "deprecated"):
            if entry.get(hint):
                item.hints.setdefault(hint, set()).add(str(parsed))
    item.attributes["addresses"] = members


def displaced(wanted: dict[str, t.Any], members: dict[str, t.Any]) -> set[str]:
    """Addresses to remove before the wanted ones can be added. An interface can have an IPv6 address only once,
    whatever its prefix length; IPv4 addresses with different prefix lengths are distinct."""
    by_ip = {host(address): address for address in wanted if ":" in address}
    return {address for address in members if by_ip.get(host(address), address) != address}


def host(address: str) -> str:
    """An address without its prefix length."""
    return address.split("/", 1)[0]


def is_reached(address: ipaddress.IPv4Address | ipaddress.IPv6Address, addresses: t.Iterable[str]) -> bool:
    """Whether an address is in the network of one of a link's addresses."""
    return any(address in ipaddress.ip_interface(own).network for own in addresses)


def parse_sysctls(item: Item[t.Any], families: dict[str, dict[str, t.Any]] | None, mistakes: options.Mistakes) -> None:
    """Parses the sysctls of a link, if given, into its attributes."""
    if families is None:
        return
    members = {}
    for family, values in families.items():
        for key, value in values.items():
            place = f"{item.place}.sysctls.{family}.{key}"
            if not str(key).replace("_", "").isalnum():
                mistakes.at(place, f"{key!r} is not a sysctl name")
            elif isinstance(value, (dict, list)) or value is None:
                mistakes.at(place, f"must be a single value, not {value!r}")
            else:
                members[f"{family}.{key}"] = options.sysctl_value(value)
    item.attributes["sysctls"] = members


def sysctl_path(interface: str, key: str) -> str:
    """The path below /proc/sys/net of a sysctl such as ipv4.forwarding."""
    family, name = key.split(".", 1)
    return f"{family}/conf/{interface}/{name}"


def check_sysctls(item: Item[t.Any], mistakes: options.Mistakes) -> None:
    """Rejects interface sysctls that this kernel does not have."""
    for key in item.attributes.get("sysctls", {}):
        if not os.path.exists(f"/proc/sys/net/{sysctl_path('default', key)}"):
            mistakes.at(f"{item.place}.sysctls.{key}", "this kernel has no such interface sysctl")


def enable_ipv6(item: Item[t.Any], families: bytes) -> None:
    """Adds the sysctl without which a link cannot have its IPv6 addresses, if somebody disabled IPv6 on it.

    `families` are the current settings of the link.
    """
    key, wanted = "ipv6.disable_ipv6", item.attributes.get("sysctls", {})
    needed = any(":" in address for address in item.attributes.get("addresses", {}))
    if needed and key not in wanted and setting(families, DISABLE_IPV6):
        item.attributes["sysctls"] = {key: "0", **wanted}


def observe_sysctls(name: str, item: Item[t.Any], read: t.Callable[[str], str | None]) -> dict[str, str | None]:
    """The current values of a link's wanted or former sysctls; `read` reads a path below /proc/sys/net.

    Without IPv6, as with an MTU below 1280, a link has none of its sysctls; they come back with the default values.
    """
    wanted = {**item.former.get("sysctls", {}), **item.attributes.get("sysctls", {})}
    values = {key: read(sysctl_path(name, key)) or read(sysctl_path("default", key)) for key in wanted}
    return {key: as_wanted(values[key], value) for key, value in wanted.items()}


def show_members(shown: dict[str, t.Any]) -> dict[str, t.Any]:
    """Converts the attributes of a link to the form in which users write them."""
    if "addresses" in shown:
        shown["addresses"] = [{"address": address, **value} for address, value in shown["addresses"].items()]
    if "sysctls" in shown:
        families: dict[str, dict[str, t.Any]] = {}
        for key, value in shown.pop("sysctls").items():
            families.setdefault(key.split(".", 1)[0], {})[key.split(".", 1)[1]] = value
        if families:
            shown["sysctls"] = families
    return shown
