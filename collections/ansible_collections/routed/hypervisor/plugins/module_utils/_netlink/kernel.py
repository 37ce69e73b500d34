# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rtnetlink in any network namespace, and /proc/sys/net, for the modules. Private to this collection.

Messages that come by the thousand are packed and parsed by codec.py, all others by pyroute2 (messages.py).
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import socket
import typing as t
from errno import EADDRNOTAVAIL, EEXIST, ENODEV, ENOENT, ESRCH

from . import codec
from .codec import LINK
from .namespaces import inside_network
from .sockets import CREATE, EXCLUSIVE, KernelError, MayBe, Network

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

MISSING = (ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL)

BEING_CREATED = 0x52480000  # link group; an alias can only be set on a link that exists, and we may be killed between
DOOMED = 0x52480001  # of links that one message is about to delete: one RCU grace period instead of one for each
DIRECTORY = "/run/netns"  # where `ip netns` keeps names of network namespaces


@functools.cache
def has_address_protocol() -> bool:
    """IFA_PROTO came with Linux 5.18; before that an address cannot carry a mark."""
    release = os.uname().release.split("-")[0].split(".")
    return tuple(int(part) for part in release[:2]) >= (5, 18)


def namespace_path(where: str) -> str:
    """The file of a network namespace, given by name or by path."""
    return where if where.startswith("/") else f"{DIRECTORY}/{where}"


class NoPyroute2(Exception):
    """pyroute2 is needed and cannot be imported; the text is the traceback."""


class Batch:
    """Requests to be sent together, in any namespaces, each for a step (a number).

    A failure does not stop the later requests: what must not happen after it belongs into a later batch.
    """

    def __init__(self) -> None:
        self.step = 0
        self.pending: dict[Kernel, list[tuple[list[int], tuple, tuple[int, ...]]]] = {}
        self.deletions: dict[Kernel, list[int]] = {}  # steps that delete doomed links, by namespace
        self.failed: dict[int, Exception] = {}  # the first failure of each step

    def add(self, kernel: Kernel, request: tuple, tolerated: tuple[int, ...]) -> list[int]:
        """Returns the list of steps for which the request is sent; more may be added to it."""
        steps = [self.step]
        self.pending.setdefault(kernel, []).append((steps, request, tolerated))
        return steps

    def flush(self) -> None:
        pending, self.pending, self.deletions = self.pending, {}, {}
        for kernel, entries in pending.items():
            try:
                errors = kernel.network.exchange([request for _steps, request, _tolerated in entries])
            except OSError as error:  # not sent, or not answered: any of them may have been carried out
                self._fail((step for steps, _request, _tolerated in entries for step in steps), error)
                continue
            for (steps, _request, tolerated), refused in zip(entries, errors, strict=True):
                if refused and refused.errno not in tolerated:
                    self._fail(steps, refused)

    def _fail(self, steps: t.Iterable[int], error: Exception) -> None:
        for step in steps:
            self.failed.setdefault(step, error)


