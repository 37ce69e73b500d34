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
  state:
    description:
      - V(merged) creates the nodes in O(config) that are missing.
      - V(overridden) also removes the nodes of the lab that are not in O(config).
      - V(deleted) removes the nodes in O(config), or all nodes of the lab if O(config) is empty. With the last node,
        the directory C(/run/routed-hypervisor/LAB) is removed.
      - V(gathered) only returns the current state.
    type: str
    choices: [merged, overridden, deleted, gathered]
    default: merged
  timeout:
    description:
      - How many seconds a node may take to become ready, or to end.
    type: int
    default: 60
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
  sample: [{name: hv1, image: /var/cache/images/bookworm}]
after:
  description: The nodes of the lab after; in check mode, as they would be.
  returned: if O(state) is not V(gathered)
  type: list
  elements: dict
  sample: [{name: hv1, image: /var/cache/images/bookworm}]
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
      after: {image: /var/cache/images/bookworm}
      why: it is not running
gathered:
  description: The running nodes of the lab.
  returned: if O(state) is V(gathered)
  type: list
  elements: dict
  sample: [{name: hv1, pid: 4711, image: /var/cache/images/bookworm, owner: /srv/inventories/example}]
"""

import os
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine.change import Change
from ..module_utils._lab import exchange
from ..module_utils._lab.node import INIT, Plan, gather_nodes, name_mistakes, plan_nodes, state_of, stop_nodes
from ..module_utils._lab.start import Recipe, start_nodes


def image_mistakes(image: str) -> list[str]:
    if not os.path.isdir(image):
        return [f"image: there is no directory {image}"]
    if not os.access(os.path.join(image, INIT), os.X_OK):
        return [f"image: {image} has no {INIT} (Debian package catatonit)"]
    return []


def kernel_mistakes() -> list[str]:
    with open("/proc/filesystems", encoding="ascii") as file:
        known = {line.split()[-1] for line in file}
    if "overlay" not in known and os.system("modprobe -q overlay 2>/dev/null") != 0:
        return ["this kernel has no overlay file system, which lab nodes need (try: modprobe overlay)"]
    return []


def mistakes_in(params: dict, names: list[str]) -> list[str]:
    mistakes = name_mistakes(params["lab"], names)
    if os.geteuid() != 0:
        mistakes.append("only root can create lab nodes: run this as root")
    elif params["state"] in ("merged", "overridden"):
        mistakes += kernel_mistakes()
    if params["image"] and params["state"] in ("merged", "overridden"):
        mistakes += image_mistakes(params["image"])
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


def carry_out(params: dict, plan: Plan, have: list) -> list[str]:
    """Applies the plan; returns a message for each failure."""
    lab, timeout = params["lab"], params["timeout"]
    failures = stop_nodes(lab, [node for node, why in plan.stop], timeout)
    for node, _why in plan.stop:
        exchange.forget_pid(lab, node.name)
    if params["state"] == "deleted":
        if not failures and len(plan.stop) == len(have):
            exchange.remove(lab)
        return failures
    if failures:
        return failures
    exchange.prepare(lab)
    recipe = Recipe(lab, params["image"], params["owner"] or "", exchange.path(lab), timeout)
    ready, failures = start_nodes(recipe, plan.start)
    for name, pid in ready.items():
        exchange.note_pid(lab, name, pid)
    return failures


def run(module: AnsibleModule) -> dict:
    params = module.params
    names = [item["name"] for item in params["config"]]
    if params["image"]:
        params["image"] = os.path.realpath(params["image"])
    mistakes = mistakes_in(params, names)
    if mistakes:
        module.fail_json(msg="\n".join(mistakes))
    if params["state"] == "gathered":
        return {"changed": False, "gathered": [asdict(node) for node in gather_nodes(params["lab"])]}

    with exchange.locked(params["timeout"]):
        have = gather_nodes(params["lab"])
        mistake = owner_mistake(params, have)
        if mistake:
            module.fail_json(msg=mistake)
        plan = plan_nodes(params["state"], have, names, params["image"] or "")
        changes = plan.changes(params["image"] or "")
        if params["state"] == "deleted" and not have and exchange.exists(params["lab"]):
            changes.append(Change("files", "delete", exchange.path(params["lab"]), "no node needs it"))
        result = {
            "before": [state_of(node.name, node.image) for node in have],
            "after": plan.after(have, params["image"] or ""),
            "changes": [change.shown() for change in changes],
            "changed": bool(changes),
        }
        result["diff"] = {"before": {"nodes": result["before"]}, "after": {"nodes": result["after"]}}
        if not module.check_mode:
            failures = carry_out(params, plan, have)
            if failures:
                result["after"] = [state_of(node.name, node.image) for node in gather_nodes(params["lab"])]
                result["changed"] = result["after"] != result["before"]
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
                "options": {"name": {"type": "str", "required": True}},
            },
            "state": {"type": "str", "choices": ["merged", "overridden", "deleted", "gathered"], "default": "merged"},
            "timeout": {"type": "int", "default": 60},
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
