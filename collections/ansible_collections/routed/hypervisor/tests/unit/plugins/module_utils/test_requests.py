"""Requests to the kernel as bytes, next to what pyroute2 makes of the same."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl import fibmsg, ifaddrmsg, ifinfmsg, ndmsg, rtmsg

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink import messages
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.requests import (
    ADDRESS,
    ATTRIBUTES,
    LINK,
    NEIGHBOR,
    ROUTE,
    RULE,
    encode,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.rtnetlink import AT_ONCE, BYTES_AT_ONCE, chunks

CLASSES = {
    LINK: ifinfmsg.ifinfmsg,
    ADDRESS: messages._with(ifaddrmsg.ifaddrmsg, ((11, "IFA_PROTO", "uint8"),)),
    ROUTE: rtmsg.rtmsg,
    NEIGHBOR: messages._with(ndmsg.ndmsg, ((12, "NDA_PROTOCOL", "uint8"),)),
    RULE: fibmsg.fibmsg,
}


def info(kind, *data):
    return ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", {"attrs": list(data)})]})


HOPS = [
    {"oif": 3, "hops": 0, "flags": 0, "attrs": [("RTA_GATEWAY", "192.0.2.1")]},
    {"oif": 4, "hops": 7, "flags": 4, "attrs": []},
]
REQUESTS = [
    (LINK, {"flags": 1, "change": 1}, [("IFLA_IFNAME", "eth0"), ("IFLA_MTU", 1400), ("IFLA_MASTER", 7)]),
    (LINK, {}, [("IFLA_IFALIAS", "routed.hypervisor"), ("IFLA_GROUP", 0), ("IFLA_ADDRESS", "02:00:00:00:00:01")]),
    (LINK, {}, [("IFLA_LINK", 5), ("IFLA_NET_NS_FD", 9), info("ipvlan", ("IFLA_IPVLAN_MODE", 1))]),
    (LINK, {}, [info("vlan", ("IFLA_VLAN_ID", 4094))]),
    (LINK, {}, [info("vrf", ("IFLA_VRF_TABLE", 90))]),
    (LINK, {}, [info("bridge", ("IFLA_BR_VLAN_FILTERING", 1))]),
    (LINK, {}, [info("veth", ("VETH_INFO_PEER", {"attrs": [("IFLA_IFNAME", "peer")]}))]),
    (
        ADDRESS,
        {"family": 2, "prefixlen": 24, "index": 5, "scope": 253},
        [("IFA_LOCAL", "10.0.0.1"), ("IFA_ADDRESS", "10.0.0.1"), ("IFA_PROTO", 82), ("IFA_FLAGS", 2)],
    ),
    (ADDRESS, {"family": 10, "prefixlen": 64, "index": 5}, [("IFA_LOCAL", "2001:db8::1")]),
    (
        ROUTE,
        {"family": 2, "dst_len": 32, "proto": 82, "type": 1, "scope": 253, "flags": 4},
        [("RTA_TABLE", 90), ("RTA_DST", "203.0.113.1"), ("RTA_OIF", 4), ("RTA_PRIORITY", 10)],
    ),
    (ROUTE, {"family": 2, "table": 0}, [("RTA_MULTIPATH", HOPS), ("RTA_PREFSRC", "10.0.0.1")]),
    (ROUTE, {"family": 10}, [("RTA_GATEWAY", "fe80::1"), ("RTA_METRICS", {"attrs": [("RTAX_MTU", 1400)]})]),
    (NEIGHBOR, {"family": 10, "ifindex": 4, "flags": 8}, [("NDA_DST", "2001:db8::1"), ("NDA_PROTOCOL", 82)]),
    (
        RULE,
        {"family": 2, "src_len": 8, "dst_len": 16, "action": 1},
        [("FRA_SRC", "10.0.0.0"), ("FRA_DST", "10.1.0.0"), ("FRA_PRIORITY", 1000), ("FRA_PROTOCOL", 82)],
    ),
    (
        RULE,
        {"family": 10, "action": 1},
        [
            ("FRA_IIFNAME", "a"),
            ("FRA_OIFNAME", "b"),
            ("FRA_FWMARK", 16),
            ("FRA_FWMASK", 255),
            ("FRA_TABLE", 90),
            ("FRA_SUPPRESS_PREFIXLEN", 0),
            ("FRA_L3MDEV", 1),
        ],
    ),
]


def by_pyroute2(kind, fields, attributes):
    message = CLASSES[kind]()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = copy.deepcopy(attributes)  # which the encoder changes
    message.encode()
    return bytes(message.data[16:])


@pytest.mark.parametrize(("kind", "fields", "attributes"), REQUESTS)
def test_a_request_has_the_bytes_that_pyroute2_makes(kind, fields, attributes):
    assert encode(kind, fields, attributes) == by_pyroute2(kind, fields, attributes)


def test_every_attribute_is_compared():
    compared = set()

    def collect(value):
        if isinstance(value, tuple) and value and value[0] in ATTRIBUTES:
            compared.add(value[0])
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
            collect(inner)

    collect(REQUESTS)
    assert set(ATTRIBUTES) - compared == {"IFLA_IPVLAN_FLAGS"}  # no pyroute2 has it


def test_what_is_none_is_left_out_and_what_is_misspelled_is_an_error():
    assert encode(LINK, {}, [("IFLA_MTU", None)]) == encode(LINK, {}, [])
    with pytest.raises(KeyError):
        encode(LINK, {}, [("IFLA_MTUU", 1500)])
    with pytest.raises(KeyError):
        encode(LINK, {"flag": 1}, [])


@given(
    st.lists(st.tuples(st.sampled_from([0, 40, BYTES_AT_ONCE // 3, 2 * BYTES_AT_ONCE]), st.integers(1, 2 * AT_ONCE)))
)
def test_requests_are_sent_in_order_and_never_too_many_at_once(runs):
    requests = [request for size, count in runs for request in [(LINK, 0, bytes(size))] * count]
    sent = list(chunks(requests))
    assert [request for chunk in sent for request in chunk] == requests
    for chunk in sent:
        assert 1 <= len(chunk) <= AT_ONCE
        assert len(chunk) == 1 or sum(len(body) + 16 for _kind, _flags, body in chunk) <= BYTES_AT_ONCE
