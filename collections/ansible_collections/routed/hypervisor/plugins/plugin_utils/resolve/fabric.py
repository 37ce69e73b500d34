# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a checked intent to the groups and variables of an inventory. Each kind of node has its own file."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..intent import names
from ..intent.model import Hypervisor, Intent, Router
from .border import border
from .followed import segments_on
from .guest import guest
from .hypervisor import hypervisor
from .index import Index
from .lab import LAB_HOST, lab
from .leaf import leaf
from .ospf import password_keys
from .proxy_ndp import AGENT, guests_of
from .reflector import reflector
from .switch import switch
from .topology import topology


@dataclass
class Inventory:
    """`groups` has hosts by group, `children` groups by group; variables by group and by host."""

    groups: dict[str, list[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    group_vars: dict[str, dict] = field(default_factory=dict)
    host_vars: dict[str, dict] = field(default_factory=dict)


def resolve(intent: Intent, found: Index, owner: str) -> Inventory:
    """The variables of all nodes. OWNER is the inventory's directory: two inventories cannot own one lab."""
    made = Inventory()
    made.groups = {
        "hypervisors": list(intent.hypervisors),
        "reflectors": list(intent.reflectors),
        "borders": list(intent.borders),
        "leaves": [leaf.name for leaf in intent.leaves.values() if leaf.platform != "nxos"],
    }
    made.children["routers"] = list(made.groups)
    # NX-OS switches have playbooks of their own; the settings of Linux routers do not apply to them.
    made.groups["nxos_leaves"] = [leaf.name for leaf in intent.leaves.values() if leaf.platform == "nxos"]
    for daemon in ("bird", "gobgp", "frr"):
        made.groups[f"{daemon}_routers"] = [node.name for node in intent.routers if node.daemon == daemon]
    made.groups["agents"] = [
        node.name
        for group in made.children["routers"]
        for node in getattr(intent, group).values()
        if node.name in made.groups[group] and has_agent(intent, node)
    ]
    # Empty without a lab, but defined, so that plays can refer to them. In check mode, nodes that do not exist yet are
    # added to lab_absent. A rollout adds hosts to the last two.
    empty = ("guests", "switches", "lab", "lab_absent", "lab_nodes", "unreached", "differing")
    made.groups.update({group: [] for group in empty})
    made.group_vars["all"] = {
        "fabric_name": intent.name,
        "bgp_password_keys": [vrf.name for vrf in intent.vrfs.values() if vrf.password],
        "ospf_password_keys": password_keys(intent),
    }
    made.host_vars = {
        **{name: hypervisor(intent, found, node) for name, node in intent.hypervisors.items()},
        **{name: reflector(intent, found, node) for name, node in intent.reflectors.items()},
        **{name: border(intent, found, node) for name, node in intent.borders.items()},
        **{name: leaf(intent, found, node) for name, node in intent.leaves.items()},
    }
    for router in intent.routers:
        made.host_vars[router.name]["topology"] = topology(intent, router)
    if intent.lab:
        _add_lab(intent, found, owner, made)
    return made


def has_agent(intent: Intent, node: Router) -> bool:
    """A lab node without systemd cannot be rebooted: it has the agent only for what that does between reboots."""
    if intent.lab is None or intent.lab.init_of(node.name) == "systemd":
        return True
    if not isinstance(node, Hypervisor):
        return False
    follows = bool(guests_of(intent, node, AGENT) or segments_on(intent, node))
    return follows or bool(node.parts or intent.metrics) or node.daemon == "gobgp"


def _add_lab(intent: Intent, found: Index, owner: str, made: Inventory) -> None:
    """Guests, switches, the lab host, and how Ansible enters the nodes."""
    made.groups["guests"] = [guest.name for hypervisor in intent.hypervisors.values() for guest in hypervisor.guests]
    made.groups["switches"] = [names.switch(fabric) for fabric in intent.fabrics]
    made.groups["lab"] = [LAB_HOST]
    made.children["lab_nodes"] = ["routers", "guests", "switches"]
    entry = {
        "ansible_connection": "routed.hypervisor.node",
        "ansible_node_lab": intent.name,
        "ansible_node_owner": owner,
    }
    made.group_vars["lab_nodes"] = {**entry, "ansible_python_interpreter": "/usr/bin/python3"}
    made.host_vars[LAB_HOST] = {
        **entry,
        "ansible_node_name": "",
        # Ansible's own interpreter, because it has the libraries that the modules need.
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "lab": lab(intent, found, owner),
    }
    for hypervisor_node in intent.hypervisors.values():
        for node in hypervisor_node.guests:
            made.host_vars[node.name] = guest(intent, node)
    for fabric in intent.fabrics.values():
        made.host_vars[names.switch(fabric.name)] = switch(intent, found, fabric)
