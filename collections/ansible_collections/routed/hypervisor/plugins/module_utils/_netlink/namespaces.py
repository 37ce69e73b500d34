# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The system calls about namespaces and mounts that Python 3.11 lacks. Private to this collection."""

from __future__ import annotations

import contextlib
import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SHARED = 0x100000
MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1

# The same numbers on every architecture.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSCONFIG_CMD_CREATE = 6

# pivot_root has no wrapper in the C library.
_PIVOT_ROOT = {"x86_64": 155, "i686": 217, "ppc64le": 203, "s390x": 217, "armv7l": 218, "armv6l": 218}
_PIVOT_ROOT_GENERIC = 41  # aarch64, riscv64, loongarch64: the generic table

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, function, *args) -> None:
    if function(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _call("unshare", _libc.unshare, ctypes.c_int(flags))


def setns(fd: int, kind: int) -> None:
    _call("setns", _libc.setns, ctypes.c_int(fd), ctypes.c_int(kind))


def set_parent_death_signal(number: int) -> None:
    """The signal sent to this process when its parent dies; 0 for none."""
    _call("prctl", _libc.prctl, ctypes.c_int(PR_SET_PDEATHSIG), ctypes.c_ulong(number), 0, 0, 0)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    _call(
        f"mount {kind or source} on {target}",
        _libc.mount,
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        os.fsencode(options) or None,
    )


def unmount(target: str, flags: int = 0) -> None:
    _call(f"umount {target}", _libc.umount2, os.fsencode(target), ctypes.c_int(flags))


def detached_mount(kind: str) -> int:
    """A new mount without a mount point, as a directory descriptor; it is gone when that is closed."""

    def call(what: str, *args) -> int:
        result = _libc.syscall(*(each if isinstance(each, bytes) else ctypes.c_long(each or 0) for each in args))
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what} {kind}: {os.strerror(number)}")
        return result

    context = call("fsopen", _FSOPEN, kind.encode(), 1)
    try:
        call("fsconfig", _FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return call("fsmount", _FSMOUNT, context, 1, 0)
    finally:
        os.close(context)


def become_root(directory: str) -> None:
    """Makes directory, a mount point, the root of this mount namespace, and unmounts the old root."""
    os.chdir(directory)
    # Old and new root stacked on one directory: the old one needs no place of its own (pivot_root(2), Notes).
    number = _PIVOT_ROOT.get(os.uname().machine, _PIVOT_ROOT_GENERIC)
    _call("pivot_root", _libc.syscall, ctypes.c_long(number), b".", b".")
    _call("umount the old root", _libc.umount2, b".", ctypes.c_int(MNT_DETACH))
    os.chdir("/")


@contextlib.contextmanager
def new_pid_namespace_for_children():
    """In this context the next forked child is PID 1 of a new PID namespace."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWPID)
        try:
            yield
        finally:
            setns(own, CLONE_NEWPID)
    finally:
        os.close(own)


@contextlib.contextmanager
def inside_network(fd: int):
    """In this context the thread is in the network namespace fd; sockets opened in it stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(fd, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(own, CLONE_NEWNET)
    finally:
        os.close(own)
