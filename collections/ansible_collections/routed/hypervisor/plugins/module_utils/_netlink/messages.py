# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages by pyroute2: all kinds but those of codec.py. Private to this collection.

A new kind of object starts here; it moves to codec.py only if a measurement demands it.
"""

from __future__ import annotations

import struct
import traceback
import typing as t

from .codec import RULE

PYROUTE2_ERROR: str | None = None
try:
    from pyroute2.netlink.rtnl.fibmsg import fibmsg
except ImportError:
    PYROUTE2_ERROR = traceback.format_exc()
    CLASSES: dict[int, t.Any] = {}
else:
    CLASSES = {RULE: fibmsg}


def pack(kind: int, fields: dict[str, int], attributes: t.Iterable[tuple[str, t.Any]]) -> bytes:
    """As codec.pack: None is left out, and unknown names are a KeyError. pyroute2 ignores them."""
    message = CLASSES[kind]()
    known = {entry[0] for entry in message.fields}, {entry[1] for entry in message.nla_map}
    message["attrs"] = [[name, value] for name, value in attributes if value is not None]
    message.update(fields)
    for names, allowed in zip((fields, [name for name, _value in message["attrs"]]), known, strict=True):
        if unknown := set(names) - allowed:
            raise KeyError(f"unknown: {', '.join(sorted(unknown))}")
    message.encode()
    return bytes(message.data[16:])


def parse(kind: int, body: bytes) -> t.Any:
    """pyroute2's message: fields by [name], attributes by get_attr(name)."""
    message = CLASSES[kind](struct.pack("=I12x", len(body) + 16) + body)
    message.decode()
    return message
