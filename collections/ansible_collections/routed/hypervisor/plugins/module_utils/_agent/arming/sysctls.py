# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sysctls as they were before a change: those of the host's routing and of each link. Private to this collection."""

from __future__ import annotations

import errno
import os

from ..._netlink.kernel import KernelError, read_sysctl, write_sysctl

ROOT = "/proc/sys/net"
FAMILIES = ("ipv4", "ipv6")
# Writing one of these changes many others, which are written after it: `all` sets every link, and ip_forward sets all
# settings of links to their defaults.
SPREADING = ("ipv4/ip_forward", "ipv4/conf/all/", "ipv6/conf/all/", "ipv4/conf/default/", "ipv6/conf/default/")
# Actions, secrets, and what the kernel finds out by itself
LEFT_OUT = ("route", "flush", "stable_secret", "mtu", "ping_group_range")
NEIGHBOR = ("proxy_delay", "proxy_qlen", "app_solicit", "ucast_solicit", "mcast_solicit")


def read() -> dict[str, str]:
    found = {}
    for path in _paths():
        value = read_sysctl(path)
        if value is not None and value.isascii():
            found[path] = value
    return dict(sorted(found.items(), key=lambda entry: _rank(entry[0])))


def _paths() -> list[str]:
    found = []
    for family in FAMILIES:
        top = _list(family)
        found += [f"{family}/{name}" for name in top if os.path.isfile(f"{ROOT}/{family}/{name}")]
        for link in _list(f"{family}/conf"):
            found += [f"{family}/conf/{link}/{name}" for name in _list(f"{family}/conf/{link}")]
        for link in _list(f"{family}/neigh"):
            found += [f"{family}/neigh/{link}/{name}" for name in NEIGHBOR]
    found += [f"vrf/{name}" for name in _list("vrf")]
    return [path for path in found if path.rpartition("/")[2] not in LEFT_OUT]


def _list(path: str) -> list[str]:
    try:
        return sorted(os.listdir(f"{ROOT}/{path}"))
    except OSError:
        return []


def _rank(path: str) -> int:
    return next((number for number, start in enumerate(SPREADING) if path.startswith(start)), len(SPREADING))


def differences(stored: dict[str, str]) -> list[tuple[str, str, str]]:
    """Each as (path, former value, present value), without those of links that no longer exist."""
    now = ((path, was, read_sysctl(path)) for path, was in stored.items())
    return [(path, was, value) for path, was, value in now if value is not None and value != was]


def restore(stored: dict[str, str]) -> list[str]:
    problems = []
    for path, was in stored.items():
        if read_sysctl(path) in (None, was):
            continue
        try:
            write_sysctl(path, was)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.EACCES):
                problems.append(f"could not set net/{path} to {was}: {error}")
    return problems