class Kernel:
    """rtnetlink in a network namespace: that of this process, or the one of a descriptor.

    Requests are sent at once and raise KernelError; within `batch`, they are sent when it is flushed.
    """

    def __init__(self, fd: int | None = None) -> None:
        self.fd = fd
        self.network = Network(fd)
        self.others: dict[str, Kernel] = {}
        self.current: Batch | None = None

    def close(self) -> None:
        for other in self.others.values():
            other.close()
        self.network.socket.close()
        if self.fd is not None:
            os.close(self.fd)

    def at(self, where: str) -> Kernel:
        """The kernel in another namespace, given by name or by path, which stays open; "" for this one."""
        if not where:
            return self
        if where not in self.others:
            if not self.others:
                _allow_many_files()
            fd = os.open(namespace_path(where), os.O_RDONLY | os.O_CLOEXEC)
            try:
                self.others[where] = Kernel(fd)
            except OSError:
                os.close(fd)
                raise
        self.others[where].current = self.current
        return self.others[where]

    def forget(self, where: str) -> None:
        """Closes a namespace: an open one outlives its name."""
        if where in self.others:
            self.others.pop(where).close()

    @contextlib.contextmanager
    def batch(self) -> t.Iterator[Batch]:
        self.current = Batch()
        try:
            yield self.current
        finally:
            self.current = None

    def _send(
        self, kind: int, flags: int, fields: dict, attributes: t.Iterable[tuple], tolerated: tuple[int, ...]
    ) -> list[int]:
        request = (kind, flags, _format(kind & ~3).pack(kind & ~3, fields, attributes))
        if self.current is not None:
            return self.current.add(self, request, tolerated)
        [error] = self.network.exchange([request])
        if error and error.errno not in tolerated:
            raise error
        return []

    def new(
        self,
        kind: int,
        fields: dict,
        attributes: list[tuple],
        flags: int = CREATE | EXCLUSIVE,
        missing_ok: bool = False,
        exists_ok: bool = False,
    ) -> None:
        tolerated = (*(MISSING if missing_ok else ()), *((EEXIST,) if exists_ok else ()))
        self._send(kind, flags, fields, attributes, tolerated)

    def delete(self, kind: int, fields: dict, attributes: list[tuple], missing_ok: bool = False) -> None:
        self._send(kind + 1, 0, fields, attributes, MISSING if missing_ok else ())

    def delete_doomed(self) -> None:
        """One message for all links of the group, even if many steps of a batch call this."""
        if self.current is not None and self in self.current.deletions:
            self.current.deletions[self].append(self.current.step)
            return
        steps = self._send(LINK + 1, 0, {}, [("IFLA_GROUP", DOOMED)], MISSING)
        if self.current is not None:
            self.current.deletions[self] = steps

    def dump(
        self,
        kind: int,
        fields: dict[str, int] | None = None,
        attributes: t.Iterable[tuple[str, t.Any]] = (),
        may_be: MayBe | None = None,
    ) -> list[t.Any]:
        """All objects of a kind: records of codec.py (which may_be can leave out), or pyroute2's messages."""
        if kind in codec.PARSERS:
            return self.network.dump(kind, fields, attributes, may_be)
        messages = _format(kind)
        bodies = self.network.dump_bodies(kind, messages.pack(kind, fields or {}, attributes))
        return [messages.parse(kind, body) for body in bodies]

    def index(self, name: str) -> int:
        """Of a link, which the current batch may be about to create. Raises OSError if there is none."""
        try:
            return self.network.index(name)
        except OSError:
            if self.current is None or not self.current.pending:
                raise
        self.current.flush()
        return self.network.index(name)

    def read_sysctl(self, path: str) -> str | None:
        with self._inside():
            return read_sysctl(path)

    def write_sysctl(self, path: str, value: str) -> None:
        with self._inside():
            write_sysctl(path, value)

    def _inside(self) -> t.ContextManager:
        return contextlib.nullcontext() if self.fd is None else inside_network(self.fd)


def _allow_many_files() -> None:
    """A namespace takes two descriptors, and there may be thousands of them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(hard, 1 << 20), hard):  # root may raise the hard limit, up to fs.nr_open
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return


def _format(kind: int) -> t.Any:
    """pyroute2 is imported only if it is needed: 0.2 s on a host, 0.8 s in user-mode Linux, and most runs have no
    policy rules. A worker of a lab has it already."""
    if kind in codec.PARSERS:
        return codec
    from . import messages  # noqa: PLC0415 - see above

    if messages.PYROUTE2_ERROR:
        raise NoPyroute2(messages.PYROUTE2_ERROR)
    return messages


def read_sysctl(path: str) -> str | None:
    """A value below /proc/sys/net, with single spaces; None if it does not exist or cannot be read."""
    try:
        return b" ".join(_read(f"/proc/sys/net/{path}").split()).decode("ascii")
    except OSError:  # also if it has never been set, as with stable_secret
        return None


def _read(path: str, size: int = 4096) -> bytes:
    """A file object takes twice as many system calls, and there are thousands of files."""
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = [os.read(fd, size)]
        while len(parts[-1]) == size:
            parts.append(os.read(fd, size))
    finally:
        os.close(fd)
    return b"".join(parts)


def write_sysctl(path: str, value: str) -> None:
    try:
        fd = os.open(f"/proc/sys/net/{path}", os.O_WRONLY)
        try:
            os.write(fd, value.encode("ascii"))
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError(error.errno or 0, f"{os.strerror(error.errno or 0)} (/proc/sys/net/{path})") from error
