# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to the kernel: rtnetlink in any network namespace, and /proc/sys/net. Private to this collection.

Answers are read by pyroute2's message classes; requests are not built from its keyword arguments, which differ between
versions, and of which an unknown one is dropped without a word. Sockets are our own: pyroute2 has one request under way
at a time, and a process for each other namespace. Differences between pyroute2 0.7.2 (Debian 12) and 0.9 end in
messages.py.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import socket
import typing as t
from errno import EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH

from .messages import message_classes
from .namespaces import inside_network
from .requests import LINK, encode
from .rtnetlink import Network, Refusal

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400

MISSING = (ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL)

BEING_CREATED = 0x52480000  # link group; an alias can only be set on a link that exists, and we may be killed between
DOOMED = 0x52480001  # of links that one message is about to delete: the kernel waits for its readers once, not for each
IFF_UP = 0x1
DIRECTORY = "/run/netns"  # where `ip netns` keeps names of network namespaces


class KernelError(Exception):
    """The kernel said no. `errno` is its number, the text is its own words."""

    def __init__(self, errno: int, text: str) -> None:
        super().__init__(text)
        self.errno = errno

    @classmethod
    def of(cls, refusal: Refusal) -> KernelError:
        return cls(refusal.code, refusal.said or os.strerror(refusal.code))


@functools.cache
def has_address_protocol() -> bool:
    """IFA_PROTO came with Linux 5.18; before that an address cannot bear a mark."""
    release = os.uname().release.split("-")[0].split(".")
    return tuple(int(part) for part in release[:2]) >= (5, 18)


def namespace_path(where: str) -> str:
    """The file of a network namespace that is told by its name or by that file."""
    return where if where.startswith("/") else f"{DIRECTORY}/{where}"


class Batch:
    """Requests that wait to be sent many at once, in whichever namespaces, each for a step (a number).

    A request that fails does not keep later ones from being done, so what must not happen then is sent later.
    """

    def __init__(self) -> None:
        self.step = 0
        self.waiting: dict[Kernel, list[tuple[list[int], tuple, tuple[int, ...]]]] = {}
        self.dooming: dict[Kernel, list[int]] = {}  # steps that wait for a namespace's doomed links to go
        self.failed: dict[int, Exception] = {}  # the first failure of each step

    def add(self, kernel: Kernel, request: tuple, tolerated: tuple[int, ...]) -> list[int]:
        """The list that it returns has the steps for which the request is sent: others may be added."""
        steps = [self.step]
        self.waiting.setdefault(kernel, []).append((steps, request, tolerated))
        return steps

    def flush(self) -> None:
        waiting, self.waiting, self.dooming = self.waiting, {}, {}
        for kernel, entries in waiting.items():
            try:
                refusals = kernel.network.exchange([request for _steps, request, _tolerated in entries])
            except OSError as error:  # not sent, or not answered: nothing is known of any of them
                self._fail((step for steps, _request, _tolerated in entries for step in steps), error)
                continue
            for (steps, _request, tolerated), refusal in zip(entries, refusals, strict=True):
                if refusal and refusal.code not in tolerated:
                    self._fail(steps, KernelError.of(refusal))

    def _fail(self, steps: t.Iterable[int], error: Exception) -> None:
        for step in steps:
            self.failed.setdefault(step, error)


class Kernel:
    """rtnetlink in a network namespace: that of this process, or the one of a descriptor.

    Requests are sent at once and raise KernelError; within `batch`, they wait until it is flushed.
    """

    def __init__(self, fd: int | None = None, messages: dict[int, t.Any] | None = None) -> None:
        self.fd = fd
        self.network = Network(fd)
        self.messages = messages or message_classes()
        self.others: dict[str, Kernel] = {}
        self.current: Batch | None = None

    def close(self) -> None:
        for other in self.others.values():
            other.close()
        self.network.socket.close()
        if self.fd is not None:
            os.close(self.fd)

    def at(self, where: str) -> Kernel:
        """The kernel as seen in another namespace (its name or its file), which stays open; "" for this one."""
        if not where:
            return self
        if where not in self.others:
            if not self.others:
                _allow_many_files()
            fd = os.open(namespace_path(where), os.O_RDONLY | os.O_CLOEXEC)
            try:
                self.others[where] = Kernel(fd, self.messages)
            except OSError:
                os.close(fd)
                raise
        self.others[where].current = self.current
        return self.others[where]

    def forget(self, where: str) -> None:
        """Closes a namespace: as long as it is open, it does not go when its name does."""
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
        request = (kind, flags, encode(kind & ~3, fields, attributes))
        if self.current is not None:
            return self.current.add(self, request, tolerated)
        [refusal] = self.network.exchange([request])
        if refusal and refusal.code not in tolerated:
            raise KernelError.of(refusal)
        return []

    def new(
        self,
        kind: int,
        fields: dict,
        attributes: list[tuple],
        flags: int = CREATE | EXCLUSIVE,
        missing_ok: bool = False,
    ) -> None:
        self._send(kind, flags, fields, attributes, MISSING if missing_ok else ())

    def delete(self, kind: int, fields: dict, attributes: list[tuple], missing_ok: bool = False) -> None:
        self._send(kind + 1, 0, fields, attributes, MISSING if missing_ok else ())

    def delete_doomed(self) -> None:
        """One message for all links of the group, however many steps of a batch want it."""
        if self.current is not None and self in self.current.dooming:
            self.current.dooming[self].append(self.current.step)
            return
        steps = self._send(LINK + 1, 0, {}, [("IFLA_GROUP", DOOMED)], MISSING)
        if self.current is not None:
            self.current.dooming[self] = steps

    def dump(
        self, kind: int, fields: dict | None = None, attributes: t.Iterable[tuple] = ()
    ) -> list[tuple[t.Any, Attributes]]:
        """All objects of a kind (not links), each as (message, attributes by name)."""
        try:
            found = self.network.dump(kind + 2, encode(kind, fields or {}, attributes))
        except Refusal as refusal:
            raise KernelError.of(refusal) from refusal
        return [self._decode(kind, raw) for raw in found]

    def _decode(self, kind: int, raw: bytes) -> tuple[t.Any, Attributes]:
        message = self.messages[kind](raw)
        message.decode()
        return message, Attributes(message["attrs"])

    def index(self, name: str) -> int:
        """Of the link with this name, which may be about to be created. Raises OSError where there is none."""
        try:
            return self.network.index(name)
        except OSError:
            if self.current is None or not self.current.waiting:
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


class Attributes(dict):
    """Attributes by name, decoded when asked for: most of a link's are never looked at."""

    def __init__(self, slots: list) -> None:
        super().__init__((slot[0], slot) for slot in slots)

    def __getitem__(self, name: str) -> t.Any:
        return super().__getitem__(name)[1]

    def get(self, name: str, default: t.Any = None) -> t.Any:
        return self[name] if name in self else default  # noqa: SIM401 - dict.get would not decode


def read_sysctl(path: str) -> str | None:
    """The value below /proc/sys/net in one spelling (blanks are one space), or None where there is no such key."""
    try:
        return b" ".join(_read(f"/proc/sys/net/{path}").split()).decode("ascii")
    except OSError:  # there is none; or, as with stable_secret, none has been set
        return None


def _read(path: str, size: int = 4096) -> bytes:
    """Of thousands of files: a file object takes twice as many system calls."""
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
