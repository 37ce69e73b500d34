# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the policies of container networks: that their rules can be enforced, and that each has an effect."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .addresses import family_of
from .draft import ContainerNetwork, Intent, Ports, Rule
from .mistakes import Mistakes, Path, listed, render
from .policy import ANY, prefixes_of

ALL = "all"  # every protocol
EVERY = Ports(0, 65535)
Part = tuple[str, Ports]  # what a rule matches of a protocol
Decided = dict[tuple[str, str], list[tuple[Ports, Rule]]]  # by sender and protocol


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
            _distinct(rule, mistakes)
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


def _distinct(rule: Rule, mistakes: Mistakes) -> None:
    """nft refuses sets whose intervals overlap."""
    for protocol in ("tcp", "udp"):
        numbered = [(ports, position) for position, ports in enumerate(getattr(rule, protocol)) if ports is not None]
        longest: Ports | None = None
        for ports, position in sorted(numbered):
            if longest is not None and ports.first <= longest.last:
                mistakes.add((*rule.path, "to", protocol, position), f"{ports} overlaps {longest}", "each port once")
            if longest is None or ports.last > longest.last:
                longest = ports


def _effective(network: ContainerNetwork, mistakes: Mistakes) -> None:
    """Reports a rule that matches nothing, because earlier ones match all of it."""
    decided: Decided = {}
    for rule in network.policy:
        if rule.path in mistakes.touched or rule.sender is None:
            continue
        parts = _parts(rule)
        earlier = [_deciding(decided, rule.sender, part) for part in parts]
        if (last := earlier[-1]) is not None and None not in earlier:
            mistakes.add(rule.path, f"matches nothing that {render(last.path)} does not match", "remove it")
        for protocol, ports in parts:
            decided.setdefault((rule.sender, protocol), []).append((ports, rule))


def _parts(rule: Rule) -> list[Part]:
    if rule.is_for_all:
        return [(ALL, EVERY)]
    ports = [(protocol, one) for protocol in ("tcp", "udp") for one in getattr(rule, protocol) if one is not None]
    return [*ports, ("ping", EVERY)] if rule.ping else ports


def _deciding(decided: Decided, sender: str, part: Part) -> Rule | None:
    """If earlier rules match all of PART from SENDER, the one that completes it."""
    protocol, ports = part
    rest = [ports]
    for place in itertools.product((sender, ANY), (protocol, ALL)):
        for taken, rule in decided.get(place, ()):
            rest = [left for one in rest for left in _without(one, taken)]
            if not rest:
                return rule
    return None


def _without(ports: Ports, taken: Ports) -> list[Ports]:
    below = Ports(ports.first, min(ports.last, taken.first - 1))
    above = Ports(max(ports.first, taken.last + 1), ports.last)
    return [one for one in (below, above) if one.first <= one.last]
