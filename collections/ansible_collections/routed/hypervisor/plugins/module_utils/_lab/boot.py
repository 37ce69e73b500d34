# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""Boots nodes with systemd, and reboots those that run: their cables are moved to the new system."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import exchange, system
from .node import SYSTEMD, Node, gather_nodes, reboot_mistakes
from .plug import Networks
from .start import Recipe


@dataclass
class Booted:
    failures: list[str] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)  # nodes that did not shut down in time, and were switched off
    seconds: dict[str, float] = field(default_factory=dict)


def wait_for_interrupted_boots(lab: str, nodes: t.Sequence[Node], timeout: float) -> None:
    for node in nodes:
        if node.pid and node.init == SYSTEMD:
            system.wait_for_interrupted_boot(lab, node.name, timeout)


def boot(recipe: Recipe, nodes: t.Sequence[Node], grace: float) -> Booted:
    made = Booted()
    running = [node for node in nodes if node.pid]
    # Holds the networks of nodes that shut down, until their cables have been moved.
    with Networks(recipe.lab, running) as networks:
        made.forced = system.shut_down(recipe.lab, running, grace, recipe.timeout)
        with system.Booting(recipe) as booting:
            for node in nodes:
                try:
                    booting.begin(node, networks.move if node.pid else None)
                except system.BootError as error:
                    made.failures.append(str(error))
            made.failures += booting.finish()
    made.seconds = booting.seconds
    return made


def reboot(lab: str, name: str, grace: float, timeout: float) -> list[str]:
    """Reboots a node, and returns a message for each failure."""
    with exchange.locked(timeout):
        have = gather_nodes(lab)
        if mistakes := reboot_mistakes(have, [name]):
            return mistakes
        wait_for_interrupted_boots(lab, have, timeout)
        nodes = [node for node in have if node.name == name]
        recipe = Recipe(lab, "", "", exchange.path(lab), timeout)
        return boot(recipe, nodes, grace).failures
