# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the policies of container networks: that their rules can be enforced, and that each has an effect."""

from __future__ import annotations

from collections.abc import Sequence

from .addresses import family_of
from .draft import ContainerNetwork, Intent, Rule
from .mistakes import Mistakes, Path, listed, render
from .policy import ANY, prefixes_of

Part = tuple[str | None, int | None]  # a protocol and a port
ALL: Part = (None, None)


def check(intent: Intent, declared: Sequence[str] | None, mistakes: Mistakes) -> None:
    """DECLARED are the container networks as written: a definition that contains a mistake still counts."""
    for network in intent.container_networks.values():
        if not network.policy:
            continue
        path = ("container_networks", network.name, "policy")
        if not intent.firewall:
            mistakes.add(path, "the firewall, which enforces it, is switched off", "remove firewall: false, or this")
        _enforced(intent, network, path, mistakes)
        for rule in network.policy:
            _sender(intent, network, rule, declared or (), mistakes)
        _effective(network, mistakes)


def _enforced(intent: Intent, network: ContainerNetwork, path: Path, mistakes: Mistakes) -> None:
    """Only packets to containers on a dummy are forwarded by the host: others reach them before its rules."""
    for node in intent.hypervisors.values():
        part = node.parts.get(network.name)
        if part is not None and not part.is_on_dummy:
            place = f"fabric {part.fabric}" if part.fabric is not None else part.interface
            wrong = f"on {node.name}, packets from {place} reach the containers without being forwarded by the host"
            mistakes.add(path, wrong, "neither fabric nor interface, so that the host routes for them; or no policy")
            return


def _sender(intent: Intent, network: ContainerNetwork, rule: Rule, declared: Sequence[str], mistakes: Mistakes) -> None:
    path, sender = (*rule.path, "from"), rule.sender
    if sender is None:
        return
    if rule.prefix is not None:
        family, families = family_of(rule.prefix), prefixes_of(intent, network.name)
        if families and family not in families:
            wrong = f"{network.name} has no {family} prefix"
            mistakes.add(path, wrong, f"an {', '.join(families)} prefix, or remove this rule")
    elif sender == ANY:
        if ANY in declared:
            wrong = "any stands for everybody, and is also the name of a container network"
            mistakes.add(("container_networks", ANY), wrong, "another name for the network")
    elif sender not in declared:
        close = mistakes.did_you_mean(sender, declared)
        right = f"did you mean {close}?" if close else f"any, a prefix, or one of: {listed(declared)}"
        mistakes.add(path, f"{sender} is neither a container network nor a prefix", right)
    else:
        other = intent.container_networks.get(sender)
        if other is not None and None not in (other.vrf, network.vrf) and other.vrf != network.vrf:
            wrong = f"{sender} is in VRF {other.vrf}, and does not reach VRF {network.vrf}"
            mistakes.add(path, wrong, "a network of the same VRF, or remove this rule")


def _effective(network: ContainerNetwork, mistakes: Mistakes) -> None:
    """Reports a rule that matches nothing, because earlier ones match all of it."""
    decided: dict[tuple[str, Part], Rule] = {}  # by sender and what it reaches
    for rule in network.policy:
        if rule.path in mistakes.touched or rule.sender is None:
            continue
        parts: list[Part] = [*(("tcp", port) for port in rule.tcp), *(("udp", port) for port in rule.udp)]
        parts = [*parts, ("ping", None)] if rule.ping else parts or [ALL]
        earlier = [one for part in parts if (one := _earlier(decided, rule.sender, part)) is not None]
        if len(earlier) == len(parts):
            mistakes.add(rule.path, f"matches nothing that {render(earlier[-1].path)} does not match", "remove it")
        for part in parts:
            decided.setdefault((rule.sender, part), rule)


def _earlier(decided: dict[tuple[str, Part], Rule], sender: str, part: Part) -> Rule | None:
    """An earlier rule that matches PART from SENDER."""
    places = [(who, what) for who in (sender, ANY) for what in (part, ALL)]
    return next((decided[place] for place in places if place in decided), None)
