# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named network namespaces as `ip netns` has them: list, create, remove. Private to this collection."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t
from errno import EEXIST, EINVAL

from .codec import IFF_UP, LINK
from .kernel import DIRECTORY, Kernel, namespace_path
from .marks import MARK
from .namespaces import CLONE_NEWNET, MNT_DETACH, MS_BIND, MS_REC, MS_SHARED, mount, setns, unmount, unshare

OWN = "/proc/thread-self/ns/net"
NS_GET_NSTYPE = 0xB703


class Spaces:
    """The network namespaces of this machine that are visible to this process: those with a name, a process, or a path
    that was given.

    Each has one designation, which serves as a key: "" is the process's own; else its name below /run/netns; else its
    path as given, or below /proc.
    """

    def __init__(self) -> None:
        own = os.stat(OWN)
        self.device = own.st_dev  # of all namespaces
        self.found: dict[int, str] = {own.st_ino: ""}
        self.named: dict[str, int] = {}
        self.processes: dict[int, list[int]] = {}  # in each of them
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(DIRECTORY)):
                number = self._identify(f"{DIRECTORY}/{name}")
                if number is not None:
                    self.named[name] = number
                    self.found.setdefault(number, name)
        for pid in sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            path = f"/proc/{pid}/ns/net"
            number = self._identify(path)
            if number is not None:
                self.found.setdefault(number, path)
                self.processes.setdefault(number, []).append(pid)

    def _identify(self, path: str) -> int | None:
        with contextlib.suppress(OSError):  # the process ended; the file is what is left of a namespace
            status = os.stat(path)
            if status.st_dev == self.device:
                return status.st_ino
        return None

    def designate(self, path: str) -> str | None:
        """The designation of the namespace at a path; None if there is none."""
        number = self._identify(path)
        if number is None or not _is_network(path):
            return None
        return self.found.setdefault(number, path)

    def all(self) -> list[str]:
        return list(self.found.values())


def _is_network(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return fcntl.ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:  # an ordinary file
        return False
    finally:
        os.close(fd)


@contextlib.contextmanager
def _directory() -> t.Iterator[None]:
    """The directory as `ip netns` creates it: mounts in it propagate to other mount namespaces."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(DIRECTORY, 0o755)
    fd = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            mount("", DIRECTORY, "none", MS_SHARED | MS_REC)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            mount(DIRECTORY, DIRECTORY, "none", MS_BIND | MS_REC)  # it has to be a mount point
            mount("", DIRECTORY, "none", MS_SHARED | MS_REC)
        yield
    finally:
        os.close(fd)


def create(name: str) -> None:
    """Creates a namespace with `lo` up and marked, and only then gives it its name: a run that is killed before leaves
    nothing, or an empty file without a namespace, which the next run uses. Raises OSError."""
    path = namespace_path(name)
    own = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        try:
            inside = Kernel()
            try:
                set_loopback(inside)
            finally:
                inside.close()
            with _directory():
                try:
                    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
                except FileExistsError:
                    if _is_network(path):
                        raise
                try:
                    mount(OWN, path, "none", MS_BIND)
                except OSError:
                    os.unlink(path)
                    raise
        finally:
            setns(own, CLONE_NEWNET)
    except FileExistsError as error:
        raise OSError(EEXIST, f"{path} exists now") from error
    finally:
        os.close(own)


def set_loopback(kernel: Kernel) -> None:
    kernel.new(LINK, {"flags": IFF_UP, "change": IFF_UP}, [("IFLA_IFNAME", "lo"), ("IFLA_IFALIAS", MARK)], flags=0)


def remove(name: str) -> None:
    """Removes the name; the kernel removes the namespace with its last process. Raises OSError."""
    path = namespace_path(name)
    try:
        unmount(path, MNT_DETACH)
    except OSError as error:
        if error.errno != EINVAL:  # not mounted
            raise
    os.unlink(path)
