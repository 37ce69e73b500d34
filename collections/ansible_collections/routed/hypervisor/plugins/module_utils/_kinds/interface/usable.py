# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for IPv6 duplicate address detection (RFC 4862). Private to this collection."""

from __future__ import annotations

import errno
import time
import typing as t

from ..._netlink.codec import ADDRESS, IFF_LOWER_UP, address_text
from ..._netlink.kernel import FAMILIES, Kernel
from ..._netlink.sockets import KernelError

OPTIMISTIC, DADFAILED, TENTATIVE = 0x04, 0x08, 0x40  # IFA_F_*
DEADLINE_S = 5.0  # the kernel waits up to 1 s before the first probe, and 1 s after it
POLL_S = 0.05


def await_usable(kernel: Kernel, name: str, addresses: t.Iterable[str]) -> None:
    """Waits until detection has finished for these addresses of a link. Raises KernelError for a duplicate.

    A link without carrier sends no probes: its addresses stay tentative, which is not an error. IFF_RUNNING may follow
    the carrier only a second later.
    """
    link = kernel.network.link(name)
    if link.flags & IFF_LOWER_UP:
        _await(kernel, set(addresses), link.index)


def await_source(kernel: Kernel, address: str) -> None:
    """Waits until a route can have this address as its source. Raises KernelError if that does not happen in time."""
    if _await(kernel, {address}, None):
        text = f"{address} is still tentative after {DEADLINE_S:.0f} s (duplicate address detection needs a carrier)"
        raise KernelError(errno.EADDRNOTAVAIL, text)


def is_duplicate(flags: int) -> bool:
    return bool(flags & DADFAILED)


def is_tentative(flags: int) -> bool:
    return bool(flags & TENTATIVE) and not flags & (OPTIMISTIC | DADFAILED)


def _await(kernel: Kernel, addresses: set[str], index: int | None) -> set[str]:
    """The addresses that are still tentative at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        last = time.monotonic() >= deadline
        waiting = set()
        for found in kernel.dump(ADDRESS, {"family": FAMILIES[6], "index": index or 0}):
            address = address_text(found.address)
            if address not in addresses or index not in (None, found.index):
                continue
            if is_duplicate(found.flags):
                text = f"{address} is a duplicate: another node on the link has this address"
                raise KernelError(errno.EADDRNOTAVAIL, text)
            if is_tentative(found.flags):
                waiting.add(address)
        if not waiting or last:
            return waiting
        time.sleep(POLL_S)
