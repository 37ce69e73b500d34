#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: agent
short_description: The program that restores a host's network at boot, and the state that it restores
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Installs C(/usr/local/sbin/routed-hypervisor), a program that needs neither Ansible nor pip on the host, and stores
    the network and the tables of nftables for it in C(/var/lib/routed-hypervisor). Where systemd runs, a unit applies
    them at boot, before the daemons. A service follows guests and containers as they come and go.
  - Only a network that is in the kernel is stored. If the kernel differs, the module fails and the state of the last
    successful run remains.
  - The state before is kept and used if the current one is damaged.
  - On a host without systemd, nothing starts the program at boot; C(routed-hypervisor apply --boot) does the same.
attributes:
  check_mode:
    support: full
    description: Reports exactly what a run would do, provided that the runs before have made the network.
  diff_mode:
    support: full
    description: Shows how files and the stored state differ. There are no secrets in them.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  host:
    description: The name of the host in the inventory. Required if O(state=present).
    type: str
  network:
    description: The network, as O(routed.hypervisor.network#module:config). Required unless
      O(state=absent).
    type: dict
  tables:
    description: Tables of nftables, with the options of M(routed.hypervisor.nftables).
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description: Name of the table, of family C(inet).
        type: str
        default: routed_hypervisor
      text:
        description: The input of C(nft --file). If not given, the table is deleted.
        type: str
      required:
        description: Whether a kernel without nftables of family C(inet) is an error.
        type: bool
        default: true
  guests:
    description:
      - Guests that may run on any hypervisor, as the inventory plugin resolves them (C(followed_guests)). If there are
        any, the unit C(routed-hypervisor-run) follows them as they start, stop and move.
      - If there are none any more, what the unit has made for guests is removed.
    type: dict
  proxy_ndp:
    description:
      - Ports of guests that a run configures, and the addresses for which to answer neighbor solicitations there, as
        the inventory plugin resolves them (C(proxy_ndp)). If there are any, the unit C(routed-hypervisor-run) answers,
        by entries of the kernel or by itself.
      - If there are none any more, these entries are removed.
    type: dict
  routing_manager:
    description:
      - Instances of GoBGP and their routing tables, as the inventory plugin resolves them (C(routing_manager)). If
        there are any, the unit C(routed-hypervisor-run) keeps both in step, as containers come and go.
      - If there are none any more, the routes to containers and those learned from GoBGP are removed.
      - A service C(routed-hypervisor-routes) of an earlier version is removed; its routes stay, and are taken over.
    type: dict
  program:
    description: The program, encoded in Base64. Set by the action plugin.
    type: str
  program_digest:
    description: The SHA-256 digest of the program without byte code. Set by the action plugin.
    type: str
  state:
    description:
      - V(prepared) is for a host whose network has not been made yet. It writes only the files by which
        systemd-networkd and NetworkManager leave the links of O(network) alone, and makes those that run read them.
      - V(absent) removes the program, its unit and the stored state. The network itself remains.
    type: str
    choices: [present, prepared, absent]
    default: present
"""

EXAMPLES = r"""
- name: Restore this host's network at boot
  routed.hypervisor.agent:
    host: "{{ inventory_hostname }}"
    network: "{{ network }}"

- name: Keep other managers of interfaces away from this host's network before it is made
  routed.hypervisor.agent:
    network: "{{ network }}"
    state: prepared

- name: Remove the agent
  routed.hypervisor.agent:
    state: absent
"""

RETURN = r"""
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  type: list
  elements: dict
  returned: success
  sample:
    - kind: files
      op: create
      name: /var/lib/routed-hypervisor/state
      before: {}
      after: {}
      why: it does not exist
"""

import base64
import contextlib
import os
import typing as t

from ansible.module_utils.basic import missing_required_lib

from ..module_utils._agent import install, units
from ..module_utils._agent import stored as states
from ..module_utils._agent.arming import change
from ..module_utils._agent.arming.record import ArmingError
from ..module_utils._agent.routing.settings import Settings
from ..module_utils._daemon.files import FileError
from ..module_utils._daemon.nftables import TABLE
from ..module_utils._daemon.service import ServiceError
from ..module_utils._engine.lock import Held, host_lock
from ..module_utils._engine.plan import Refused
from ..module_utils._engine.snapshot import Snapshot
from ..module_utils._fast.ansible_module import FastModule
from ..module_utils._fast.garbage import no_collections
from ..module_utils._netlink.kernel import Kernel, NoPyroute2
from ..module_utils._network import network

ARGUMENTS = {
    "host": {"type": "str"},
    "network": {"type": "dict"},
    "tables": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "table": {"type": "str", "default": TABLE},
            "text": {"type": "str"},
            "required": {"type": "bool", "default": True},
        },
    },
    "guests": {"type": "dict"},
    "proxy_ndp": {"type": "dict"},
    "routing_manager": {"type": "dict"},
    "program": {"type": "str"},
    "program_digest": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "prepared", "absent"], "default": "present"},
}
LISTED = 5  # differences in a message


def differences(config: dict[str, t.Any]) -> list[str]:
    """Why this network must not be stored."""
    wanted, mistakes = network.parse(config, "overridden", "network.")
    if mistakes:
        return mistakes
    kernel = Kernel()
    try:
        return network.differences(Snapshot(kernel), wanted, "overridden")
    except Refused as refused:
        return refused.mistakes
    finally:
        kernel.close()


def manage(module: FastModule) -> install.Outcome:
    given = module.params
    if given["state"] == "absent":
        change.waive(module.check_mode)
        return install.remove(module.check_mode)
    needed = ("network",) if given["state"] == "prepared" else ("host", "network", "program_digest")
    missing = [name for name in needed if given[name] is None]
    if missing:
        raise install.InstallError(f"state is {given['state']}, but missing: {', '.join(missing)}")
    if given["state"] == "prepared":
        return install.prepare(given["network"], given["guests"] or {}, module.check_mode)
    if not module.check_mode:  # the stages that make the network have only predicted it there
        found = differences(given["network"])
        if found:
            more = [f"and {len(found) - LISTED} more"] if len(found) > LISTED else []
            listed = "; ".join([*found[:LISTED], *more])
            raise install.InstallError(
                f"the kernel differs from this network, which is therefore not stored: run the stage network ({listed})"
            )
    followed = [given[name] or {} for name in ("guests", "routing_manager", "proxy_ndp")]
    stored = states.Stored(given["host"], states.this_machine(), given["network"], given["tables"], *followed)
    try:
        Settings(stored.routing_manager)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise install.InstallError(f"routing_manager is not as the inventory plugin resolves it: {error!r}") from error
    program = None if given["program"] is None else base64.b64decode(given["program"])
    return install.install(stored, program, given["program_digest"], module.check_mode)


def main() -> None:
    with no_collections():
        module = FastModule(ARGUMENTS, checked=["network", "guests", "routing_manager", "proxy_ndp"])
        if os.geteuid() != 0:
            module.fail_json(msg="Installing the agent needs root: use become: true.")
        try:
            absent = module.params["state"] == "absent"
            with contextlib.nullcontext() if module.check_mode else host_lock(also_after_rollback=absent):
                outcome = manage(module)
            if module.params["state"] == "present":
                install.enable(outcome, module.check_mode)
        except NoPyroute2 as error:
            missing = missing_required_lib("pyroute2", reason="(Debian: python3-pyroute2)")
            module.fail_json(msg=missing, exception=str(error))
        except (ArmingError, install.InstallError, FileError, Held, ServiceError, OSError) as error:
            module.fail_json(msg=str(error))
        for warning in units.warnings(os.path.exists) if outcome.changes else ():
            module.warn(warning)
        result = {"changed": bool(outcome.changes), "changes": [change.shown() for change in outcome.changes]}
        if module._diff:
            result["diff"] = outcome.diff
        if outcome.needs_program:
            result["needs_program"] = True
        module.exit_json(**result)


if __name__ == "__main__":
    main()
