# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings back what this host had in an earlier revision. Private to this collection.

Unlike the undoing of an armed change, it leaves objects of others alone: they have changed since, for good reasons. The
kernel is brought to the stored state by the engine, as a run does it, and the daemons to their former files.
"""

from __future__ import annotations

import base64
import typing as t

from ..._daemon.nftables import NftablesError
from ..._engine.apply import Failed
from ..._engine.change import Change
from ..._engine.former import PATH, Former
from ..._engine.lock import host_lock
from ..._engine.plan import Refused
from ..._engine.snapshot import Snapshot
from ..._netlink.kernel import Kernel
from ..._network import network, restoring
from .. import daemons, firewall
from .. import stored as states
from . import applied, files, services
from .record import ArmingError


def revert(revision: applied.Revision, check_mode: bool) -> list[Change[t.Any]]:
    """The changes. Raises ArmingError."""
    state = _state(revision["files"])
    try:
        with host_lock():
            changes = _tables(state, not check_mode)
            changes += _kernel(state, check_mode)
            changes += _files(revision, check_mode)
    except (Failed, NftablesError) as error:
        raise ArmingError(f"the revision could not be applied: {error}") from error
    except Refused as refused:
        raise ArmingError(f"the revision cannot be applied: {'; '.join(refused.mistakes)}") from refused
    return changes


def _state(stored: list[files.Entry]) -> states.Stored:
    path = f"{states.DIRECTORY}/{states.CURRENT}"
    [content] = [entry["content"] for entry in stored if entry["path"] == path]
    try:
        state = states.decode(base64.b64decode(content))
    except states.Unusable as error:
        raise ArmingError(f"the state of this revision {error}") from error
    if states.this_machine().is_other(state.machine):
        raise ArmingError(f"the revision is for another machine ({state.host}, hostname {state.machine.name})")
    return state


def _tables(state: states.Stored, apply: bool) -> list[Change[t.Any]]:
    changes: list[Change[t.Any]] = []
    for table in state.tables:
        difference = firewall.bring(table, apply)
        if difference:
            changes.append(Change("tables", "replace", f"inet {table['table']}", difference))
    return changes


def _kernel(state: states.Stored, check_mode: bool) -> list[Change[t.Any]]:
    kernel = Kernel()
    try:
        former = Former(PATH)
        wanted, mistakes = network.parse(state.network, "overridden")
        snapshot = Snapshot(kernel)
        outcome = network.plan_all(snapshot, wanted, "overridden", [], mistakes, former, keeps_path=False)
        changes = outcome.all_changes()
        if check_mode:
            return changes
        if changes:
            restoring.note(former, outcome, snapshot)
            network.carry_out(kernel, outcome)
        left = network.differences(Snapshot(kernel), wanted, "overridden", former)
        if left:
            raise ArmingError(f"the kernel accepted the changes, but: {'; '.join(left)}")
        restoring.settle(former, wanted, outcome)
        return changes
    finally:
        kernel.close()


def _files(revision: applied.Revision, check_mode: bool) -> list[Change[t.Any]]:
    wanted = revision["files"]
    have = applied.of_revision(files.store())
    different = files.differences(wanted, have)
    changes: list[Change[t.Any]] = [Change("files", "change", path, "the revision differs") for path in different]
    ran, runs = revision["services"], services.read()
    for name in sorted(ran.keys() | runs.keys()):
        if bool(ran.get(name)) != bool(runs.get(name)):
            changes.append(Change("services", "start" if ran.get(name) else "stop", name, "the revision differs"))
    if check_mode:
        return changes
    restored, problems = files.restore(wanted, have)
    problems += services.read_again(restored)
    problems += services.restore(ran, restored)
    problems += daemons.late(apply=True)[1]
    if problems:
        raise ArmingError(f"the revision is not complete: {'; '.join(problems)}")
    return changes
