# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies of container networks: who may reach their containers."""

from __future__ import annotations

import typing as t

from ..libraries import netaddr
from .addresses import family_of
from .draft import FAMILIES, Intent, Ports, Rule
from .formats import FORMATS
from .mistakes import Path

if t.TYPE_CHECKING:
    from netaddr import IPAddress, IPNetwork

Data = dict[str, t.Any]
ANY = "any"  # the sender of a rule for all


def policy(path: Path, rules: list[Data | None]) -> list[Rule]:
    return [_rule((*path, position), rule) for position, rule in enumerate(rules) if rule is not None]


def _rule(path: Path, data: Data) -> Rule:
    to, sender = data.get("to", {}), data.get("from")
    is_prefix = FORMATS["prefix"].is_valid(sender or "")
    return Rule(
        path,
        sender,
        [_ports(port) for port in to.get("tcp", [])],
        [_ports(port) for port in to.get("udp", [])],
        "ping" in to,
        data.get("action"),
        netaddr.IPNetwork(sender) if is_prefix and sender else None,
    )


def _ports(given: int | str | None) -> Ports | None:
    if given is None:
        return None
    first, _hyphen, last = str(given).partition("-")
    return Ports(int(first), int(last or first))


def prefixes_of(intent: Intent, network: str) -> dict[str, list[IPNetwork]]:
    """The prefixes by family that the containers of a network have on all hosts, merged. On a fabric's own network
    only the containers' own, because others are on it, too."""
    found: dict[str, list[IPNetwork]] = {}
    for node in intent.hypervisors.values():
        part = node.parts.get(network)
        if part is None:
            continue
        own: list[t.Mapping[str, t.Any]] = [part.prefix]
        if part.prefix_owner == "fabric":
            own = [*(pool.prefix for pool in part.pools.values()), *(one.address for one in part.containers)]
        for prefixes in own:
            for family, prefix in prefixes.items():
                found.setdefault(family, []).append(netaddr.IPNetwork(prefix))
    return {family: netaddr.cidr_merge(found[family]) for family in FAMILIES if family in found}


def senders(intent: Intent, rule: Rule) -> dict[str, list[IPNetwork]] | None:
    """The prefixes by family that a rule is about; None: everybody."""
    if rule.sender == ANY:
        return None
    if rule.prefix is not None:
        return {family_of(rule.prefix): [rule.prefix]}
    return prefixes_of(intent, t.cast(str, rule.sender))


def allows(intent: Intent, rules: t.Iterable[Rule], sender: IPAddress, protocol: str, port: int | None = None) -> bool:
    """Whether a packet may pass: PROTOCOL is tcp or udp, with a PORT, or ping."""
    for rule in rules:
        who = senders(intent, rule)
        if who is not None and not any(sender in prefix for prefix in who.get(family_of(sender), ())):
            continue
        if rule.is_for_all or (rule.ping if protocol == "ping" else _has(getattr(rule, protocol), port)):
            return rule.action == "allow"
    return True


def _has(ports: t.Iterable[Ports | None], port: int | None) -> bool:
    return port is not None and any(one is not None and one.first <= port <= one.last for one in ports)
