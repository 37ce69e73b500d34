# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and sysctls of links, as wanted, whatever kind the link is of. Private to this collection."""

from __future__ import annotations

import typing as t

from .._engine import options
from .._engine.change import Item

MEMBERS: dict[str, dict[str, t.Any]] = {  # options of links of every kind
    "addresses": {
        "type": "list",
        "elements": "dict",
        "options": {
            "address": {"type": "str", "required": True},
            "scope": {"type": "str", "choices": ["global", "link", "host"]},
            "nodad": {"type": "bool"},
        },
    },
    "sysctls": {"type": "dict", "options": {"ipv4": {"type": "dict"}, "ipv6": {"type": "dict"}}},
}


def parse_addresses(item: Item[t.Any], entries: list[dict[str, t.Any]] | None, mistakes: options.Mistakes) -> None:
    """Puts the given addresses, if any are given, into the attributes of a link."""
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
        if parsed.ip.is_multicast or parsed.ip.is_unspecified:
            mistakes.at(f"{place}.address", f"{parsed} cannot be an interface's address")
        if parsed.version == 6 and item.attributes.get("mtu", 1280) < 1280:
            mistakes.at(f"{place}.address", f"IPv6 needs an MTU of 1280 or more, not {item.attributes['mtu']}")
        if parsed.version == 6 and "scope" in entry:
            mistakes.at(f"{place}.scope", "is for IPv4 addresses; the kernel derives that of an IPv6 address")
        if str(parsed) in members:
            mistakes.at(f"{place}.address", f"{parsed} is given twice")
        elif parsed.version == 6 and displaced({str(parsed): {}}, members):
            mistakes.at(
                f"{place}.address", f"{parsed.ip} is given with two prefix lengths; the kernel has it only once"
            )
        members[str(parsed)] = {"scope": entry["scope"]} if "scope" in entry else {}
        if entry.get("nodad"):
            item.hints.setdefault("nodad", set()).add(str(parsed))
    item.attributes["addresses"] = members


def displaced(wanted: dict[str, t.Any], members: dict[str, t.Any]) -> set[str]:
    """Addresses that must go before the wanted ones can be added: an interface has an IPv6 address only once, whatever
    its prefix length; IPv4 addresses are told apart by it."""
    by_ip = {host(address): address for address in wanted if ":" in address}
    return {address for address in members if by_ip.get(host(address), address) != address}


def host(address: str) -> str:
    """An address without its prefix length."""
    return address.split("/", 1)[0]


def parse_sysctls(item: Item[t.Any], families: dict[str, dict[str, t.Any]] | None, mistakes: options.Mistakes) -> None:
    """Puts the given sysctls, if any are given, into the attributes of a link."""
    if families is None:
        return
    members = {}
    for family, values in families.items():
        for key, value in values.items():
            place = f"{item.place}.sysctls.{family}.{key}"
            if not str(key).replace("_", "").isalnum():
                mistakes.at(place, f"{key!r} is no name of a sysctl")
            elif isinstance(value, (dict, list)) or value is None:
                mistakes.at(place, f"must be a single value, not {value!r}")
            else:
                members[f"{family}.{key}"] = options.sysctl_value(value)
    item.attributes["sysctls"] = members


def show_members(shown: dict[str, t.Any]) -> dict[str, t.Any]:
    """Attributes of a link as the user writes them."""
    if "addresses" in shown:
        shown["addresses"] = [{"address": address, **value} for address, value in shown["addresses"].items()]
    if "sysctls" in shown:
        families: dict[str, dict[str, t.Any]] = {}
        for key, value in shown.pop("sysctls").items():
            families.setdefault(key.split(".", 1)[0], {})[key.split(".", 1)[1]] = value
        if families:
            shown["sysctls"] = families
    return shown
