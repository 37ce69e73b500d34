# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes everything that the agent has made for guests. Private to this collection."""

from __future__ import annotations

import typing as t

from ..._engine.change import Change
from ..._netlink.codec import address_text
from ..._netlink.kernel import Kernel
from . import firewall, ports, routes
from .decide import decide
from .guests import Guests
from .seen import Seen


def release_all(kernel: Kernel, check_mode: bool) -> list[Change[t.Any]]:
    """The changes made, or predicted in check mode. Under the host's lock."""
    guests = Guests({})
    seen = Seen({})
    seen.read(kernel.network)
    decision = decide(guests, seen, {})
    names = sorted(seen.links[index].name for index in decision.released if index in seen.links)
    answering = sorted({*ports.with_entries(kernel)} - {*names})
    why = "no guests are followed any more"
    changes: list[Change[t.Any]] = [
        Change("routes", "delete", f"{address_text(address)} in table {table}", why)
        for table, address in sorted(seen.own)
    ]
    changes += [Change("interfaces", "change", name, why) for name in names]
    changes += [Change("proxy_arp", "change", name, why) for name in answering]
    if changes and not check_mode:
        routes.write(kernel.network, seen.own, {})
        _done, refused = ports.release(kernel, names)
        refused += ports.configure(kernel, ports.no_entries(answering))[1]
        if refused:
            raise OSError("; ".join(refused))
        firewall.bring(firewall.wanted(guests, {}))
    return changes
