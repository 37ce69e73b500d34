# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the network to a stored state as far as possible. Private to this collection.

The plan and its order are those of the module `network`, which changes nothing unless it can change everything. At
boot there is nobody to correct a mistake: what cannot be done is reported and left out, and the rest is done.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._engine.apply import Failed
from .._engine.change import Change
from .._engine.plan import Refused
from .._engine.snapshot import Snapshot
from .._netlink.kernel import Kernel
from .._network import network
from .uplinks import Config

ROUNDS = 50  # each leaves at least one object out
PLACE = re.compile(r"\w+\[\d+\]")


@dataclasses.dataclass
class Report:
    changes: list[Change[t.Any]] = dataclasses.field(default_factory=list)
    differences: list[str] = dataclasses.field(default_factory=list)  # what is not as stored
    errors: list[str] = dataclasses.field(default_factory=list)  # sentences
    ports: list[str] = dataclasses.field(default_factory=list)  # absent guests' ports: not a problem
    uplinks: list[str] = dataclasses.field(default_factory=list)  # absent ones

    @property
    def problems(self) -> list[str]:
        return [*(f"{name} is absent; what needs it is left out" for name in self.uplinks), *self.errors]


@dataclasses.dataclass
class Plan:
    """One attempt after the other, each without what turned out to be impossible."""

    kernel: Kernel
    config: Config
    left_out: set[str] = dataclasses.field(default_factory=set)  # places, such as `routes[3]`
    report: Report = dataclasses.field(default_factory=Report)
    state: str = "overridden"
    keeps_path: bool = True

    def outcome(self) -> tuple[network.Wanted, network.Outcome] | None:
        """None if something had to be left out first."""
        wanted, mistakes = network.parse(self.config, self.state)
        mistakes[:] = [mistake for mistake in mistakes if _place(mistake) not in self.left_out]
        wanted = {kind: [item for item in items if item.place not in self.left_out] for kind, items in wanted.items()}
        if not mistakes:
            try:
                found = network.plan_all(
                    Snapshot(self.kernel), wanted, self.state, uplinks_may_be_absent=True, keeps_path=self.keeps_path
                )
                self.report.ports = sorted(found.planned.absent)
                self.report.uplinks = sorted(found.planned.absent_uplinks)
                return wanted, found
            except Refused as refused:
                mistakes = refused.mistakes
        self.report.errors += mistakes
        self.leave_out({_place(mistake) for mistake in mistakes})
        return None

    def leave_out(self, places: set[str | None]) -> None:
        new = {place for place in places if place} - self.left_out
        if not new and self.state == "replaced":
            raise Stuck
        self.left_out |= new
        # An object that is left out must not be taken for one that is no longer wanted.
        self.state = "replaced"


class Stuck(Exception):
    """Nothing can be left out to get further."""


def converge(kernel: Kernel, config: Config, keeps_path: bool = True) -> Report:
    plan = Plan(kernel, config, keeps_path=keeps_path)
    try:
        for _round in range(ROUNDS):
            if _attempt(plan):
                return plan.report
    except Stuck:
        pass
    except OSError as error:
        plan.report.errors.append(f"the kernel refused: {error}")
        return plan.report
    plan.report.errors.append("the network is incomplete, because of the errors above")
    return plan.report


def _attempt(plan: Plan) -> bool:
    planned = plan.outcome()
    if planned is None:
        return False
    wanted, outcome = planned
    changes = outcome.all_changes()
    if not changes:
        return True
    try:
        network.carry_out(plan.kernel, outcome)
    except Failed as failed:
        plan.report.changes += failed.done
        plan.report.errors.append(str(failed))
        items = wanted[failed.change.kind]
        plan.leave_out({item.place for item in items if item.key == failed.change.item.key})
        return False
    plan.report.changes += changes
    left = network.differences(Snapshot(plan.kernel), wanted, plan.state)
    plan.report.errors += [f"the kernel accepted the changes, but {text}" for text in left]
    return True


def compare(kernel: Kernel, config: Config) -> Report:
    """What `converge` would do, without doing it."""
    plan = Plan(kernel, config)
    try:
        for _round in range(ROUNDS):
            planned = plan.outcome()
            if planned is not None:
                plan.report.differences = network.described(planned[1])
                break
    except Stuck:
        plan.report.errors.append("the rest was not compared, because of the errors above")
    return plan.report


def _place(mistake: str) -> str | None:
    found = PLACE.match(mistake)
    return found.group() if found else None
