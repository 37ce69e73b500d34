# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel held before a change, and bringing it back. Private to this collection.

Objects are stored as the kernel sent them, so that nothing of an address or a route is lost: attributes that this
collection never sets, and objects of others, come back as they were. Links are found again by name, because a link that
was deleted has another index when it is back.
"""

from __future__ import annotations

import base64
import struct
import typing as t
from collections import Counter

from ..._netlink import codec
from ..._netlink.codec import ADDRESS, NEIGHBOR, ROUTE, RULE, attributes_in, raw
from ..._netlink.kernel import FAMILIES, Kernel
from ..._netlink.marks import MARK, PROTOCOL
from ..._netlink.sockets import CREATE, EXCLUSIVE, KernelError
from . import links, sysctls

PASSES = 4  # a route needs the link and the address that an earlier pass has brought back
NTF_PROXY, PERMANENT = 0x8, 0x80
APPEND = 0x800  # NLM_F_APPEND
# Routes to the host itself, which the kernel adds with an address: RTN_LOCAL, BROADCAST, ANYCAST, MULTICAST
RTPROT_KERNEL, TO_ITSELF = 2, {2, 3, 4, 5}
# Daemons bring back their own: Zebra, BIRD, the routing manager, the agent's follower, and what FRR adds.
DAEMONS = {11, 12, 83, 84, 85, 186, 187, 188, 189, 192}
# Flags that describe what the kernel found out: of addresses (secondary, failed detection, deprecated, tentative,
# permanent) and of next hops (dead, pervasive, offloaded, link down, trap).
FOUND_OUT_ADDRESS, FOUND_OUT_HOP = 0x01 | 0x08 | 0x20 | 0x40 | 0x80, 0x01 | 0x02 | 0x08 | 0x10 | 0x40
RTA_OIF, RTA_MULTIPATH, RTA_CACHEINFO, RTA_EXPIRES, RTA_NH_ID = 4, 9, 12, 23, 30
IFA_FLAGS = 8
FRA_PROTOCOL, FRA_L3MDEV = 21, 19

Stored = dict[str, t.Any]
Key = tuple[t.Any, ...]


class Object(t.NamedTuple):
    kind: int
    label: str
    links: dict[int, str]  # index in the message to name
    body: bytes
    ours: bool


def store(kernel: Kernel) -> Stored:
    """As JSON."""
    found = objects(kernel)
    return {
        "daemons_routes": daemons_routes(kernel),
        "links": links.store(kernel),
        "sysctls": sysctls.read(),
        "objects": [
            [one.kind, one.label, {str(index): name for index, name in one.links.items()}, _text(one.body)]
            for one in found.values()
        ],
    }


def daemons_routes(kernel: Kernel) -> dict[str, int]:
    """How many routes each daemon has added, by protocol number."""
    return dict(Counter(str(route.protocol) for route in _all_routes(kernel) if route.protocol in DAEMONS))


def _all_routes(kernel: Kernel) -> t.Iterator[codec.Route]:
    for family in FAMILIES.values():
        yield from kernel.dump(ROUTE, {"family": family})


def differences(kernel: Kernel, stored: Stored) -> list[str]:
    wanted, have = _wanted(stored), objects(kernel)
    present = set(kernel.network.links())
    found = links.differences(kernel, stored["links"])
    found += [f"sysctl net/{path} is {now}, not {was}" for path, was, now in sysctls.differences(stored["sysctls"])]
    found += [
        f"{one.label} is missing" for key, one in wanted.items() if key not in have and present.issuperset(_names(one))
    ]
    return found + [f"{one.label} is new" for key, one in have.items() if key not in wanted and one.ours]


def restore(kernel: Kernel, stored: Stored) -> list[str]:
    """Brings back all that it can, and returns what it cannot, each in one sentence. Level, not edges: it compares what
    is there with what was, so an interrupted one is completed by the next."""
    problems: list[str] = []
    for _pass in range(PASSES):
        problems = links.restore(kernel, stored["links"])
        problems += sysctls.restore(stored["sysctls"])
        problems += _restore_objects(kernel, _wanted(stored))
        if not differences(kernel, stored):
            return []
    return [*problems, *differences(kernel, stored)]


def objects(kernel: Kernel) -> dict[Key, Object]:
    """Addresses, proxy and permanent neighbours, routes and rules, in the order in which they can be added."""
    links_here = kernel.network.links()
    names = {link.index: name for name, link in links_here.items()}
    own_links = {name for name, link in links_here.items() if link.alias.startswith(MARK)}
    found: dict[Key, Object] = {}
    for body in kernel.network.dump_bodies(ADDRESS, codec.pack(ADDRESS, {}, [])):
        found.update(_address(body, names, own_links))
    for family in FAMILIES.values():
        for flags in (NTF_PROXY, 0):
            for body in kernel.network.dump_bodies(
                NEIGHBOR, codec.pack(NEIGHBOR, {"family": family, "flags": flags}, [])
            ):
                found.update(_neighbor(body, names))
    routes: dict[Key, Object] = {}
    for family in FAMILIES.values():
        for body in kernel.network.dump_bodies(ROUTE, codec.pack(ROUTE, {"family": family}, [])):
            routes.update(_route(body, names))
    # What is on a link comes before what a gateway is needed for.
    found.update(sorted(routes.items(), key=lambda entry: _has_gateway(entry[1].body)))
    for family in FAMILIES.values():
        for body in kernel.network.dump_bodies(RULE, codec.rules_of(family)):
            attributes = attributes_in(body, 12)
            ours = attributes.get(FRA_PROTOCOL) == bytes([PROTOCOL])
            label = f"rule {codec.number_in(attributes.get(6))} ({'IPv6' if family == FAMILIES[6] else 'IPv4'})"
            found[(RULE, body)] = Object(RULE, label, {}, body, ours or _is_left_over(attributes, kernel))
    return found


def _is_left_over(rule: dict[int, bytes], kernel: Kernel) -> bool:
    """The kernel adds a rule for VRFs with the first one, and leaves it when the last one is deleted."""
    return FRA_L3MDEV in rule and not kernel.network.links("vrf")


def _address(body: bytes, names: dict[int, str], own_links: t.Container[str] = ()) -> dict[Key, Object]:
    address = codec.parse_address(body)
    if address.index not in names:
        return {}
    own = attributes_in(body, 8)
    name = names[address.index]
    peer = own.get(1, b"")
    label = f"address {codec.address_text(address.address)}/{address.length} of {name}"
    ours = address.protocol == PROTOCOL or name in own_links
    flags = address.flags & ~FOUND_OUT_ADDRESS
    key = (ADDRESS, name, address.family, address.length, address.address, peer, flags, address.protocol, own.get(9))
    return {key: Object(ADDRESS, label, {address.index: name}, body, ours)}


def _neighbor(body: bytes, names: dict[int, str]) -> dict[Key, Object]:
    entry = codec.parse_neighbor(body)
    proxy = bool(entry.flags & NTF_PROXY)
    if (not proxy and not entry.state & PERMANENT) or entry.link not in names or entry.protocol in DAEMONS:
        return {}
    name = names[entry.link]
    label = f"{'proxy entry' if proxy else 'neighbour'} {codec.address_text(entry.address)} on {name}"
    key = (NEIGHBOR, name, entry.family, entry.address, proxy, entry.protocol, attributes_in(body, 12).get(2))
    return {key: Object(NEIGHBOR, label, {entry.link: name}, body, entry.protocol == PROTOCOL)}


def _route(body: bytes, names: dict[int, str]) -> dict[Key, Object]:
    route = codec.parse_route(body)
    left_out = route.protocol in DAEMONS or (route.protocol == RTPROT_KERNEL and route.type in TO_ITSELF)
    if left_out or route.flags & codec.RTM_F_CLONED or RTA_NH_ID in route.unparsed:
        return {}
    used = {hop.link: names[hop.link] for hop in route.hops if hop.link in names}
    hops = frozenset((hop.gateway, names.get(hop.link), hop.weight, hop.flags & ~FOUND_OUT_HOP) for hop in route.hops)
    place = (ROUTE, route.family, route.table, route.destination, route.length, route.source_length, route.tos)
    what = (route.metric, route.protocol, route.type, route.source, route.mtu, hops)
    label = (
        f"route {codec.address_text(route.destination)}/{route.length} in table {route.table} (metric {route.metric})"
    )
    return {(*place, *what): Object(ROUTE, label, used, body, route.protocol == PROTOCOL)}


def _has_gateway(route: bytes) -> bool:
    return any(hop.gateway for hop in codec.parse_route(route).hops)


def _wanted(stored: Stored) -> dict[Key, Object]:
    """The stored objects with the keys that they have in `objects`."""
    found: dict[Key, Object] = {}
    for kind, label, used, text in stored["objects"]:
        body, names = base64.b64decode(text), {int(index): name for index, name in used.items()}
        parse = {ADDRESS: _address, NEIGHBOR: _neighbor, ROUTE: _route}.get(kind)
        if parse is None:
            found[(kind, body)] = Object(kind, label, {}, body, False)
        else:
            found.update(parse(body, names))
    return found


def _place(key: Key) -> Key:
    """Of a route: its destination in its table, with its metric."""
    return key[:8]


def _names(one: Object) -> set[str]:
    return set(one.links.values())


def _restore_objects(kernel: Kernel, wanted: dict[Key, Object]) -> list[str]:
    problems = []
    have = objects(kernel)
    # A route of others that was added is left alone, but not in the place of one that is missing.
    places = {_place(key) for key in wanted if key not in have and key[0] == ROUTE}
    for key, one in reversed([*have.items()]):
        if key not in wanted and (one.ours or _place(key) in places):
            problems += _exchange(kernel, f"remove {one.label}", (one.kind + 1, 0, one.body))
    indexes = {name: link.index for name, link in kernel.network.links().items()}
    have = objects(kernel)
    for key, one in wanted.items():
        if key not in have and indexes.keys() >= _names(one):
            moved = {index: indexes[name] for index, name in one.links.items()}
            problems += _exchange(
                kernel, f"add {one.label}", (one.kind, _flags(one), _request(one.kind, one.body, moved))
            )
    return problems


def _flags(one: Object) -> int:
    """Routes of other links, or of IPv4 to other gateways, may have the same destination and metric: those keep their
    order. A neighbour that the kernel has found out is replaced."""
    if one.kind == ROUTE:
        return CREATE | (APPEND if one.body[0] == FAMILIES[4] else 0)
    return CREATE if one.kind == NEIGHBOR else CREATE | EXCLUSIVE


def _exchange(kernel: Kernel, what: str, request: tuple[int, int, bytes]) -> list[str]:
    error: KernelError | None = kernel.network.exchange([request])[0]
    return [] if error is None else [f"could not {what}: {error}"]


def _request(kind: int, body: bytes, indexes: dict[int, int]) -> bytes:
    """The message with which the kernel described an object, as one that asks for it."""
    if kind == ADDRESS:
        return _address_request(body, indexes)
    if kind == ROUTE:
        return _route_request(body, indexes)
    if kind == NEIGHBOR:
        link, state = struct.unpack_from("=iH", body, 4)
        kept = _attributes(body, 12, {1, 2, 12})
        return body[:4] + struct.pack("=iH", indexes.get(link, link), state) + body[10:12] + kept
    return body


def _address_request(body: bytes, indexes: dict[int, int]) -> bytes:
    family, length, flags, scope, index = struct.unpack_from("=BBBBI", body)
    found = attributes_in(body, 8)
    # Duplicates were looked for when the address was added first: it is to be usable at once.
    flags = (codec.number_in(found.get(IFA_FLAGS), flags)) & ~FOUND_OUT_ADDRESS
    header = struct.pack("=BBBBI", family, length, flags & 0xFF, scope, indexes.get(index, index))
    return header + _attributes(body, 8, set(found) - {IFA_FLAGS}) + raw(IFA_FLAGS, struct.pack("=I", flags))


def _route_request(body: bytes, indexes: dict[int, int]) -> bytes:
    header = body[:8] + struct.pack("=I", struct.unpack_from("=I", body, 8)[0] & 0x4)  # RTNH_F_ONLINK
    found = attributes_in(body, 12)
    parts = [_attributes(body, 12, set(found) - {RTA_OIF, RTA_MULTIPATH, RTA_CACHEINFO, RTA_EXPIRES})]
    if RTA_OIF in found:
        link = codec.number_in(found[RTA_OIF])
        parts.append(raw(RTA_OIF, struct.pack("=I", indexes.get(link, link))))
    if RTA_MULTIPATH in found:
        parts.append(raw(RTA_MULTIPATH, _hops(found[RTA_MULTIPATH], indexes)))
    expires = struct.unpack_from("=i", found.get(RTA_CACHEINFO, bytes(12)), 8)[0] // 100  # from 1/100 s
    if expires > 0:
        parts.append(raw(RTA_EXPIRES, struct.pack("=I", expires)))
    return header + b"".join(parts)


def _hops(several: bytes, indexes: dict[int, int]) -> bytes:
    parts, start = [], 0
    while start + 8 <= len(several):
        length, flags, weight, link = struct.unpack_from("=HBBi", several, start)
        padded = (length + 3) & ~3
        head = struct.pack("=HBBi", length, flags & 0x4, weight, indexes.get(link, link))
        parts.append(head + several[start + 8 : start + padded])
        start += padded
    return b"".join(parts)


def _attributes(body: bytes, start: int, kept: t.Container[int]) -> bytes:
    return b"".join(raw(number, value) for number, value in attributes_in(body, start).items() if number in kept)


def _text(body: bytes) -> str:
    return base64.b64encode(body).decode()
