# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control groups of nodes that run systemd: /routed-hypervisor/LAB/NODE in the cgroup2 hierarchy.

Private to this collection. The hierarchy is reached through a mount without a mount point, so it does not matter
whether and where this machine has it mounted. Unlike namespaces, control groups outlive their processes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import typing as t

from .._netlink import namespaces as ns
from .node import MARK

REMOVAL_S = 5
PAUSE = 0.01


@contextlib.contextmanager
def _hierarchy() -> t.Iterator[str]:
    fd = ns.detached_mount("cgroup2")
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def join(lab: str, node: str) -> None:
    """Moves this process into the group of a node, which is created anew.

    A group keeps the controllers that a system has enabled for its services, and the next one could not begin in it.
    """
    with _hierarchy() as root:
        group = f"{root}/{MARK}/{lab}/{node}"
        _remove_tree(group)
        os.makedirs(group)
        _delegate(f"{root}/{MARK}")
        _delegate(f"{root}/{MARK}/{lab}")
        with open(f"{group}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")


def _delegate(group: str) -> None:
    """Lets the groups in a group have the controllers that it has, so that container engines can limit processes."""
    with contextlib.suppress(OSError):  # a controller that is about to go; without it, nothing else fails
        with open(f"{group}/cgroup.controllers", encoding="ascii") as file:
            controllers = file.read().split()
        with open(f"{group}/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write(" ".join(f"+{controller}" for controller in controllers))


def exist(lab: str) -> bool:
    try:
        with _hierarchy() as root:
            return os.path.isdir(f"{root}/{MARK}/{lab}")
    except OSError:  # a kernel without control groups
        return False


def remove(lab: str, node: str = "") -> None:
    """Removes the groups of a node that has ended, or of all nodes of a lab. Missing groups are not an error."""
    try:
        with _hierarchy() as root:
            _remove_tree(f"{root}/{MARK}/{lab}/{node}".rstrip("/"))
            if not node:
                with contextlib.suppress(OSError):
                    os.rmdir(f"{root}/{MARK}")  # unless another lab is in it
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.ENOSYS, errno.EPERM):
            raise


def _remove_tree(top: str) -> None:
    deadline = time.monotonic() + REMOVAL_S
    for directory, _groups, _files in os.walk(top, topdown=False):
        while True:
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
            except OSError as error:
                # A killed process leaves its group a moment after it has been reaped.
                if error.errno == errno.EBUSY and time.monotonic() < deadline:
                    time.sleep(PAUSE)
                    continue
                raise
            break
