# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pyroute2's classes of messages, in every version with the attributes that we read. Private to this collection."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import typing as t

from .requests import ADDRESS, NEIGHBOR, ROUTE, RULE

PYROUTE2_ERROR: str | None = None


def _import() -> tuple[t.Any, ...]:
    from pyroute2.netlink.rtnl import fibmsg, ifaddrmsg, ndmsg, rtmsg  # noqa: PLC0415 - imported in two ways, see below

    return fibmsg, ifaddrmsg, ndmsg, rtmsg


def _import_without_the_rest() -> tuple[t.Any, ...]:
    """`import pyroute2` imports all that it has, of which these are a twentieth, and takes longer than most runs.

    So the package is there to import from while its own code has not run; whoever imports it afterwards gets all of it.
    """
    spec = None if "pyroute2" in sys.modules else importlib.util.find_spec("pyroute2")
    if spec is None:
        return _import()
    sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)
    try:
        return _import()
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "pyroute2"]:
            del sys.modules[name]


try:
    try:
        fibmsg, ifaddrmsg, ndmsg, rtmsg = _import_without_the_rest()
    except (ImportError, AttributeError):  # a version in which these need more of it
        fibmsg, ifaddrmsg, ndmsg, rtmsg = _import()
except ImportError:
    PYROUTE2_ERROR = traceback.format_exc()


def _with(base: t.Any, extra: tuple[tuple, ...]) -> t.Any:
    """The message class `base` with the attributes that this version of pyroute2 does not know."""
    known = {entry[0] if isinstance(entry[0], str) else entry[1] for entry in base.nla_map}
    missing = tuple(entry for entry in extra if entry[1] not in known)
    if not missing:
        return base
    numbered = isinstance(base.nla_map[0][0], int)
    nla_map = base.nla_map if numbered else tuple((number, *entry) for number, entry in enumerate(base.nla_map))
    return type(base.__name__, (base,), {"nla_map": nla_map + missing, "__slots__": ()})


def message_classes() -> dict[int, t.Any]:
    return {
        ADDRESS: _with(ifaddrmsg.ifaddrmsg, ((11, "IFA_PROTO", "uint8"),)),
        ROUTE: rtmsg.rtmsg,
        NEIGHBOR: _with(ndmsg.ndmsg, ((12, "NDA_PROTOCOL", "uint8"),)),
        RULE: fibmsg.fibmsg,
    }
