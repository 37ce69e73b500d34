# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links as they were before a change. Private to this collection.

Links of ours are made again or removed. Of others, the attributes that a change may have set are set back; one that is
gone, such as a guest's port, is left alone.
"""

from __future__ import annotations

import base64
import struct
import typing as t

from ..._netlink import codec
from ..._netlink.codec import IFF_UP, LINK, attributes_in, raw
from ..._netlink.kernel import Kernel
from ..._netlink.marks import MARK
from ..._netlink.sockets import CREATE, EXCLUSIVE, KernelError

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_GROUP, IFLA_PROP_LIST, IFLA_ALT_IFNAME = 18, 20, 27, 52, 53
IFLA_INFO_KIND, IFLA_INFO_DATA, NESTED = 1, 2, 0x8000
NEWLINKPROP, DELLINKPROP = 108, 109
SETTINGS = ("master", "mtu", "mac", "group", "alias", "up", "altnames")  # in the order in which they are set
# Of what the kernel sends about a link of a kind, what identifies it; the rest are timers, counters and defaults.
SETTABLE = {
    "bridge": (5, 7),  # spanning tree, VLAN filtering
    "ipvlan": (1, 2),  # mode, flags
    "vlan": (1, 5),  # number, protocol
    "vrf": (1,),  # table
}
Entry = dict[str, t.Any]


def store(kernel: Kernel) -> list[Entry]:
    links = kernel.network.links()
    names = {link.index: name for name, link in links.items()}
    return [_entry(link, names) for link in links.values()]


def _entry(link: codec.Link, names: dict[int, str]) -> Entry:
    return {
        "name": link.name,
        "kind": link.kind,
        "data": base64.b64encode(_settable(link.kind, link.data)).decode(),
        "parent": names.get(link.peer) if link.peer_network is None else None,
        "master": names.get(link.master),
        "mtu": link.mtu,
        "mac": link.mac,
        "group": link.group,
        "alias": link.alias,
        "up": link.up,
        "altnames": list(link.altnames),
    }


def _is_ours(entry: Entry) -> bool:
    return str(entry["alias"]).startswith(MARK)


def _is_same(now: Entry, was: Entry) -> bool:
    """Whether it is the same link rather than another one of the same name."""
    return all(now[key] == was[key] for key in ("kind", "parent", "data"))


def differences(kernel: Kernel, stored: list[Entry]) -> list[str]:
    have = {entry["name"]: entry for entry in store(kernel)}
    found = []
    for was in stored:
        now = have.get(was["name"])
        if now is None:
            found += [f"link {was['name']} is missing"] if _is_ours(was) else []
            continue
        if _is_ours(was) and not _is_same(now, was):
            found.append(f"link {was['name']} is another one")
        found += [
            f"link {was['name']}: {key} is {now[key]!r}, not {was[key]!r}" for key in SETTINGS if now[key] != was[key]
        ]
    former = {entry["name"] for entry in stored}
    return found + [f"link {name} is new" for name, entry in have.items() if _is_ours(entry) and name not in former]


def restore(kernel: Kernel, stored: list[Entry]) -> list[str]:
    problems: list[str] = []
    wanted = {entry["name"]: entry for entry in stored}
    for entry in store(kernel):
        was = wanted.get(entry["name"])
        if _is_ours(entry) and (was is None or not _is_same(entry, was)):
            problems += _send(kernel, f"remove link {entry['name']}", LINK + 1, 0, _named(entry["name"]))
    left = [entry for entry in stored if _is_ours(entry)]
    while left:  # parents first
        present = set(kernel.network.links())
        missing = [entry for entry in left if entry["name"] not in present]
        ready = [entry for entry in missing if entry["parent"] is None or entry["parent"] in present]
        for entry in ready:
            problems += _make(kernel, entry)
        if not ready:
            break
        left = [entry for entry in missing if entry not in ready]
    for key in SETTINGS:
        have = {entry["name"]: entry for entry in store(kernel)}
        for was in stored:
            if was["name"] in have and have[was["name"]][key] != was[key]:
                problems += _set(kernel, key, was, have[was["name"]])
    return problems


def _make(kernel: Kernel, entry: Entry) -> list[str]:
    index = kernel.network.index
    attributes = [(IFLA_IFNAME, entry["name"].encode() + b"\0")]
    if entry["parent"] is not None:
        attributes.append((IFLA_LINK, _u32(index(entry["parent"]))))
    if entry["mac"] and entry["kind"] not in ("ipvlan", "vlan"):  # these have their parent's
        attributes.append((IFLA_ADDRESS, bytes.fromhex(entry["mac"].replace(":", ""))))
    info = raw(IFLA_INFO_KIND, entry["kind"].encode() + b"\0")
    data = base64.b64decode(entry["data"])
    if entry["kind"] in SETTABLE:
        info += raw(IFLA_INFO_DATA | NESTED, data)
    attributes.append((IFLA_LINKINFO | NESTED, info))
    body = _header() + b"".join(raw(number, value) for number, value in attributes)
    return _send(kernel, f"make link {entry['name']}", LINK, CREATE | EXCLUSIVE, body)


def _settable(kind: str, data: bytes) -> bytes:
    """Without zeros: a kernel that lacks what one of them would switch off refuses it."""
    found = attributes_in(data)
    return b"".join(raw(number, found[number]) for number in SETTABLE.get(kind, ()) if any(found.get(number, b"")))


def _set(kernel: Kernel, key: str, was: Entry, now: Entry) -> list[str]:
    name, value = was["name"], was[key]
    what = f"set {key} of {name} to {value!r}"
    if key == "up":
        return _send(kernel, what, LINK, 0, _named(name, flags=IFF_UP if value else 0, change=IFF_UP))
    if key == "altnames":
        return _set_altnames(kernel, was, now)
    try:
        attribute = {
            "master": lambda: (IFLA_MASTER, _u32(kernel.network.index(value) if value else 0)),
            "mtu": lambda: (IFLA_MTU, _u32(value)),
            "mac": lambda: (IFLA_ADDRESS, bytes.fromhex(value.replace(":", ""))),
            "group": lambda: (IFLA_GROUP, _u32(value)),
            "alias": lambda: (IFLA_IFALIAS, value.encode() + b"\0"),
        }[key]()
    except OSError as error:
        return [f"could not {what}: {error.strerror}"]
    return _send(kernel, what, LINK, 0, _named(name) + raw(*attribute))


def _set_altnames(kernel: Kernel, was: Entry, now: Entry) -> list[str]:
    problems = []
    for message, flags, names in (
        (DELLINKPROP, 0, set(now["altnames"]) - set(was["altnames"])),
        (NEWLINKPROP, CREATE | EXCLUSIVE, set(was["altnames"]) - set(now["altnames"])),
    ):
        for name in sorted(names):
            listed = raw(IFLA_PROP_LIST | NESTED, raw(IFLA_ALT_IFNAME, name.encode() + b"\0"))
            verb = "remove" if message == DELLINKPROP else "add"
            problems += _send(
                kernel, f"{verb} name {name} of {was['name']}", message, flags, _named(was["name"]) + listed
            )
    return problems


def _send(kernel: Kernel, what: str, kind: int, flags: int, body: bytes) -> list[str]:
    error: KernelError | None = kernel.network.exchange([(kind, flags, body)])[0]
    return [] if error is None else [f"could not {what}: {error}"]


def _named(name: str, **fields: int) -> bytes:
    return _header(**fields) + raw(IFLA_IFNAME, name.encode() + b"\0")


def _header(flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, 0, flags, change)


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)
