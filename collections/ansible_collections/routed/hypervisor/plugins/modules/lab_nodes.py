#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_nodes
short_description: Create and remove the nodes of a lab
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - A lab node is a set of namespaces (mount, network, UTS, IPC, PID) on a writable overlay of a directory tree,
    the image. To programs in it, it looks like a small machine. It needs no container engine.
  - One call creates any number of nodes. Nothing is mounted on the host and no state is kept in files. A node is its
    first process, whose C(argv[0]) has the names of the lab and the node; when it ends, so does the whole node.
  - All nodes share the directory C(/run/routed-hypervisor/LAB) with the host. The script C(enter) in it runs a command
    in a node; P(routed.hypervisor.node#connection) runs Ansible's tasks there.
  - Changes in the file system of a node are lost with the node.
  - A node with O(config[].init=systemd) boots Debian's systemd. Such a node can be rebooted, and switches itself off
    if its systemd ends; its file system is kept then.
requirements:
  - Linux with overlayfs; root; C(nsenter) of util-linux 2.35 or later to enter a node
extends_documentation_fragment:
  - routed.hypervisor.attributes.lab
attributes:
  check_mode:
    support: full
    description: Returns exactly what a run would do, and changes nothing.
  diff_mode:
    support: full
    description: Shows the nodes before and after.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
options:
  lab:
    description:
      - The name of the lab. Nodes of other labs are ignored.
    type: str
    required: true
  owner:
    description:
      - What defines this lab, usually the absolute path of the inventory.
      - If a lab of the same name has another owner, the module fails, except with O(state=gathered).
      - If unset, ownership is not checked; so a lab can be taken down without its inventory.
    type: str
  image:
    description:
      - The directory tree that the nodes run on. It is not written to. It must contain C(/usr/bin/catatonit).
      - A node that runs on another directory is replaced, so an updated image only needs a new name.
      - In check mode, it need not exist yet, because M(routed.hypervisor.lab_image) would build it.
      - Required if O(state) is V(merged) or V(overridden).
    type: path
  config:
    description:
      - The nodes.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the node, which is also its host name.
        type: str
        required: true
      init:
        description:
          - The first process of the node. V(minimal) only reaps processes, so the node starts in milliseconds.
          - V(systemd) boots the systemd of the image to C(multi-user.target), with a control group of its own. The run
            waits until the boot has finished, and warns of failed units.
          - A node with another init is replaced, so it loses its files.
        type: str
        choices: [minimal, systemd]
        default: minimal
  state:
    description:
      - V(merged) creates the nodes in O(config) that are missing.
      - V(overridden) also removes the nodes of the lab that are not in O(config).
      - V(deleted) removes the nodes in O(config), or all nodes of the lab if O(config) is empty. With the last node,
        the directory C(/run/routed-hypervisor/LAB) is removed.
      - V(rebooted) shuts down and boots the nodes in O(config), which must run systemd. Their files and cables are
        kept, everything else is new. A node that does not shut down within O(grace) is switched off. A node that is off
        is booted.
      - V(gathered) only returns the current state.
      - V(merged) and V(overridden) boot nodes that are off.
    type: str
    choices: [merged, overridden, deleted, rebooted, gathered]
    default: merged
  timeout:
    description:
      - How many seconds a node may take to become ready, or to end.
    type: int
    default: 60
  grace:
    description:
      - With O(state=rebooted), how many seconds a node may take to shut down. V(0) switches it off immediately, as a
        power failure would.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Two nodes
  routed.hypervisor.lab_nodes:
    lab: example
    owner: "{{ inventory_dir }}"
    image: /var/cache/images/bookworm
    state: overridden
    config:
      - name: hv1
      - name: vm1

- name: One more, with systemd
  routed.hypervisor.lab_nodes:
    lab: example
    owner: "{{ inventory_dir }}"
    image: /var/cache/images/bookworm
    config:
      - name: hv2
        init: systemd

- name: Reboot it
  routed.hypervisor.lab_nodes:
    lab: example
    owner: "{{ inventory_dir }}"
    state: rebooted
    config:
      - name: hv2

- name: Take the lab down
  routed.hypervisor.lab_nodes:
    lab: example
    owner: "{{ inventory_dir }}"
    state: deleted
"""

RETURN = r"""
before:
  description: The nodes of the lab before, by name.
  returned: if O(state) is not V(gathered)
  type: list
  elements: dict
  sample: [{name: hv1, image: /var/cache/images/bookworm, init: minimal}]
after:
  description: The nodes of the lab after; in check mode, as they would be.
  returned: if O(state) is not V(gathered)
  type: list
  elements: dict
  sample: [{name: hv1, image: /var/cache/images/bookworm, init: minimal}]
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  returned: if O(state) is not V(gathered)
  type: list
  elements: dict
  sample:
    - kind: nodes
      op: create
      name: hv1
      before: {}
      after: {image: /var/cache/images/bookworm, init: minimal}
      why: it is not running
booted:
  description: The seconds from the start of systemd until its boot had finished, by node.
  returned: if nodes were booted
  type: dict
  sample: {hv2: 1.4}
failed_units:
  description: The failed units of nodes that were booted, by node. Nodes without failed units are left out.
  returned: if nodes were booted
  type: dict
  sample: {hv2: [ndppd.service]}
gathered:
  description: The nodes of the lab. The PID of a node that is off is 0.
  returned: if O(state) is V(gathered)
  type: list
  elements: dict
  sample:
    - name: hv1
      pid: 4711
      image: /var/cache/images/bookworm
      owner: /srv/inventories/example
      init: minimal
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine.change import Change
from ..module_utils._lab import exchange, groups, system
from ..module_utils._lab.boot import boot, wait_for_interrupted_boots
from ..module_utils._lab.node import (
    CHASSIS_MARK,
    INIT,
    MINIMAL,
    SYSTEMD,
    Node,
    Plan,
    gather_nodes,
    name_mistakes,
    plan_nodes,
    reboot_mistakes,
    state_of,
    stop_nodes,
)
from ..module_utils._lab.start import Recipe, start_nodes


def image_mistakes(image: str, inits: set[str]) -> list[str]:
    if not os.path.isdir(image):
        return [f"image: there is no directory {image}"]
    needed = {INIT: "catatonit"}
    if SYSTEMD in inits:
        needed[system.PROGRAM] = "systemd"
    return [
        f"image: {image} has no {program} (Debian package {package})"
        for program, package in needed.items()
        if not os.access(os.path.join(image, program), os.X_OK)
    ]


def kernel_mistakes() -> list[str]:
    with open("/proc/filesystems", encoding="ascii") as file:
        known = {line.split()[-1] for line in file}
    if "overlay" not in known and os.system("modprobe -q overlay 2>/dev/null") != 0:
        return ["this kernel has no overlay file system, which lab nodes need (try: modprobe overlay)"]
    return []


def mistakes_in(params: dict, names: list[str], check_mode: bool) -> list[str]:
    mistakes = name_mistakes(params["lab"], names)
    if os.geteuid() != 0:
        mistakes.append("only root can create lab nodes: run this as root")
    elif params["state"] in ("merged", "overridden"):
        mistakes += kernel_mistakes()
    will_be_built = check_mode and not os.path.lexists(params["image"] or "")
    if params["image"] and params["state"] in ("merged", "overridden") and not will_be_built:
        mistakes += image_mistakes(params["image"], {item["init"] for item in params["config"]})
    return mistakes


def owner_mistake(params: dict, have: list) -> str | None:
    others = sorted({node.owner for node in have} - {params["owner"]})
    if not others or params["owner"] is None:
        return None
    return (
        f"lab {params['lab']} is already up and belongs to another inventory, {others[0] or '(no owner)'}: take it "
        f"down with `ansible-playbook -i {others[0] or 'INVENTORY'} playbooks/down.yml`, give this lab another name, "
        "or set the option owner (in playbooks of this project the variable lab_owner) to use it anyway"
    )


class Run:
    """Applies a plan."""

    def __init__(self, params: dict, plan: Plan, have: list[Node]):
        self.params, self.plan, self.have = params, plan, have
        self.lab, self.timeout = params["lab"], params["timeout"]
        self.result: dict = {}
        self.warnings: list[str] = []

    def carry_out(self) -> list[str]:
        """Returns a message for each failure."""
        lab, plan = self.lab, self.plan
        failures = stop_nodes(lab, [node for node, why in plan.stop], self.timeout)
        for node, _why in plan.stop:
            exchange.forget_pid(lab, node.name)
            exchange.forget_boot(lab, node.name)
            if node.init == SYSTEMD and not failures:
                groups.remove(lab, node.name)
        if self.params["state"] == "deleted":
            if not failures and len(plan.stop) == len(self.have):
                groups.remove(lab)
                exchange.remove(lab)
            return failures
        if failures:
            return failures
        exchange.prepare(lab)
        failures, chassis = self._start()
        return failures or self._boot(chassis)

    def _recipe(self, **more) -> Recipe:
        params = self.params
        return Recipe(
            self.lab, params["image"] or "", params["owner"] or "", exchange.path(self.lab), self.timeout, **more
        )

    def _start(self) -> tuple[list[str], list[Node]]:
        """Starts nodes, and the chassis of those with systemd, which are returned."""
        plan = self.plan
        minimal = [name for name in plan.start if plan.init_of(name) == MINIMAL]
        ready, failures = start_nodes(self._recipe(), minimal)
        for name, pid in ready.items():
            exchange.note_pid(self.lab, name, pid)
        others = [name for name in plan.start if plan.init_of(name) == SYSTEMD]
        if failures or not others:
            return failures, []
        recipe = self._recipe(prefix=CHASSIS_MARK)
        ready, failures = start_nodes(recipe, others)
        return failures, [Node(name, 0, recipe.image, recipe.owner, SYSTEMD, pid) for name, pid in ready.items()]

    def _boot(self, new: list[Node]) -> list[str]:
        wait_for_interrupted_boots(self.lab, self.have, self.timeout)
        nodes = [node for node, _why in self.plan.boot] + new
        if not nodes:
            return []
        grace = self.params["grace"]
        booted = boot(self._recipe(), nodes, grace)
        self.warnings += [f"node {name} did not shut down in {grace} s: it was switched off" for name in booted.forced]
        self.result["booted"] = booted.seconds
        failed = {name: system.failed_units(self.lab, name) for name in booted.seconds}
        self.result["failed_units"] = {name: units for name, units in failed.items() if units}
        for name, units in self.result["failed_units"].items():
            look = f"make shell NODE={name}, then systemctl status {units[0]}"
            self.warnings.append(f"node {name} is up, but units have failed: {', '.join(units)} ({look})")
        return booted.failures


def run(module: AnsibleModule) -> dict:
    params = module.params
    wanted = {item["name"]: item["init"] for item in params["config"]}
    if params["image"]:
        params["image"] = os.path.realpath(params["image"])
    mistakes = mistakes_in(params, [item["name"] for item in params["config"]], module.check_mode)
    if mistakes:
        module.fail_json(msg="\n".join(mistakes))
    if params["state"] == "gathered":
        keys = ("name", "pid", "image", "owner", "init")
        found = [{key: getattr(node, key) for key in keys} for node in gather_nodes(params["lab"])]
        return {"changed": False, "gathered": found}

    with exchange.locked(params["timeout"]):
        have = gather_nodes(params["lab"])
        mistakes = [mistake] if (mistake := owner_mistake(params, have)) else []
        if params["state"] == "rebooted":
            mistakes += reboot_mistakes(have, list(wanted))
        if mistakes:
            module.fail_json(msg="\n".join(mistakes))
        plan = plan_nodes(params["state"], have, wanted, params["image"] or "")
        changes = plan.changes(params["image"] or "")
        if params["state"] == "deleted" and not have:
            if exchange.exists(params["lab"]):
                changes.append(Change("files", "delete", exchange.path(params["lab"]), "no node needs it"))
            if groups.exist(params["lab"]):
                changes.append(Change("control groups", "delete", params["lab"], "no node needs them"))
        result = {
            "before": [state_of(node.name, node.image, node.init) for node in have],
            "after": plan.after(have, params["image"] or ""),
            "changes": [change.shown() for change in changes],
            "changed": bool(changes),
        }
        result["diff"] = {"before": {"nodes": result["before"]}, "after": {"nodes": result["after"]}}
        if not module.check_mode:
            action = Run(params, plan, have)
            failures = action.carry_out()
            result.update(action.result)
            for text in action.warnings:
                module.warn(text)
            if failures:
                result["after"] = [state_of(node.name, node.image, node.init) for node in gather_nodes(params["lab"])]
                result["changed"] = bool(plan.boot) or result["after"] != result["before"]
                module.fail_json(msg="\n".join(failures), **result)
        return result


def main():
    module = AnsibleModule(
        argument_spec={
            "lab": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "image": {"type": "path"},
            "config": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "init": {"type": "str", "choices": [MINIMAL, SYSTEMD], "default": MINIMAL},
                },
            },
            "state": {
                "type": "str",
                "choices": ["merged", "overridden", "deleted", "rebooted", "gathered"],
                "default": "merged",
            },
            "timeout": {"type": "int", "default": 60},
            "grace": {"type": "int", "default": 30},
        },
        required_if=[("state", "merged", ["image"]), ("state", "overridden", ["image"])],
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except (OSError, TimeoutError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
