# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to the kernel: rtnetlink by way of pyroute2, and /proc/sys/net. Private to this collection.

Requests are built from message classes, not from pyroute2's keyword arguments: those differ between versions, and an
unknown one is dropped without a word. Differences between pyroute2 0.7.2 (Debian 12) and 0.9 end in this file.
"""

from __future__ import annotations

import os
import socket
import traceback
import typing as t
from errno import EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH

PYROUTE2_ERROR: str | None = None
try:
    from pyroute2.netlink import exceptions as nl_exceptions
    from pyroute2.netlink.rtnl import fibmsg, ifaddrmsg, ifinfmsg, ndmsg, rtmsg

    try:
        from pyroute2 import IPRoute as Socket  # 0.9 has imported it already
    except ImportError:  # 0.7 as Debian packs it without entry points, and a third cheaper to import everywhere
        from pyroute2.netlink.rtnl.iprsocket import IPRSocket as Socket
except ImportError:
    PYROUTE2_ERROR = traceback.format_exc()

MARK = "routed.hypervisor"  # alias of the links that we create
PROTOCOL = 82  # of our routes, rules, addresses and proxy neighbours
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400

# RTM_NEW of each kind; RTM_DEL is one more, RTM_GET two more.
LINK, ADDRESS, ROUTE, NEIGHBOR, RULE = 16, 20, 24, 28, 32
KIND_NAMES = {LINK: "link", ADDRESS: "address", ROUTE: "route", NEIGHBOR: "neighbor", RULE: "rule"}


class KernelError(Exception):
    """The kernel said no. `errno` is its number, the text is its own words."""

    def __init__(self, errno: int, text: str) -> None:
        super().__init__(text)
        self.errno = errno


def has_address_protocol() -> bool:
    """IFA_PROTO came with Linux 5.18; before that an address cannot bear a mark."""
    release = os.uname().release.split("-")[0].split(".")
    return tuple(int(part) for part in release[:2]) >= (5, 18)


def _with(base: t.Any, extra: tuple[tuple, ...]) -> t.Any:
    """The message class `base` with the attributes that this version of pyroute2 does not know."""
    known = {entry[0] if isinstance(entry[0], str) else entry[1] for entry in base.nla_map}
    missing = tuple(entry for entry in extra if entry[1] not in known)
    if not missing:
        return base
    numbered = isinstance(base.nla_map[0][0], int)
    nla_map = base.nla_map if numbered else tuple((number, *entry) for number, entry in enumerate(base.nla_map))
    return type(base.__name__, (base,), {"nla_map": nla_map + missing, "__slots__": ()})


def _open() -> t.Any:
    """A socket without multicast groups, that speaks in the kernel's own error texts and refuses malformed dumps."""
    if hasattr(Socket, "from_asyncore"):
        opened = Socket(ext_ack=True, strict_check=True, groups=0)
        opened.status["nlm_generator"] = False  # answers as tuples; 0.9 reads this key without having set it
        return opened
    opened = Socket(ext_ack=True, strict_check=True)
    opened.bind(groups=0)
    return opened


class Kernel:
    """An open rtnetlink socket in the network namespace of this process."""

    def __init__(self) -> None:
        self.socket = _open()
        self.messages = {
            LINK: ifinfmsg.ifinfmsg,
            ADDRESS: _with(ifaddrmsg.ifaddrmsg, ((11, "IFA_PROTO", "uint8"),)),
            ROUTE: rtmsg.rtmsg,
            NEIGHBOR: _with(ndmsg.ndmsg, ((12, "NDA_PROTOCOL", "uint8"),)),
            RULE: fibmsg.fibmsg,
        }
        self.socket.marshal.msg_map = dict(self.socket.marshal.msg_map)
        self.socket.marshal.msg_map.update(self.messages)

    def close(self) -> None:
        self.socket.close()

    def _send(self, kind: int, verb: int, flags: int, fields: dict, attributes: list[tuple]) -> list:
        message = self.messages[kind]()
        for name, value in fields.items():
            message[name] = value
        message["attrs"] = [pair for pair in attributes if pair[1] is not None]
        try:
            return list(self.socket.nlm_request(message, msg_type=kind + verb, msg_flags=REQUEST | flags))
        except nl_exceptions.NetlinkError as error:
            text = str(error.args[1]) if len(error.args) > 1 else os.strerror(error.code)
            raise KernelError(error.code, text) from error

    def new(self, kind: int, fields: dict, attributes: list[tuple], flags: int = CREATE | EXCLUSIVE) -> None:
        self._send(kind, 0, flags | ACK, fields, attributes)

    def delete(self, kind: int, fields: dict, attributes: list[tuple], missing_ok: bool = False) -> None:
        try:
            self._send(kind, 1, ACK, fields, attributes)
        except KernelError as error:
            if not missing_ok or error.errno not in (ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL):
                raise

    def dump(
        self, kind: int, fields: dict | None = None, attributes: list[tuple] = ()
    ) -> list[tuple[t.Any, Attributes]]:
        """All objects of a kind, each as (message, attributes by name)."""
        found = self._send(kind, 2, DUMP, fields or {}, list(attributes))
        return [(message, Attributes(message["attrs"])) for message in found]


class Attributes(dict):
    """Attributes by name, decoded when asked for: most of a link's are never looked at."""

    def __init__(self, slots: list) -> None:
        super().__init__((slot[0], slot) for slot in slots)

    def __getitem__(self, name: str) -> t.Any:
        return super().__getitem__(name)[1]

    def get(self, name: str, default: t.Any = None) -> t.Any:
        return self[name] if name in self else default  # noqa: SIM401 - dict.get would not decode


def link_index(name: str) -> int:
    return socket.if_nametoindex(name)


def read_sysctl(path: str) -> str | None:
    """The value below /proc/sys/net in one spelling (blanks are one space), or None where there is no such key."""
    try:
        with open(f"/proc/sys/net/{path}", encoding="ascii") as file:
            return " ".join(file.read().split())
    except OSError:  # there is none; or, as with stable_secret, none has been set
        return None


def write_sysctl(path: str, value: str) -> None:
    try:
        with open(f"/proc/sys/net/{path}", "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise KernelError(error.errno or 0, f"{os.strerror(error.errno or 0)} (/proc/sys/net/{path})") from error
