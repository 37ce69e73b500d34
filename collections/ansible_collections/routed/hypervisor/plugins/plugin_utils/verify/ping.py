# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One echo request."""

from __future__ import annotations

from ..intent.model import Guest
from .sessions import LABEL


def named(guest: Guest, address) -> str:
    """A guest for a title, with its address unless that is the first of its family."""
    return guest.name if address in guest.address.values() else f"{guest.name} at {address}"


def ping(family: str, target, to_name: str, title: str, expect: str = "reply") -> dict:
    return {
        "kind": "ping",
        "title": f"{title} ({LABEL[family]})",
        "family": family,
        "to": str(target),
        "to_name": to_name,
        "source": None,  # the one that the kernel chooses
        "expect": expect,
    }
