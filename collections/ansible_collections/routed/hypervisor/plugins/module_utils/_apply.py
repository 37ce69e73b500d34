# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan, step by step, in an order that the kernel accepts. Private to this collection."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from ansible_collections.routed.hypervisor.plugins.module_utils._kernel import Kernel, KernelError
from ansible_collections.routed.hypervisor.plugins.module_utils._plan import Change


class Phase(enum.IntEnum):
    """The order of the steps. What stands on other things goes first and comes last."""

    REMOVE_RULES = 1
    REMOVE_ROUTES = 2
    REMOVE_PROXIES = 3
    REMOVE_LINKS = 4
    REMOVE_VRFS = 5
    HOST_SYSCTLS = 10  # before those of an interface: all.forwarding overwrites every interface's
    VRFS = 11
    LINKS = 12
    MASTERS = 13  # before addresses: joining a VRF takes the IPv6 addresses away
    LINK_ATTRIBUTES = 14
    LINK_SYSCTLS = 15  # before up: accept_dad, accept_ra, addr_gen_mode act at that moment
    LINK_STATES = 16
    ADD_ADDRESSES = 17  # before removals: with its last IPv4 address an interface loses its routes
    REMOVE_ADDRESSES = 18
    RESTORE_ADDRESSES = 19
    PROXIES = 20
    ROUTES = 21
    RULES = 22


@dataclasses.dataclass
class Step:
    phase: Phase
    text: str
    run: t.Callable[[Kernel], None]


class Failed(Exception):
    """A step failed; `done` and `not_done` are changes."""

    def __init__(self, text: str, done: list[Change], not_done: list[Change]) -> None:
        super().__init__(text)
        self.done = done
        self.not_done = not_done


def apply(kernel: Kernel, work: list[tuple[Change, list[Step]]]) -> None:
    steps = sorted(
        ((step, number) for number, (_change, its_steps) in enumerate(work) for step in its_steps),
        key=lambda pair: pair[0].phase,
    )
    left = [len(its_steps) for _change, its_steps in work]
    for step, number in steps:
        try:
            step.run(kernel)
        except (KernelError, OSError) as error:
            done = [change for number, (change, _steps) in enumerate(work) if not left[number]]
            not_done = [change for number, (change, _steps) in enumerate(work) if left[number]]
            raise Failed(f"cannot {step.text}: {error}", done, not_done) from error
        left[number] -= 1
