# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to write into a routing table and what to remove from it. No kernel and no BGP here. Private to this
collection."""

from __future__ import annotations

import typing as t

from ..._netlink.marks import FOLLOWED
from .host import Action
from .model import OURS, Prefix, Route

Want = dict[tuple[Prefix, int], Route]


class Plan(t.NamedTuple):
    actions: list[Action]
    blocked: list[tuple[Route, Route]]  # ours that cannot be written, and the route with the same key
    beside: list[tuple[Route, Route]]  # ours, and someone else's of the same prefix


def make(
    want: t.Iterable[Route],
    have: t.Iterable[Route],
    may_remove: t.Callable[[Route], bool] = lambda route: True,
    may_shrink: bool = True,
) -> Plan:
    """The changes that lead from `have` to `want`. Routes of other protocols are never changed.

    The kernel replaces by prefix and metric, whoever wrote the route. So if someone else's route has the same prefix
    and metric, ours cannot be written. `may_remove` decides whether a route of ours that is not wanted is removed.
    Without `may_shrink`, a route that has all wanted hops and others stays as it is.
    """
    wanted: Want = {route.key: route for route in want}
    ours: dict[tuple[Prefix, int], list[Route]] = {}
    others: dict[tuple[Prefix, int], Route] = {}
    others_of: dict[Prefix, Route] = {}
    for route in have:
        if route.protocol in OURS:
            ours.setdefault(route.key, []).append(route)
        elif route.protocol != FOLLOWED:  # those to guests have metrics of their own
            others[route.key] = others_of[route.prefix] = route
    plan = Plan([], [], [])
    for key, existing in ours.items():
        wish = wanted.get(key)
        for route in existing:
            if (wish is None and may_remove(route)) or (wish is not None and route.protocol != wish.protocol):
                plan.actions.append(Action("remove", route))
    for key, wish in wanted.items():
        existing = [route for route in ours.get(key, []) if route.protocol == wish.protocol]
        if key in others:
            plan.blocked.append((wish, others[key]))
            plan.actions.extend(Action("remove", route) for route in existing if route != wish)
            continue
        if wish.prefix in others_of:
            plan.beside.append((wish, others_of[wish.prefix]))
        if [wish] == existing or (not may_shrink and any(_covers(route, wish) for route in existing)):
            continue
        plan.actions.append(Action("write", wish))
    return plan


def _covers(route: Route, wish: Route) -> bool:
    return set(route.hops) > set(wish.hops)
