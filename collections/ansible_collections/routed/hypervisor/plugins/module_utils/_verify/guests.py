# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies guests that may run on any hypervisor, wherever they are. Private to this collection."""

from __future__ import annotations

from .._agent.follow.status import status
from .._netlink.codec import ROUTE, address_text, packed, to_destinations
from .._netlink.kernel import FAMILIES, Kernel
from . import probes

ANSWER_S = 1.0


def verify_followed(expected):
    """On a hypervisor: the agent runs, and ports, routes and firewall are as it decides."""
    kernel = Kernel()
    try:
        found = status(kernel, expected["followed"], proxy_ndp=expected.get("proxy_ndp"))
    finally:
        kernel.close()
    wrong = [*found.problems, *found.differences]
    places = [f"{name} {entry['place']}" for name, entry in found.guests.items()]
    answering = f"{len(expected.get('proxy_ndp', {}).get('ports', ()))} ports of other guests"
    return not wrong, "; ".join([*wrong, *places, answering])


def verify_announced(expected):
    """On another router: every guest that a hypervisor announces replies."""
    kernel = Kernel()
    try:
        announced = _announced(kernel, expected["addresses"], expected["table"])
    finally:
        kernel.close()
    answers = probes.echo([{"to": address} for address in announced], ANSWER_S)
    silent = [address for address, answer in zip(announced, answers, strict=True) if not answer.received]
    if silent:
        return False, f"no reply from {', '.join(silent)}"
    return True, f"{len(announced)} of {len(expected['addresses'])} addresses are announced, and reply"


def _announced(kernel, addresses, table):
    """Those to which there is a host route."""
    wanted = {packed(address) for address in addresses}
    may_be = to_destinations([(address, len(address) * 8) for address in wanted])
    routes = [route for family in FAMILIES.values() for route in kernel.dump(ROUTE, {"family": family}, (), may_be)]
    found = {route.destination for route in routes if route.table == table and route.destination in wanted}
    return [address_text(address) for address in sorted(found)]
