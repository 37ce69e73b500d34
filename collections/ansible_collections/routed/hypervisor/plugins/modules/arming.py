#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: arming
short_description: A change of a host that undoes itself unless it is confirmed
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Before the first change, O(state=armed) stores what is on the host, with the program that brings it back, in
    C(/var/lib/routed-hypervisor/armed), and starts a timer of systemd. Unless the change is confirmed before the timer
    ends, the former state is brought back, also by the next boot.
  - What is stored is the network of the kernel, our tables of nftables, the files that roles of this collection write,
    and which of its services run.
  - Arming needs systemd.
attributes:
  check_mode:
    support: full
    description: Refuses what a run would refuse, and changes nothing.
  diff_mode:
    support: none
    description: There is nothing to show.
  idempotent:
    support: none
    description: A second armed change is refused, and nothing can be confirmed twice.
options:
  by:
    description: Who changes the host, for messages. Required if O(state=armed).
    type: str
  confirm_s:
    description: The time in which the change must be confirmed, in seconds.
    type: float
    default: 120
  fabric:
    description: The name of the fabric, for O(state=confirmed), and required for O(state=reverted).
    type: str
  revision:
    description:
      - The name of what O(state=confirmed) keeps, a time such as V(20260131T120000Z), the same for all hosts that a run
        has changed. By default the present time.
      - For O(state=reverted), the revision to go back to.
    type: str
  probes:
    description: What must work with the revision that O(state=confirmed) keeps, as for M(routed.hypervisor.verify).
    type: list
    elements: dict
    default: []
  extend:
    description:
      - The change is armed already, and O(confirm_s) begins anew. Each stage of a run does this before it changes
        anything. If the change was rolled back in the meantime, it fails, so that the run does not go on.
    type: bool
    default: false
  new_connection:
    description: Refuse to confirm over the SSH connection that armed the change, because it may outlive the path.
    type: bool
    default: true
  required:
    description: Whether a host without systemd is an error. If not, nothing is armed there, with a warning.
    type: bool
    default: true
  program:
    description: The program, encoded in Base64. Set by the action plugin.
    type: str
  program_digest:
    description: The SHA-256 digest of the program without byte code. Set by the action plugin.
    type: str
  state:
    description:
      - V(confirmed) keeps the change. The last ten confirmed states are kept in
        C(/var/lib/routed-hypervisor/applied), for root only.
      - V(rolled_back) brings the former state back now.
      - V(reverted) brings the host to what it had in O(revision), or in the newest one before it. These are our objects
        in the kernel, our tables of nftables, files and services. Objects of others stay as they are. Arm the host
        before.
      - V(unarmed) is for hosts whose changes need no confirmation. It refuses if a change is armed, and forgets that
        the last one was rolled back.
    type: str
    choices: [armed, confirmed, reverted, rolled_back, unarmed]
    default: armed
"""

EXAMPLES = r"""
- name: Undo what follows unless it is confirmed within two minutes
  routed.hypervisor.arming:
    by: "{{ lookup('ansible.builtin.env', 'USER') }}"
    confirm_s: 120

- name: Keep the change
  routed.hypervisor.arming:
    state: confirmed

- name: Go back to what this host had
  routed.hypervisor.arming:
    state: reverted
    fabric: production
    revision: 20260131T120000Z
"""

RETURN = r"""
armed:
  description: Whether a change is armed.
  type: bool
  returned: if O(state=armed)
  sample: true
changes:
  description: The changes, in order.
  type: list
  elements: dict
  returned: if O(state=reverted)
  contains:
    kind: {description: The kind of object., type: str}
    op: {description: What is done with it., type: str}
    name: {description: Which one., type: str}
    before: {description: Attributes that differ., type: dict}
    after: {description: Attributes that differ., type: dict}
    why: {description: The reason., type: str}
  sample:
    - {kind: files, op: change, name: /etc/bird/bird.conf, before: {}, after: {}, why: the revision has another one}
revision:
  description: The revision of this host, which may be older than O(revision).
  type: str
  returned: if O(state=reverted)
  sample: 20260131T120000Z
revisions:
  description: All revisions that this host has.
  type: list
  elements: str
  returned: if O(state=reverted)
  sample: [20260131T120000Z]
probes:
  description: What must work with this revision.
  type: list
  elements: dict
  returned: if O(state=reverted)
  sample: []
