# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rtnetlink messages that come by the thousand: links, addresses, routes and neighbours; and those of netem. Private to
this collection.

messages.py leaves the rest to pyroute2, which takes too long for these (this module in brackets): 60 to 200 µs (2 µs)
to pack a route, 45 to 100 µs (4 µs) to parse one, 0.2 s to be imported. In user-mode Linux, to parse takes 375 (28) µs.
Names and numbers are those of pyroute2 and of include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour}.h; tests compare
every kind of message with pyroute2's. No other module packs or parses attributes.

Addresses are packed bytes. Requests accept text as well.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import typing as t

# RTM_NEW of each kind; RTM_DEL is one more, RTM_GET two more.
LINK, ADDRESS, ROUTE, NEIGHBOR, RULE, QDISC, NSID = 16, 20, 24, 28, 32, 36, 88

IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_LOWER_UP = 0x1, 0x8, 0x40, 0x10000
RTM_F_CLONED = 0x200
RTEXT_FILTER_SKIP_STATS = 8

_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_NEXT_HOP = struct.Struct("=HBBi")
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

Attributes = t.Iterable[tuple[str, t.Any]]


# Headers, with the names of their fields


def _link_header(family: int = 0, index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _LINK.pack(family, 0, index, flags, change)


def _address_header(family: int = 0, prefixlen: int = 0, flags: int = 0, scope: int = 0, index: int = 0) -> bytes:
    return _ADDRESS.pack(family, prefixlen, flags, scope, index)


def _route_header(
    family: int = 0,
    dst_len: int = 0,
    src_len: int = 0,
    tos: int = 0,
    table: int = 0,
    proto: int = 0,
    scope: int = 0,
    type: int = 0,
    flags: int = 0,
) -> bytes:
    return _ROUTE.pack(family, dst_len, src_len, tos, table, proto, scope, type, flags)


def _neighbor_header(family: int = 0, ifindex: int = 0, state: int = 0, flags: int = 0, ndm_type: int = 0) -> bytes:
    return _NEIGHBOR.pack(family, ifindex, state, flags, ndm_type)


def _qdisc_header(family: int = 0, index: int = 0, handle: int = 0, parent: int = 0) -> bytes:
    return _QDISC.pack(family, index, handle, parent, 0)


def _nsid_header(family: int = 0) -> bytes:
    return _NSID.pack(family)


_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOR = struct.Struct("=BxxxiHBB")
_QDISC = struct.Struct("=BxxxiIII")
_NSID = struct.Struct("=Bxxx")
HEADERS: dict[int, t.Callable[..., bytes]] = {
    LINK: _link_header,
    ADDRESS: _address_header,
    ROUTE: _route_header,
    NEIGHBOR: _neighbor_header,
    QDISC: _qdisc_header,
    NSID: _nsid_header,
}


# Attributes: each has a function that returns all its bytes for a value

Packer = t.Callable[[t.Any], bytes]


def _number(layout: str, padding: int) -> t.Callable[[int], Packer]:
    def of(number: int) -> Packer:
        whole = struct.Struct(f"=HH{layout}{padding}x")
        length, pack_whole = whole.size - padding, whole.pack
        return lambda value: pack_whole(length, number, value)

    return of


_u8, _u16, _u32, _i32 = _number("B", 3), _number("H", 2), _number("I", 0), _number("i", 0)


def raw(number: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(len(value) + 4, number) + value + bytes(-len(value) % 4)


def _text(number: int) -> Packer:
    return lambda value: raw(number, value.encode() + b"\0")


def _mac(number: int) -> Packer:
    return lambda value: raw(number, bytes.fromhex(value.replace(":", "")))


def _ip(number: int) -> Packer:
    heads = {size: _ATTRIBUTE.pack(size + 4, number) for size in (4, 16)}

    def pack_address(value: bytes | str) -> bytes:
        if isinstance(value, str):
            value = packed(value)
        return heads[len(value)] + value

    return pack_address


def _via(number: int) -> Packer:
    """A gateway of another address family than the route's."""
    return lambda value: raw(number, struct.pack("=H", family_of(value)) + value)


def _lifetimes(number: int) -> Packer:
    """The seconds for which an address is preferred, and valid."""
    return lambda value: raw(number, struct.pack("=IIII", *value, 0, 0))


def _nested(number: int) -> Packer:
    return lambda value: raw(number, pack_attributes(value))


def _peer(number: int) -> Packer:
    return lambda value: raw(number, _link_header() + pack_attributes(value))


def _netem(number: int) -> Packer:
    """(nanoseconds of delay, probability of a loss in 1/2^32)."""

    def pack_netem(value: tuple[int, int]) -> bytes:
        delay, loss = value
        # The delay in the first field is in units of the kernel's own; the attribute replaces it.
        return raw(number, _NETEM.pack(0, NETEM_LIMIT, loss, 0, 0, 0) + raw(NETEM_DELAY, struct.pack("=q", delay)))

    return pack_netem


_NETEM = struct.Struct("=6I")
NETEM_LIMIT = 1000  # packets under way, as tc has it
NETEM_DELAY = 10  # TCA_NETEM_LATENCY64


def _hops(number: int) -> Packer:
    """Each hop is (link, weight, flags, attributes)."""

    def pack_hops(value: t.Iterable[tuple[int, int, int, Attributes]]) -> bytes:
        parts = []
        for link, weight, flags, attributes in value:
            body = pack_attributes(attributes)
            parts.append(_NEXT_HOP.pack(_NEXT_HOP.size + len(body), flags, weight - 1, link) + body)
        return raw(number, b"".join(parts))

    return pack_hops


# Kind of value and number. Names of attributes are unique, so one table has those of all messages and nested levels.
TABLE: dict[str, tuple[t.Callable[[int], Packer], int]] = {
    "IFLA_ADDRESS": (_mac, 1),
    "IFLA_IFNAME": (_text, 3),
    "IFLA_MTU": (_u32, 4),
    "IFLA_LINK": (_u32, 5),
    "IFLA_MASTER": (_u32, 10),
    "IFLA_LINKINFO": (_nested, 18),
    "IFLA_IFALIAS": (_text, 20),
    "IFLA_GROUP": (_u32, 27),
    "IFLA_NET_NS_FD": (_u32, 28),
    "IFLA_EXT_MASK": (_u32, 29),
    "IFLA_TARGET_NETNSID": (_i32, 46),
    "IFLA_INFO_KIND": (_text, 1),
    "IFLA_INFO_DATA": (_nested, 2),
    "IFLA_BR_STP_STATE": (_u32, 5),
    "IFLA_BR_VLAN_FILTERING": (_u8, 7),
    "IFLA_IPVLAN_MODE": (_u16, 1),
    "IFLA_IPVLAN_FLAGS": (_u16, 2),
    "IFLA_VLAN_ID": (_u16, 1),
    "IFLA_VRF_TABLE": (_u32, 1),
    "VETH_INFO_PEER": (_peer, 1),
    "IFA_ADDRESS": (_ip, 1),
    "IFA_LOCAL": (_ip, 2),
    "IFA_CACHEINFO": (_lifetimes, 6),
    "IFA_FLAGS": (_u32, 8),
    "IFA_TARGET_NETNSID": (_i32, 10),
    "IFA_PROTO": (_u8, 11),
    "RTA_DST": (_ip, 1),
    "RTA_OIF": (_u32, 4),
    "RTA_GATEWAY": (_ip, 5),
    "RTA_PRIORITY": (_u32, 6),
    "RTA_PREFSRC": (_ip, 7),
    "RTA_METRICS": (_nested, 8),
    "RTA_MULTIPATH": (_hops, 9),
    "RTA_TABLE": (_u32, 15),
    "RTA_VIA": (_via, 18),
    "RTAX_MTU": (_u32, 2),
    "TCA_KIND": (_text, 1),
    "TCA_OPTIONS": (_netem, 2),
    "NDA_DST": (_ip, 1),
    "NDA_PROTOCOL": (_u8, 12),
    "NETNSA_NSID": (_i32, 1),
    "NETNSA_FD": (_u32, 3),
}
_PACKERS: dict[str, Packer] = {name: kind(number) for name, (kind, number) in TABLE.items()}


def pack_attributes(attributes: Attributes) -> bytes:
    """Packs attributes, except those with the value None. Raises KeyError for an unknown name."""
    return b"".join([_PACKERS[name](value) for name, value in attributes if value is not None])


def pack(kind: int, fields: dict[str, int], attributes: Attributes) -> bytes:
    """The body of a request: what follows the header that all netlink messages have. TypeError for unknown fields."""
    return HEADERS[kind](**fields) + pack_attributes(attributes)


# Answers


def attributes_in(body: bytes, start: int = 0, wanted: t.Container[int] | None = None) -> dict[int, bytes]:
    """By number, all or those that are wanted; of a number that occurs twice, the last."""
    found, end, header = {}, len(body) - 3, _ATTRIBUTE.unpack_from
    while start < end:
        length, number = header(body, start)
        if length < 4:
            break
        number &= _TYPE_MASK
        if wanted is None or number in wanted:
            found[number] = body[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def _each_in(body: bytes) -> t.Iterator[tuple[int, bytes]]:
    """(number, value) of attributes of which one number may occur several times."""
    start = 0
    while start + 4 <= len(body):
        length, number = _ATTRIBUTE.unpack_from(body, start)
        if length < 4:
            break
        yield number & _TYPE_MASK, body[start + 4 : start + length]
        start += (length + 3) & ~3


def number_in(value: bytes | None, default: int = 0) -> int:
    return _U32.unpack_from(value)[0] if value is not None else default


def signed_in(value: bytes | None) -> int | None:
    return struct.unpack_from("=i", value)[0] if value is not None else None


def text_in(value: bytes | None) -> str:
    return value.rstrip(b"\0").decode(errors="replace") if value else ""


class Link(t.NamedTuple):
    """peer: index of the link that it is on or connected to; peer_network: the namespace of that one, by the number
    that the kernel has for it in this namespace, None for this one."""

    index: int
    name: str
    kind: str = ""
    alias: str = ""
    group: int = 0
    mac: str = ""
    mtu: int = 0
    flags: int = 0
    peer: int = 0
    peer_network: int | None = None
    master: int = 0  # index
    data: bytes = b""  # attributes that only links of its kind have, not parsed
    families: bytes = b""  # its settings, not parsed: see setting
    family: int = 0  # not 0: what a bridge reports about its port
    altnames: tuple[str, ...] = ()  # names that the kernel accepts besides `name`

    @property
    def up(self) -> bool:
        return bool(self.flags & IFF_UP)


# Parsed of a link; it has some 50 attributes, and to skip the others takes 8 of 20 µs.
_OF_LINKS = frozenset((1, 3, 4, 5, 10, 18, 20, 26, 27, 37, 52))


def parse_link(body: bytes) -> Link:
    family, _type, index, flags, _change = _LINK.unpack_from(body)
    get = attributes_in(body, 16, _OF_LINKS).get
    info = attributes_in(get(18, b"")).get
    return Link(
        index,
        text_in(get(3)),
        text_in(info(1)),
        text_in(get(20)),
        number_in(get(27)),
        get(1, b"").hex(":"),
        number_in(get(4)),
        flags,
        number_in(get(5)),
        signed_in(get(37)),
        number_in(get(10)),
        info(2, b""),
        get(26, b""),
        family,
        _altnames(get(52)),
    )


def _altnames(properties: bytes | None) -> tuple[str, ...]:
    if properties is None:
        return ()
    return tuple(text_in(value) for number, value in _each_in(properties) if number == 53)


# Where the settings of a link are: address family, attribute, position in a list of numbers
PROXY_ARP, PROXY_NDP = (socket.AF_INET, 1, 2), (socket.AF_INET6, 2, 22)
DISABLE_IPV6 = (socket.AF_INET6, 2, 26)
CAME_UP = (socket.AF_INET6, 5, 1)  # when its IPv6 part was created or last came up, in 1/100 s after boot


def setting(families: bytes, which: tuple[int, int, int]) -> int:
    """The value of a setting of a link; 0 if the link has no settings of the family."""
    family, kind, place = which
    numbers = attributes_in(attributes_in(families).get(family, b"")).get(kind, b"")
    return struct.unpack_from("=i", numbers, place * 4)[0] if len(numbers) > place * 4 else 0


class Address(t.NamedTuple):
    family: int
    length: int
    index: int
    flags: int
    scope: int
    address: bytes  # its own, not the far side of a point-to-point link
    protocol: int = 0
    added: int = 0  # in 1/100 s after boot


def parse_address(body: bytes) -> Address:
    family, length, flags, scope, index = _ADDRESS.unpack_from(body)
    get = attributes_in(body, 8).get
    protocol = get(11)
    added = number_in(get(6, bytes(16))[8:12])
    own = get(2) or get(1, b"")
    return Address(family, length, index, number_in(get(8), flags), scope, own, protocol[0] if protocol else 0, added)


class Hop(t.NamedTuple):
    gateway: bytes | None
    link: int  # 0 if there is none
    weight: int = 1
    flags: int = 0


class Route(t.NamedTuple):
    family: int
    table: int
    destination: bytes  # without RTA_DST all zeros
    length: int
    metric: int
    protocol: int
    scope: int
    type: int
    flags: int
    hops: tuple[Hop, ...]
    source: bytes | None = None
    mtu: int | None = None
    source_length: int = 0  # of the packets' source address; with tos for special routes only
    tos: int = 0
    unparsed: t.AbstractSet[int] = frozenset()  # numbers of attributes that decide where packets go, and are not here


# Parsed of a route; and its cache information, preference, expiry and time to live, which say nothing of where it goes.
_OF_ROUTES = frozenset((1, 4, 5, 6, 7, 8, 9, 12, 15, 18, 20, 21, 23, 26))
_ANY = {socket.AF_INET: bytes(4), socket.AF_INET6: bytes(16)}


def parse_route(body: bytes) -> Route:
    family, length, source_length, tos, table, protocol, scope, kind, flags = _ROUTE.unpack_from(body)
    found = attributes_in(body, 12)
    get = found.get
    several, link = get(9), get(4)
    hops: tuple[Hop, ...] = ()
    if several is not None:
        hops = _parse_hops(several)
    elif link is not None:
        hops = (Hop(_gateway(get), _U32.unpack(link)[0], 1, flags),)
    metrics = get(8)
    return Route(
        family,
        number_in(get(15), table),
        get(1) or _ANY.get(family, b""),
        length,
        number_in(get(6)),
        protocol,
        scope,
        kind,
        flags,
        hops,
        get(7),
        signed_in(attributes_in(metrics).get(2)) if metrics else None,
        source_length,
        tos,
        found.keys() - _OF_ROUTES,
    )


def to_destinations(wanted: t.Iterable[tuple[bytes, int]]) -> t.Callable[[bytes, int], bool]:
    """For Network.dump: whether a route may be one to these destinations, each (address, length).

    Table by table the kernel sends all routes. To look at the one in question takes 1 µs, to parse it 4 µs.
    """
    lengths = {length for _address, length in wanted}
    wanted, header = set(wanted), _ATTRIBUTE.unpack_from

    def may_be(data: bytes, start: int) -> bool:
        length = data[start + 1]
        if length not in lengths:
            return False
        place = start + 12
        size, number = header(data, place)
        if number == 15:  # IPv4 has the table first
            place += 8
            size, number = header(data, place)
        return number != 1 or (data[place + 4 : place + size], length) in wanted

    return may_be


def _gateway(get: t.Callable[[int], bytes | None]) -> bytes | None:
    via = get(18)
    return get(5) if via is None else via[2:]


def _parse_hops(several: bytes) -> tuple[Hop, ...]:
    hops, start = [], 0
    while start + 8 <= len(several):
        length, flags, weight, link = _NEXT_HOP.unpack_from(several, start)
        hops.append(Hop(_gateway(attributes_in(several[start : start + length], 8).get), link, weight + 1, flags))
        start += (length + 3) & ~3
    return tuple(hops)


class Neighbor(t.NamedTuple):
    family: int
    link: int
    state: int
    flags: int
    address: bytes
    protocol: int = 0


def parse_neighbor(body: bytes) -> Neighbor:
    family, link, state, flags, _type = _NEIGHBOR.unpack_from(body)
    get = attributes_in(body, 12).get
    protocol = get(12)
    return Neighbor(family, link, state, flags, get(1, b""), protocol[0] if protocol else 0)


class Netem(t.NamedTuple):
    """A queueing discipline that delays and loses packets."""

    link: int
    handle: int
    parent: int
    delay: int  # nanoseconds
    loss: int  # probability in 1/2^32


TC_H_ROOT = 0xFFFFFFFF


def parse_netem(body: bytes) -> Netem:
    _family, link, handle, parent, _info = _QDISC.unpack_from(body)
    options = attributes_in(body, _QDISC.size).get(2, b"")
    loss = _NETEM.unpack_from(options)[2] if len(options) >= _NETEM.size else 0
    delay = attributes_in(options, _NETEM.size).get(NETEM_DELAY, bytes(8))
    return Netem(link, handle, parent, struct.unpack("=q", delay)[0], loss)


def with_handle(handle: int) -> t.Callable[[bytes, int], bool]:
    """For Network.dump: whether a queueing discipline has this handle."""
    packed_handle = _U32.pack(handle)
    return lambda data, start: data[start + 8 : start + 12] == packed_handle


def rules_of(family: int) -> bytes:
    """The body of a request for the rules of an address family, for `dump_bodies`."""
    return struct.pack("=B11x", family)


def is_l3mdev(rule: bytes) -> bool:
    """Whether a rule sends packets of VRFs to their tables. pyroute2 parses all of a rule, and takes long to import."""
    return 19 in attributes_in(rule, 12)


def parse_nsid(body: bytes) -> int | None:
    """The number of a network namespace; None if it has none."""
    found = signed_in(attributes_in(body, 4).get(1))
    return None if found is None or found < 0 else found


PARSERS: dict[int, t.Callable[[bytes], t.Any]] = {
    LINK: parse_link,
    ADDRESS: parse_address,
    ROUTE: parse_route,
    NEIGHBOR: parse_neighbor,
    QDISC: parse_netem,
    NSID: parse_nsid,
}


# Addresses as text


def family_of(address: bytes) -> int:
    return socket.AF_INET if len(address) == 4 else socket.AF_INET6


def packed(address: str) -> bytes:
    """OSError if it is not an address."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def address_text(address: bytes) -> str:
    """As Python spells it, which differs from the C library where an IPv6 address ends in an IPv4 address."""
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address)
    text = socket.inet_ntop(socket.AF_INET6, address)
    return str(ipaddress.ip_address(text)) if "." in text else text
