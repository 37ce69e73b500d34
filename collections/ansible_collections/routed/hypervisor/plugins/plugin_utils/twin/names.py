# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of a twin's nodes: a lab's have up to 15 letters, digits and hyphens. Private to this collection."""

from __future__ import annotations

import hashlib
import typing as t
from collections.abc import Mapping

from ..intent.formats import INTERFACE_LENGTH, LAB_NODE
from ..intent.mistakes import Mistakes, Path, render
from ..intent.model import Intent
from ..intent.names import BRIDGE, switch
from ..libraries import netaddr

CHOSEN = "twin_names"  # a variable of all hosts: the names that somebody has chosen, by the name in production
DIGEST = 4  # characters


def node_names(intent: Intent, more: Mapping[str, Path], chosen: t.Any, mistakes: Mistakes) -> dict[str, str]:
    """The name of each router and guest in the twin, and of MORE nodes. Two that would have one name are MISTAKES."""
    paths = {**_paths(intent), **more}
    chosen = _checked(chosen, paths, mistakes)
    taken = {BRIDGE, *map(switch, intent.fabrics)}
    made: dict[str, str] = {}
    first: dict[str, str] = {}
    for name, path in paths.items():
        made[name] = chosen.get(name) or _short(name, taken)
        other = first.setdefault(made[name].lower(), name)
        if other != name:
            wrong = f"{made[name]} is also the name of {render(paths[other])} in the twin"
            mistakes.add(path, wrong, f"set {CHOSEN} in group_vars/all: {{{name}: NAME}}")
    return made


def _paths(intent: Intent) -> dict[str, Path]:
    """The place of each node in the intent, by its name."""
    guests = [guest for hypervisor in intent.hypervisors.values() for guest in hypervisor.guests]
    made = {router.name: router.path for router in intent.routers}
    return made | {guest.name: guest.path for guest in (*guests, *intent.guests)}


def _checked(chosen: t.Any, paths: Mapping[str, Path], mistakes: Mistakes) -> dict[str, str]:
    if not isinstance(chosen, dict):
        mistakes.add((CHOSEN,), "not a map", "the names of nodes in the twin, by their names in production")
        return {}
    for name, given in chosen.items():
        if name not in paths:
            close = mistakes.did_you_mean(str(name), paths)
            mistakes.add((CHOSEN, str(name)), "no such node", f"did you mean {close}?" if close else "remove it")
        elif not LAB_NODE.is_valid(str(given)):
            mistakes.add((CHOSEN, name), f"{given} {LAB_NODE.rejection(str(given))}")
    return {str(name): str(given) for name, given in chosen.items()}


def _short(name: str, taken: t.Container[str]) -> str:
    """The first label of a name in DNS, or all of an IPv4 address; one that is too long ends with a digest."""
    label = name.replace(".", "-") if netaddr.valid_ipv4(name) else name.partition(".")[0]
    if not label[0].isalpha() or not LAB_NODE.is_valid(label[:INTERFACE_LENGTH]) or label in taken:
        label = f"n-{label}"
    if len(label) <= INTERFACE_LENGTH:
        return label
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST]
    return f"{label[: INTERFACE_LENGTH - DIGEST - 1].rstrip('-')}-{digest}"