problems:
  description: What a rollback could not restore.
  type: list
  elements: str
  returned: if O(state=rolled_back)
  sample: []
"""

import base64
import os
import typing as t

from ansible.module_utils.basic import missing_required_lib

from ..module_utils._agent import install, units
from ..module_utils._agent.arming import applied, change, revert
from ..module_utils._agent.arming.record import ArmingError
from ..module_utils._daemon import files as disk
from ..module_utils._daemon.files import FileError
from ..module_utils._daemon.service import ServiceError, has_systemd
from ..module_utils._engine.lock import Held
from ..module_utils._fast.ansible_module import FastModule
from ..module_utils._fast.garbage import no_collections
from ..module_utils._netlink.kernel import NoPyroute2

STATES = ["armed", "confirmed", "reverted", "rolled_back", "unarmed"]
ARGUMENTS = {
    "fabric": {"type": "str"},
    "revision": {"type": "str"},
    "probes": {"type": "list", "elements": "dict", "default": []},
    "by": {"type": "str"},
    "confirm_s": {"type": "float", "default": 120},
    "extend": {"type": "bool", "default": False},
    "new_connection": {"type": "bool", "default": True},
    "required": {"type": "bool", "default": True},
    "program": {"type": "str"},
    "program_digest": {"type": "str"},
    "state": {"type": "str", "choices": STATES, "default": "armed"},
}


def manage(module: FastModule) -> dict[str, t.Any]:
    """The result. Arming and confirming leave nothing that counts as a change."""
    given = module.params
    if given["state"] == "armed":
        return _arm(module)
    if given["state"] == "reverted":
        return _revert(module)
    if given["state"] == "unarmed":
        change.waive(module.check_mode)
    elif module.check_mode:  # the change was armed in prediction only
        return {"changed": given["state"] == "rolled_back"}
    elif given["state"] == "confirmed":
        named = {"name": given["revision"]} if given["revision"] else {}
        made = applied.Made(fabric=given["fabric"] or "", probes=given["probes"], **named)
        change.confirm(given["new_connection"], made)
    else:
        _done, problems = change.roll_back(expired=False)
        for problem in problems:
            module.warn(problem)
        return {"changed": True, "problems": problems}
    return {"changed": False}


def _arm(module: FastModule) -> dict[str, t.Any]:
    given = module.params
    if given["extend"]:
        if not module.check_mode:
            change.extend(given["confirm_s"])
        return {"changed": False, "armed": True}
    if not given["required"] and not has_systemd():
        module.warn("systemd does not run here: changes of this host do not undo themselves")
        return {"changed": False, "armed": False}
    missing = [name for name in ("by", "program_digest") if given[name] is None]
    if missing:
        raise ArmingError(f"state is armed, but missing: {', '.join(missing)}")
    if module.check_mode:
        change.refuse(given["confirm_s"])
        return {"changed": False, "armed": True}
    program = None if given["program"] is None else base64.b64decode(given["program"])
    content = install.program_for(disk.read(units.PROGRAM), program, given["program_digest"])
    if content is None:
        return {"changed": False, "needs_program": True}
    change.arm(given["by"], given["confirm_s"], content)
    return {"changed": False, "armed": True}


def _revert(module: FastModule) -> dict[str, t.Any]:
    given = module.params
    missing = [name for name in ("fabric", "revision") if given[name] is None]
    if missing:
        raise ArmingError(f"state is reverted, but missing: {', '.join(missing)}")
    name, revision = applied.find(given["revision"], given["fabric"])
    changes = revert.revert(revision, module.check_mode)
    result = {"revision": name, "revisions": applied.names(), "probes": revision["probes"]}
    return {"changed": bool(changes), "changes": [change.shown() for change in changes], **result}


def main() -> None:
    with no_collections():
        module = FastModule(ARGUMENTS, checked=[])
        if os.geteuid() != 0:
            module.fail_json(msg="Arming a change needs root: use become: true.")
        try:
            result = manage(module)
        except NoPyroute2 as error:
            missing = missing_required_lib("pyroute2", reason="(Debian: python3-pyroute2)")
            module.fail_json(msg=missing, exception=str(error))
        except (ArmingError, install.InstallError, FileError, Held, ServiceError, OSError) as error:
            module.fail_json(msg=str(error))
        module.exit_json(**result)


if __name__ == "__main__":
    main()
