# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that do not run. What needs one of them is neither verified nor wrong. Private to this collection."""

from __future__ import annotations

import socket
import typing as t

ABSENT = "absent"  # the state of a result


def is_present(interface: str) -> bool:
    """Whether the port of a guest exists: it does while the guest runs."""
    try:
        socket.if_nametoindex(interface)
    except OSError:
        return False
    return True


def absent_guests(expectations: t.Iterable[dict[str, t.Any]]) -> set[str]:
    """The guests of this node whose ports do not exist."""
    ports = [expected for expected in expectations if expected["kind"] == "present"]
    return {guest for port in ports if not is_present(port["interface"]) for guest in port["guests"]}


def missing_for(expected: dict[str, t.Any], absent: t.Collection[str]) -> str:
    """The absent guests that an expectation needs, for its result; empty if there are none."""
    missing = sorted(set(expected.get("guests") or ()).intersection(absent))
    if missing and expected["kind"] == "present":
        return t.cast("str", expected["interface"])
    return f"absent: {', '.join(missing)}" if missing else ""
