"""Kernel dumps, parsed by our codec and by pyroute2. On any kernel."""

from __future__ import annotations

import errno
import os
import struct
import sys
from pathlib import Path

import pytest
from pyroute2.netlink.rtnl import ifaddrmsg, ifinfmsg, ndmsg, rtmsg

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink import codec
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import (
    ADDRESS,
    LINK,
    NEIGHBOR,
    QDISC,
    ROUTE,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.sockets import (
    CREATE,
    REPLACE,
    KernelError,
    Network,
)

NTF_PROXY = 8
COMMANDS = (
    "address add 192.0.2.1/24 dev uplink",
    "address add 192.0.2.9 peer 192.0.2.10/32 dev uplink",
    "address add 2001:db8::1/64 dev uplink nodad",
    "link set uplink alias routed.hypervisor group 7 mtu 1400",
    "route add 10.1.0.0/16 via 192.0.2.2 metric 7 proto 82 src 192.0.2.1 mtu 1300",
    "route add 10.2.0.0/16 proto 82 nexthop via 192.0.2.2 weight 2 nexthop via 192.0.2.3",
    "route add 10.3.0.0/16 via inet6 2001:db8::2 dev uplink table 1000",
    "route add unreachable default metric 4278198272 table 90",
    "route add 2001:db8:2::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3",
    "route add blackhole 2001:db8:3::/48",
    "neighbor add proxy 192.0.2.77 dev uplink proto 82",
    "neighbor add proxy 2001:db8::77 dev uplink proto 82",
)


@pytest.fixture
def interpreter():
    return sys.executable, None  # no module runs


@pytest.fixture
def network(bare_namespace):
    """A socket in a namespace with objects of every kind."""
    bare_namespace.cable("uplink")
    for command in COMMANDS:
        bare_namespace.ip(command)
    fd = os.open(Path("/run/netns", bare_namespace.name), os.O_RDONLY)
    with Network(fd) as opened:
        yield opened
    os.close(fd)


def by_pyroute2(message_class, body):
    message = message_class(struct.pack("=I12x", len(body) + 16) + body)
    message.decode()
    return message, message.get_attr


def text(address):
    return codec.address_text(address) if address else None


def bodies(network, kind, **fields):
    found = network.dump_bodies(kind, codec.pack(kind, fields, []))
    assert found
    return found


def test_links(network):
    for body in bodies(network, LINK):
        ours, (message, get) = codec.parse_link(body), by_pyroute2(ifinfmsg.ifinfmsg, body)
        kind = get("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") if get("IFLA_LINKINFO") else ""
        assert (ours.index, ours.flags, ours.name) == (message["index"], message["flags"], get("IFLA_IFNAME"))
        assert (ours.kind, ours.alias, ours.mac) == (kind, get("IFLA_IFALIAS") or "", get("IFLA_ADDRESS"))
        assert (ours.mtu, ours.group, ours.peer) == (get("IFLA_MTU"), get("IFLA_GROUP"), get("IFLA_LINK") or 0)
        assert (ours.master, ours.peer_network) == (get("IFLA_MASTER") or 0, get("IFLA_LINK_NETNSID"))
    uplink = network.link("uplink")
    assert (uplink.alias, uplink.group, uplink.mtu, uplink.up) == ("routed.hypervisor", 7, 1400, True)


def test_addresses(network):
    for body in bodies(network, ADDRESS):
        ours, (message, get) = codec.parse_address(body), by_pyroute2(ifaddrmsg.ifaddrmsg, body)
        assert (ours.family, ours.length, ours.index) == (message["family"], message["prefixlen"], message["index"])
        assert (ours.scope, ours.flags) == (message["scope"], get("IFA_FLAGS"))
        assert text(ours.address) == (get("IFA_LOCAL") or get("IFA_ADDRESS"))
    found = {text(address.address) for address in network.dump(ADDRESS)}
    assert {"192.0.2.1", "192.0.2.9", "2001:db8::1"} <= found and "192.0.2.10" not in found


def test_routes(network):
    for body in bodies(network, ROUTE):
        ours, (message, get) = codec.parse_route(body), by_pyroute2(rtmsg.rtmsg, body)
        assert (ours.family, ours.length, ours.table) == (message["family"], message["dst_len"], get("RTA_TABLE"))
        assert (ours.protocol, ours.scope, ours.type) == (message["proto"], message["scope"], message["type"])
        assert (text(ours.destination) if ours.length else None, ours.metric) == (
            get("RTA_DST") if ours.length else None,
            get("RTA_PRIORITY") or 0,
        )
        assert text(ours.source) == get("RTA_PREFSRC")
        assert ours.mtu == (get("RTA_METRICS").get_attr("RTAX_MTU") if get("RTA_METRICS") else None)
        hops = [(hop.get_attr("RTA_GATEWAY"), hop["oif"], hop["hops"] + 1) for hop in get("RTA_MULTIPATH") or []]
        via = get("RTA_VIA")
        if not hops and get("RTA_OIF"):
            hops = [(via["addr"] if via else get("RTA_GATEWAY"), get("RTA_OIF"), 1)]
        assert [(text(hop.gateway), hop.link, hop.weight) for hop in ours.hops] == hops
    routes = {text(route.destination): route for route in network.dump(ROUTE) if route.length in (16, 48)}
    assert [hop.weight for hop in routes["10.2.0.0"].hops] == [2, 1]
    assert text(routes["10.3.0.0"].hops[0].gateway) == "2001:db8::2"
    assert (routes["10.1.0.0"].mtu, routes["10.1.0.0"].metric) == (1300, 7)


def test_neighbors(network):
    for body in bodies(network, NEIGHBOR, flags=NTF_PROXY):
        ours, (message, get) = codec.parse_neighbor(body), by_pyroute2(ndmsg.ndmsg, body)
        assert (ours.family, ours.link, ours.flags) == (message["family"], message["ifindex"], message["flags"])
        assert text(ours.address) == get("NDA_DST") and ours.protocol == 82


def test_netem(network, bare_namespace):
    index = network.index("uplink")
    for handle, delay, percent in ((82 << 16, 20, 1), (82 << 16, 5, 0), (83 << 16, 0, 100)):
        fields = {"index": index, "handle": handle, "parent": codec.TC_H_ROOT}
        wanted = (delay * 1_000_000, percent * 0xFFFFFFFF // 100)
        attributes = [("TCA_KIND", "netem"), ("TCA_OPTIONS", wanted)]
        [error] = network.exchange([(QDISC, CREATE | REPLACE, codec.pack(QDISC, fields, attributes))])
        if error and error.errno == errno.ENOENT:
            pytest.skip("this kernel has no netem")
        assert error is None
        assert network.dump(QDISC, {}, [], codec.with_handle(handle)) == [
            codec.Netem(index, handle, codec.TC_H_ROOT, *wanted)
        ]
        shown = bare_namespace.run("tc", "qdisc", "show", "dev", "uplink")
        assert (f"delay {delay}ms" in shown, f"loss {percent}%" in shown) == (delay > 0, percent > 0)
    assert network.dump(QDISC, {}, [], codec.with_handle(82 << 16)) == []


def test_a_failure_carries_the_kernels_message_and_does_not_stop_the_others(network):
    def route(prefix, gateway):
        fields = {"family": 2, "dst_len": 16, "proto": 82, "type": 1}
        attributes = [("RTA_DST", prefix), ("RTA_GATEWAY", gateway), ("RTA_TABLE", 500)]
        return ROUTE, CREATE, codec.pack(ROUTE, fields, attributes)

    requests = [route("10.5.0.0", "192.0.2.2"), route("10.6.0.0", "198.51.100.1"), route("10.7.0.0", "192.0.2.2")]
    first, second, third = network.exchange(requests)
    assert (first, third) == (None, None)
    assert isinstance(second, KernelError) and str(second) == "Nexthop has invalid gateway"
    assert len(network.dump(ROUTE, {"family": 2}, [("RTA_TABLE", 500)])) == 2
    with pytest.raises(KernelError):
        network.link("none-such")
