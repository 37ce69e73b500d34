# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies a plan, step by step, in an order that the kernel accepts. Private to this collection."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import typing as t

from .._netlink.kernel import Kernel
from .change import Change


class Phase(enum.IntEnum):
    """The order of the steps. Dependent objects are removed first and created last."""

    REMOVE_RULES = 1
    REMOVE_ROUTES = 2
    REMOVE_PROXIES = 3
    DOOM_LINKS = 4
    REMOVE_LINKS = 5
    REMOVE_VRFS = 6
    REMOVE_NAMESPACES = 7
    NO_GENERATED_ADDRESSES = 8  # before masters: a link that joins a VRF generates its link-local address again
    KEEP_LEARNED_ROUTES = 9  # before forwarding: that drops what router advertisements brought
    HOST_SYSCTLS = 10  # before those of an interface: all.forwarding overwrites every interface's
    NAMESPACES = 11
    VRFS = 12
    LINKS = 13
    MARKS = 14  # only after all links were created: an existing link of that name could be someone else's
    MASTERS = 15  # before addresses: joining a VRF removes the IPv6 addresses
    LINK_ATTRIBUTES = 16
    SLAVES = 17  # after their masters', whose MTU overwrites theirs
    LINK_SYSCTLS = 18  # before up: accept_dad, accept_ra, addr_gen_mode take effect at that moment
    DOWN_ADDRESSES = 19  # before up: the kernel announces an address before it adds the address's local route
    LINK_STATES = 20
    ADD_ADDRESSES = 21  # before removals: an interface that loses its last IPv4 address loses its routes
    REMOVE_ADDRESSES = 22
    RESTORE_ADDRESSES = 23
    PROXIES = 24
    SOURCES = 25  # of routes: the kernel refuses an address while duplicate address detection runs
    ROUTES = 26
    RULES = 27
    REMOVE_OLD_RULES = 28  # after their replacements were added
    OTHERS = 29  # objects of others on links that were briefly down
    USABLE_ADDRESSES = 30  # last: duplicate address detection takes a second or two


@dataclasses.dataclass
class Step:
    phase: Phase
    text: str
    run: t.Callable[[Kernel], None]
    where: str = ""  # the network namespace; "" is the one of this process
    order: int = 0  # within the phase
    place: str | None = None  # where the user wrote what it is for; None: as for the change that it belongs to
    remedies: dict[int, str] = dataclasses.field(default_factory=dict)  # what to do, by error number


class Failed(Exception):
    """A step of `change` failed; `done` and `not_done` are changes."""

    def __init__(
        self, text: str, change: Change[t.Any], done: list[Change[t.Any]], not_done: list[Change[t.Any]]
    ) -> None:
        super().__init__(text)
        self.change = change
        self.done = done
        self.not_done = not_done


def apply(kernel: Kernel, work: list[tuple[Change[t.Any], list[Step]]]) -> None:
    """Sends all steps of a phase to the kernel together, and begins the next phase once all of them have succeeded.

    Steps of one phase must not depend on each other: when one fails, later ones may have been carried out.
    """
    steps = sorted(
        ((step, number) for number, (_change, its_steps) in enumerate(work) for step in its_steps),
        key=lambda pair: (pair[0].phase, pair[0].order),
    )
    left = [len(its_steps) for _change, its_steps in work]
    with kernel.batch() as batch:
        for _phase, together in itertools.groupby(enumerate(steps), key=lambda entry: entry[1][0].phase):
            begun = []
            for position, (step, number) in together:
                batch.step = position
                try:
                    step.run(kernel.at(step.where))
                except OSError as error:
                    batch.failed.setdefault(position, error)
                    break
                begun.append((position, number))
            batch.flush()
            for position, number in begun:
                left[number] -= position not in batch.failed
            if batch.failed:
                position, first = min(batch.failed.items())
                done = [change for number, (change, _steps) in enumerate(work) if not left[number]]
                not_done = [change for number, (change, _steps) in enumerate(work) if left[number]]
                step, number = steps[position]
                change = work[number][0]
                raise Failed(_failure(step, change, first), change, done, not_done) from first


def _failure(step: Step, change: Change[t.Any], error: Exception) -> str:
    place = change.item.place if step.place is None else step.place
    remedy = step.remedies.get(getattr(error, "errno", None) or 0)
    return f"{f'{place}: ' if place else ''}cannot {step.text}: {error}{f'; {remedy}' if remedy else ''}"
