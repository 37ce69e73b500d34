# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the routes to guests. Private to this collection."""

from __future__ import annotations

import errno
import typing as t

from ..._netlink.codec import ROUTE, family_of, pack
from ..._netlink.marks import FOLLOWED
from ..._netlink.sockets import CREATE, EXCLUSIVE, REPLACE, Network, Request
from .guests import Destination
from .seen import LENGTHS, UNICAST

LINK_SCOPE, NOWHERE, UNREACHABLE = 253, 255, 7
GONE = (errno.ESRCH, errno.ENOENT, errno.ENODEV)
Routes = dict[Destination, dict[int, int]]  # by metric: link


def _request(kind: int, flags: int, destination: Destination, metric: int, **fields: int) -> Request:
    table, address = destination
    link = fields.pop("link", None)
    family = family_of(address)
    fields = {"family": family, "dst_len": LENGTHS[family], "proto": FOLLOWED, **fields}
    attributes = [("RTA_DST", address), ("RTA_TABLE", table), ("RTA_PRIORITY", metric), ("RTA_OIF", link)]
    return kind, flags, pack(ROUTE, fields, attributes)


def _add(destination: Destination, metric: int, link: int) -> Request:
    scope = LINK_SCOPE if len(destination[1]) == 4 else 0
    return _request(ROUTE, CREATE | REPLACE, destination, metric, link=link, scope=scope, type=UNICAST)


def _remove(destination: Destination, metric: int, kind: int = UNICAST) -> Request:
    return _request(ROUTE + 1, 0, destination, metric, scope=NOWHERE if len(destination[1]) == 4 else 0, type=kind)


def _unreachable(destination: Destination, metric: int) -> Request:
    return _request(ROUTE, CREATE | EXCLUSIVE, destination, metric, type=UNREACHABLE)


def write(network: Network, have: Routes, want: Routes) -> list[str]:
    """Brings the routes in line, additions first, so that no guest is without a route; what the kernel refused."""
    added = [
        _add(destination, metric, link)
        for destination, metrics in want.items()
        for metric, link in metrics.items()
        if have.get(destination, {}).get(metric) != link
    ]
    removed = [
        _remove(destination, metric)
        for destination, metrics in have.items()
        for metric in metrics
        if metric not in want.get(destination, ())
    ]
    if not added and not removed:
        return []
    errors = network.exchange([*added, *removed])
    refused = [error for error in errors[: len(added)] if error]
    refused += [error for error in errors[len(added) :] if error and error.errno not in GONE]
    return [str(error) for error in refused if error.errno not in GONE]


def announce_lost(network: Network, lost: t.Collection[tuple[Destination, int]]) -> None:
    """Has the kernel send the notification that it did not send when it dropped these with their link.

    The routing daemon would find out only at its next scan. An unreachable route takes the place of the lost one in the
    daemon's view, which withdraws it. If the route exists again, the kernel refuses this, and nothing happens.
    """
    requests = [
        request
        for destination, metric in lost
        for request in (_unreachable(destination, metric), _remove(destination, metric, UNREACHABLE))
    ]
    if requests:
        network.exchange(requests)
