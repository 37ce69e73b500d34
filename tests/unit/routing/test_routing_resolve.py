"""The way to a next hop."""

from __future__ import annotations

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.host import Link
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.model import (
    Hop,
    Route,
    ordered,
    packed,
    prefix,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.resolve import NextHop, Resolver

LINKS = {
    1: Link("lo", True, True, True),
    2: Link("left", True, True, False),
    3: Link("right", True, True, False),
    4: Link("off", True, False, False),
}


def route(where, *ways, metric=0, protocol=2, kind=1):
    made = tuple(Hop(packed(gateway) if gateway else None, link) for gateway, link in ways)
    return Route(prefix(where), metric, protocol, ordered(made), kind=kind)


def resolver(*routes, own=()):
    found = {}
    for entry in routes:
        found[entry.prefix] = (*found.get(entry.prefix, ()), entry)
    return Resolver(found, LINKS, {packed(address) for address in own})


def hop(gateway, link):
    return Hop(packed(gateway), link)


def test_the_longest_prefix_counts_and_the_lowest_metric():
    found = resolver(
        route("0.0.0.0/0", ("192.168.1.9", 2)),
        route("10.0.0.0/8", ("192.168.1.2", 2), metric=7),
        route("10.0.0.0/8", ("192.168.2.2", 3), metric=3),
        route("192.168.1.0/24", (None, 2)),
    )
    assert found.hops(NextHop(packed("10.1.1.1"))) == (hop("192.168.2.2", 3),)
    assert found.hops(NextHop(packed("192.168.1.5"))) == (hop("192.168.1.5", 2),)
    assert found.hops(NextHop(packed("172.16.0.1"))) == (hop("192.168.1.9", 2),)


def test_routes_learned_by_bgp_are_no_way_to_a_next_hop():
    learned = route("192.168.1.2/32", ("192.168.2.2", 3), protocol=83)
    found = resolver(learned, route("192.168.1.0/24", (None, 2)))
    assert found.hops(NextHop(packed("192.168.1.2"))) == (hop("192.168.1.2", 2),)


@pytest.mark.parametrize(
    ("routes", "target", "reason"),
    [
        ([], "10.1.1.1", "no route to it, other than routes learned by BGP"),
        ([route("10.0.0.0/8", ("192.168.1.2", 4))], "10.1.1.1", "off is down"),
        ([route("10.0.0.0/8", ("192.168.1.2", 9))], "10.1.1.1", "interface 9 is down"),
        ([route("10.0.0.0/8", kind=7)], "10.1.1.1", "its route 10.0.0.0/8 is unreachable"),
        ([route("10.1.1.1/32", (None, 1), kind=2)], "10.1.1.1", "is an address of this host"),
        ([], "192.0.2.1", "is an address of this host"),
        ([], "fe80::1", "is a link-local address without an interface"),
    ],
)
def test_why_there_is_no_way(routes, target, reason):
    assert resolver(*routes, own=["192.0.2.1"]).hops(NextHop(packed(target))) == reason


def test_a_link_local_next_hop_is_on_its_interface():
    assert resolver().hops(NextHop(packed("fe80::1"), "right")) == (hop("fe80::1", 3),)
    assert resolver().hops(NextHop(packed("fe80::1"), "gone")) == "interface gone is missing"


def test_of_two_ways_the_one_that_is_up():
    found = resolver(route("10.0.0.0/8", ("192.168.1.2", 2), ("192.168.4.2", 4)))
    assert found.hops(NextHop(packed("10.1.1.1"))) == (hop("192.168.1.2", 2),)
