# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes routes of the routing manager in tables that it does not follow: nothing else would. Private to this
collection."""

from __future__ import annotations

import collections
import typing as t

from ..._netlink.codec import ROUTE
from ..._netlink.sockets import Network
from .host import IP, Action, request_of, route_of
from .model import OURS


def release(network: Network, followed: t.Collection[int] = (), check_mode: bool = False) -> dict[int, int]:
    """The number of routes removed, or predicted in check mode, by table."""
    found = [
        (entry.table, Action("remove", route))
        for family in IP
        for protocol in OURS
        for entry in network.dump(ROUTE, {"family": family, "proto": protocol})
        if entry.protocol == protocol and entry.table not in followed and (route := route_of(entry))
    ]
    if found and not check_mode:
        network.exchange([request_of(table, action) for table, action in found])
    return dict(sorted(collections.Counter(table for table, _action in found).items()))
