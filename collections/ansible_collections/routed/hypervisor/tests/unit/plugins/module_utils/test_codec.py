"""Every message that we pack or parse ourselves, compared with pyroute2."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl import fibmsg, ifaddrmsg, ifinfmsg, ndmsg, nsidmsg, rtmsg, tcmsg

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink import codec, messages
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import (
    ADDRESS,
    LINK,
    NEIGHBOR,
    NSID,
    ROUTE,
    RULE,
    pack,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.sockets import (
    AT_ONCE,
    BYTES_AT_ONCE,
    chunks,
    messages_in,
)


def extended(base, *extra):
    """A pyroute2 class, extended by attributes that some or all of its versions lack."""
    known = {entry[1] if isinstance(entry[0], int) else entry[0] for entry in base.nla_map}
    numbered = base.nla_map if isinstance(base.nla_map[0][0], int) else tuple(enumerate_map(base.nla_map))
    missing = tuple(entry for entry in extra if entry[1] not in known)
    return type(base.__name__, (base,), {"nla_map": numbered + missing, "__slots__": ()})


def enumerate_map(nla_map):
    return ((number, *entry) for number, entry in enumerate(nla_map))


CLASSES = {
    LINK: ifinfmsg.ifinfmsg,
    ADDRESS: extended(ifaddrmsg.ifaddrmsg, (11, "IFA_PROTO", "uint8")),
    ROUTE: rtmsg.rtmsg,
    NEIGHBOR: extended(ndmsg.ndmsg, (12, "NDA_PROTOCOL", "uint8")),
    RULE: fibmsg.fibmsg,
    NSID: nsidmsg.nsidmsg,
}
U8, U16, U32 = st.integers(0, 2**8 - 1), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
INDEX = st.integers(0, 2**31 - 1)
NAMES = st.text("abcxyz0189.-_@é", min_size=1, max_size=12)
MACS = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
FAMILIES = st.sampled_from([socket.AF_INET, socket.AF_INET6])


def addresses(family):
    size = 4 if family == socket.AF_INET else 16
    return st.binary(min_size=size, max_size=size).map(lambda raw: socket.inet_ntop(family, raw))


def some(**strategies):
    """Any of these attributes, in any order."""
    return st.permutations(list(strategies)).flatmap(
        lambda names: st.tuples(*(st.tuples(st.just(name), st.none() | strategies[name]) for name in names)).map(list)
    )


def info(kind, data):
    return data.map(lambda value: [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", [value])])


def attribute(name, values):
    return st.tuples(st.just(name), values)


INFOS = st.one_of(
    info("vlan", attribute("IFLA_VLAN_ID", st.integers(1, 4094))),
    info("vrf", attribute("IFLA_VRF_TABLE", U32)),
    info("ipvlan", attribute("IFLA_IPVLAN_MODE", st.integers(0, 2))),
    info("bridge", attribute("IFLA_BR_VLAN_FILTERING", st.integers(0, 1))),
    info("veth", attribute("VETH_INFO_PEER", some(IFLA_IFNAME=NAMES, IFLA_MTU=U32))),
)
LINKS = st.tuples(
    st.just(LINK),
    st.fixed_dictionaries({}, optional={"family": U8, "index": INDEX, "flags": U32, "change": U32}),
    some(
        IFLA_ADDRESS=MACS,
        IFLA_IFNAME=NAMES,
        IFLA_MTU=U32,
        IFLA_LINK=U32,
        IFLA_MASTER=U32,
        IFLA_LINKINFO=INFOS,
        IFLA_IFALIAS=NAMES,
        IFLA_GROUP=U32,
        IFLA_NET_NS_FD=U32,
        IFLA_EXT_MASK=U32,
    ),
)
ADDRESSES = FAMILIES.flatmap(
    lambda family: st.tuples(
        st.just(ADDRESS),
        st.fixed_dictionaries(
            {"family": st.just(family)}, optional={"prefixlen": U8, "flags": U8, "scope": U8, "index": U32}
        ),
        some(
            IFA_ADDRESS=addresses(family),
            IFA_LOCAL=addresses(family),
            IFA_FLAGS=U32,
            IFA_PROTO=U8,
        ),
    )
)
# pyroute2 0.9.7 parses IFA_TARGET_NETNSID as text, has another name for IFLA_TARGET_NETNSID, and lacks the last.
NOT_OF_PYROUTE2 = {"IFA_TARGET_NETNSID", "IFLA_TARGET_NETNSID", "IFLA_IPVLAN_FLAGS"}


def hops(family):
    return st.lists(
        st.tuples(INDEX, st.integers(1, 256), U8, st.just([]) | some(RTA_GATEWAY=addresses(family))),
        min_size=1,
        max_size=4,
    )


ROUTES = FAMILIES.flatmap(
    lambda family: st.tuples(
        st.just(ROUTE),
        st.fixed_dictionaries(
            {"family": st.just(family)},
            optional={
                **dict.fromkeys(("dst_len", "src_len", "tos", "table", "proto", "scope", "type"), U8),
                "flags": U32,
            },
        ),
        some(
            RTA_DST=addresses(family),
            RTA_OIF=U32,
            RTA_GATEWAY=addresses(family),
            RTA_PRIORITY=U32,
            RTA_PREFSRC=addresses(family),
            RTA_METRICS=some(RTAX_MTU=st.integers(0, 2**31 - 1)),
            RTA_MULTIPATH=hops(family),
            RTA_TABLE=U32,
        ),
    )
)
NEIGHBORS = FAMILIES.flatmap(
    lambda family: st.tuples(
        st.just(NEIGHBOR),
        st.fixed_dictionaries(
            {"family": st.just(family)}, optional={"ifindex": INDEX, "state": U16, "flags": U8, "ndm_type": U8}
        ),
        some(NDA_DST=addresses(family), NDA_PROTOCOL=U8),
    )
)
NSIDS = st.tuples(st.just(NSID), st.just({}), some(NETNSA_NSID=INDEX, NETNSA_FD=U32))
REQUESTS = LINKS | ADDRESSES | ROUTES | NEIGHBORS | NSIDS


def in_pyroute2_value_form(name, value):
    if name == "RTA_MULTIPATH":
        return [
            {"oif": link, "hops": weight - 1, "flags": flags, "attrs": in_pyroute2_form(inner)}
            for link, weight, flags, inner in value
        ]
    if isinstance(value, list):
        return {"attrs": in_pyroute2_form(value)}
    return value


def in_pyroute2_form(attributes):
    return [[name, in_pyroute2_value_form(name, value)] for name, value in attributes if value is not None]


def by_pyroute2(kind, fields, attributes):
    message = CLASSES[kind]()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = in_pyroute2_form(attributes)
    message.encode()
    return bytes(message.data[16:])


def parsed_by_pyroute2(kind, body):
    message = CLASSES[kind](struct.pack("=IHHII", len(body) + 16, kind, 0, 0, 0) + body)
    message.decode()
    return message


@given(REQUESTS)
def test_a_request_is_packed_as_by_pyroute2(request):
    assert pack(*request) == by_pyroute2(*request)


@given(ROUTES)
def test_addresses_may_be_text_or_packed(request):
    kind, fields, attributes = request
    addressed = ("RTA_DST", "RTA_GATEWAY", "RTA_PREFSRC")
    raw = [(name, codec.packed(value) if name in addressed and value else value) for name, value in attributes]
    assert pack(kind, fields, raw) == pack(*request)


def text(raw):
    return codec.address_text(raw) if raw else None


def same_address(ours, theirs):
    """The C library and Python format some IPv6 addresses differently."""
    return ours == theirs or (theirs and codec.packed(ours) == codec.packed(theirs))


@given(LINKS)
def test_a_link_is_parsed_as_by_pyroute2(request):
    body = pack(*request)
    theirs, ours = parsed_by_pyroute2(LINK, body), codec.parse_link(body)
    get = theirs.get_attr
    assert (ours.index, ours.flags, ours.family) == (theirs["index"], theirs["flags"], theirs["family"])
    assert (ours.name, ours.alias) == (get("IFLA_IFNAME") or "", get("IFLA_IFALIAS") or "")
    assert (ours.mac, ours.mtu) == (get("IFLA_ADDRESS") or "", get("IFLA_MTU") or 0)
    assert (ours.group, ours.peer, ours.master) == tuple(
        get(name) or 0 for name in ("IFLA_GROUP", "IFLA_LINK", "IFLA_MASTER")
    )
    kind = get("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") if get("IFLA_LINKINFO") else None
    assert ours.kind == (kind or "")


@given(ADDRESSES)
def test_an_address_is_parsed_as_by_pyroute2(request):
    body = pack(*request)
    theirs, ours = parsed_by_pyroute2(ADDRESS, body), codec.parse_address(body)
    get = theirs.get_attr
    assert ours[:3] == (theirs["family"], theirs["prefixlen"], theirs["index"])
    assert ours.flags == (theirs["flags"] if get("IFA_FLAGS") is None else get("IFA_FLAGS"))
    assert ours.scope == theirs["scope"] and ours.protocol == (get("IFA_PROTO") or 0)
    assert same_address(text(ours.address), get("IFA_LOCAL") or get("IFA_ADDRESS"))


@given(ROUTES)
def test_a_route_is_parsed_as_by_pyroute2(request):
    body = pack(*request)
    theirs, ours = parsed_by_pyroute2(ROUTE, body), codec.parse_route(body)
    get = theirs.get_attr
    names = ("family", "dst_len", "src_len", "tos", "proto", "scope", "type", "flags")
    assert tuple(theirs[name] for name in names) == (
        ours.family,
        ours.length,
        ours.source_length,
        ours.tos,
        ours.protocol,
        ours.scope,
        ours.type,
        ours.flags,
    )
    assert ours.table == (theirs["table"] if get("RTA_TABLE") is None else get("RTA_TABLE"))
    assert ours.metric == (get("RTA_PRIORITY") or 0)
    assert same_address(text(ours.destination), get("RTA_DST") or ("0.0.0.0" if ours.family == 2 else "::"))
    assert same_address(text(ours.source), get("RTA_PREFSRC"))
    assert ours.mtu == (get("RTA_METRICS").get_attr("RTAX_MTU") if get("RTA_METRICS") else None)
    expected = [
        (hop.get_attr("RTA_GATEWAY"), hop["oif"], hop["hops"] + 1, hop["flags"]) for hop in get("RTA_MULTIPATH") or []
    ]
    if get("RTA_MULTIPATH") is None and get("RTA_OIF") is not None:
        expected = [(get("RTA_GATEWAY"), get("RTA_OIF"), 1, theirs["flags"])]
    assert len(ours.hops) == len(expected)
    for hop, (gateway, *rest) in zip(ours.hops, expected, strict=True):
        assert same_address(text(hop.gateway), gateway) and list(hop[1:]) == rest


@given(NEIGHBORS)
def test_a_neighbor_is_parsed_as_by_pyroute2(request):
    body = pack(*request)
    theirs, ours = parsed_by_pyroute2(NEIGHBOR, body), codec.parse_neighbor(body)
    get = theirs.get_attr
    assert ours[:4] == (theirs["family"], theirs["ifindex"], theirs["state"], theirs["flags"])
    assert same_address(text(ours.address), get("NDA_DST")) and ours.protocol == (get("NDA_PROTOCOL") or 0)


def test_a_gateway_of_the_other_family_is_packed_and_parsed():
    gateway = codec.packed("fe80::1")
    fields, via = {"family": socket.AF_INET, "dst_len": 24}, [("RTA_OIF", 4), ("RTA_VIA", gateway)]
    several = [("RTA_MULTIPATH", [(4, 1, 0, [("RTA_VIA", gateway)]), (5, 2, 0, [("RTA_GATEWAY", "192.0.2.1")])])]
    assert codec.parse_route(pack(ROUTE, fields, via)).hops == (codec.Hop(gateway, 4),)
    found = parsed_by_pyroute2(ROUTE, pack(ROUTE, fields, via)).get_attr("RTA_VIA")
    assert (found["family"], found["addr"]) == (socket.AF_INET6, "fe80::1")
    assert [hop.gateway for hop in codec.parse_route(pack(ROUTE, fields, several)).hops] == [
        gateway,
        codec.packed("192.0.2.1"),
    ]


RULE_ATTRIBUTES = [
    ("FRA_SRC", "10.0.0.0"),
    ("FRA_PRIORITY", 1000),
    ("FRA_TABLE", 90),
    ("FRA_PROTOCOL", 82),
    ("FRA_IIFNAME", "a"),
    ("FRA_FWMARK", 16),
    ("FRA_FWMASK", 255),
    ("FRA_SUPPRESS_PREFIXLEN", 0),
    ("FRA_L3MDEV", 1),
]


def test_a_rule_is_packed_and_parsed_by_pyroute2():
    fields = {"family": socket.AF_INET, "src_len": 8, "action": 1}
    body = messages.pack(RULE, fields, [*RULE_ATTRIBUTES, ("FRA_OIFNAME", None)])
    assert body[:12] == struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 8, 0, 0, 0, 0, 1, 0)
    found = messages.parse(RULE, body)
    assert {name: found[name] for name in fields} == fields
    assert [tuple(entry) for entry in found["attrs"]] == RULE_ATTRIBUTES


@pytest.mark.parametrize("module", [codec, messages], ids=["codec", "messages"])
def test_none_is_omitted_and_a_misspelled_name_is_an_error(module):
    kind, name = (LINK, "IFLA_MTU") if module is codec else (RULE, "FRA_TABLE")
    assert module.pack(kind, {}, [(name, None)]) == module.pack(kind, {}, [])
    with pytest.raises(KeyError):
        module.pack(kind, {}, [(f"{name}X", 1500)])
    with pytest.raises((KeyError, TypeError)):
        module.pack(kind, {"flagz": 1}, [])


def test_attribute_numbers_equal_those_of_pyroute2():
    theirs = {}

    def collect(nla_class):
        for number, entry in enumerate(getattr(nla_class, "nla_map", ())):
            name = entry[1] if isinstance(entry[0], int) else entry[0]
            theirs.setdefault(name, entry[0] if isinstance(entry[0], int) else number)
        for inner in vars(nla_class).values():
            if isinstance(inner, type) and hasattr(inner, "nla_map") and inner is not nla_class:
                collect(inner)

    for message_class in (*CLASSES.values(), tcmsg.tcmsg):
        for base in message_class.__mro__:
            collect(base)
    for _kind, plugin in ifinfmsg.ifinfmsg.ifinfo.data_map.items() if hasattr(ifinfmsg.ifinfmsg, "ifinfo") else ():
        if isinstance(plugin, type):
            collect(plugin)
    ours = {name: number for name, (_packer, number) in codec.TABLE.items()}
    compared = ours.keys() & theirs.keys()
    assert {name: ours[name] for name in compared} == {name: theirs[name] for name in compared}
    assert ours.keys() - compared <= NOT_OF_PYROUTE2


def test_a_damaged_message_ends_parsing():
    assert list(messages_in(b"\x04\0\0\0" + b"\0" * 12)) == []
    assert codec.attributes_in(b"\x02\0\x01\0") == {}


@given(
    st.lists(st.tuples(st.sampled_from([0, 40, BYTES_AT_ONCE // 3, 2 * BYTES_AT_ONCE]), st.integers(1, 2 * AT_ONCE)))
)
def test_requests_are_sent_in_order_and_in_limited_batches(runs):
    requests = [request for size, count in runs for request in [(LINK, 0, bytes(size))] * count]
    sent = list(chunks(requests))
    assert [request for chunk in sent for request in chunk] == requests
    for chunk in sent:
        assert 1 <= len(chunk) <= AT_ONCE
        assert len(chunk) == 1 or sum(len(body) + 16 for _kind, _flags, body in chunk) <= BYTES_AT_ONCE
