"""The routing manager's decisions: no kernel, no BGP. What GoBGP says was recorded from GoBGP 3.10."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles/routing_manager/files"))

from routing_manager import config, containers, netlink, plan, rib
from routing_manager.kernel import Action, Link, _request, parse_route
from routing_manager.model import Hop, Prefix, Route, ordered, packed, prefix
from routing_manager.resolve import NextHop, Resolver

OURS = (83, 84)


def nlri(where):
    return {"nlri": {"prefix": where}, "age": 1, "best": False, "stale": False}


def path(where, hop, neighbor=None, med=None, aspath=(65001,), origin=2, **more):
    attributes = [
        {"type": 1, "value": origin},
        {"type": 2, "as_paths": [{"segment_type": 2, "num": len(aspath), "asns": list(aspath)}]},
    ]
    if ":" in hop:
        mp_reach = {"type": 14, "nexthop": hop, "afi": 2, "safi": 1, "value": [{"prefix": where}]}
        attributes.append(mp_reach)
    else:
        attributes.append({"type": 3, "nexthop": hop})
    if med is not None:
        attributes.append({"type": 4, "metric": med})
    source = {"source-id": "192.0.2.2", "neighbor-ip": neighbor} if neighbor else {}
    return {**nlri(where), "attrs": attributes, **source, **more}


def hops(*addresses):
    return tuple(NextHop(packed(address)) for address in addresses)


# plan: what to write and what to remove

PREFIXES = [prefix(text) for text in ("10.1.0.0/16", "10.2.0.0/16", "2001:db8:1::/48")]
ROUTES = st.builds(
    Route,
    prefix=st.sampled_from(PREFIXES),
    metric=st.sampled_from([0, 32, 4096]),
    protocol=st.sampled_from([3, 82, 83, 84]),
    hops=st.sampled_from([(Hop(None, 1),), (Hop(None, 2),), (Hop(None, 1), Hop(None, 2))]),
)


def unique(routes):
    """As in a kernel: one route of a protocol for each prefix and metric."""
    return list({(route.key, route.protocol): route for route in routes}.values())


TABLES = st.lists(ROUTES, max_size=8).map(unique)
WANTS = st.lists(ROUTES, max_size=6).map(
    lambda routes: list({route.key: route for route in routes if route.protocol in OURS}.values())
)


def carried_out(have, actions):
    """As the kernel does it: a write takes the place of the first route with its prefix and metric, whosever it is."""
    table = list(have)
    for action in actions:
        if action.verb == "write":
            places = [number for number, route in enumerate(table) if route.key == action.route.key]
            if places:
                table[places[0]] = action.route
            else:
                table.append(action.route)
        else:
            table.remove(action.route)
    return table


@given(WANTS, TABLES)
def test_the_plan_leads_to_what_is_wanted_and_then_there_is_none(want, have):
    first = plan.make(want, have)
    after = carried_out(have, first.actions)
    blocked = {ours.key for ours, _other in first.blocked}
    assert {route for route in after if route.protocol in OURS and route.key not in blocked} == {
        route for route in want if route.key not in blocked
    }
    assert not plan.make(want, after).actions


@given(WANTS, TABLES)
def test_routes_of_others_are_never_touched(want, have):
    after = carried_out(have, plan.make(want, have).actions)
    others = [route for route in have if route.protocol not in OURS]
    assert [route for route in after if route.protocol not in OURS] == others


@given(WANTS, TABLES)
def test_nothing_is_removed_that_may_not_be(want, have):
    actions = plan.make(want, have, may_remove=lambda route: False).actions
    wanted = {route.key for route in want}
    assert all(action.verb == "write" or action.route.key in wanted for action in actions)


def test_a_route_keeps_its_further_ways_while_gobgp_does_not_know_all():
    narrow = Route(PREFIXES[0], 4096, 83, (Hop(None, 1),))
    wide = Route(PREFIXES[0], 4096, 83, (Hop(None, 1), Hop(None, 2)))
    other = Route(PREFIXES[0], 4096, 83, (Hop(None, 3),))
    assert not plan.make([narrow], [wide], may_shrink=False).actions
    assert plan.make([narrow], [wide]).actions == [Action("write", narrow)]
    assert plan.make([other], [wide], may_shrink=False).actions == [Action("write", other)]


# rib: what GoBGP says


def test_a_line_of_the_stream_has_all_ways_of_a_prefix():
    line = json.dumps([path("10.1.0.0/16", a, a) for a in ("192.168.251.2", "192.168.250.2")])
    assert rib.event(line) == {prefix("10.1.0.0/16"): hops("192.168.250.2", "192.168.251.2")}
    gone = json.dumps([path("10.1.0.0/16", "192.168.250.2", "192.168.250.2", withdrawal=True)])
    assert rib.event(gone) == {prefix("10.1.0.0/16"): ()}
    assert rib.event("[]") == {}


def test_our_own_paths_are_not_learned():
    assert rib.event(json.dumps([path("10.10.1.0/24", "0.0.0.0")])) == {prefix("10.10.1.0/24"): ()}


def test_an_error_in_the_stream_is_told():
    with pytest.raises(ValueError, match="transport is closing"):
        rib.event('{"error":"rpc error: code = Unavailable desc = transport is closing"}')


def test_link_local_next_hops_have_the_interface_of_their_session():
    line = json.dumps([path("2001:db8:1::/48", "fe80::2", "fe80::2%uplink")])
    assert rib.event(line) == {prefix("2001:db8:1::/48"): (NextHop(packed("fe80::2"), "uplink"),)}


def table(paths, multipath=True, internal=()):
    neighbors = [rib.Neighbor(address, True, True, True, None) for address in internal]
    found = rib.Rib({}, set(), neighbors)
    rib.table(found, json.dumps(paths), multipath)
    return found


def test_the_table_gives_the_ways_that_share_the_load():
    best = path("10.1.0.0/16", "192.168.1.2", "192.168.1.2", best=True)
    same = path("10.1.0.0/16", "192.168.2.2", "192.168.2.2")
    worse = path("10.1.0.0/16", "192.168.3.2", "192.168.3.2", med=5)
    longer = path("10.1.0.0/16", "192.168.4.2", "192.168.4.2", aspath=(65001, 65002))
    paths = {"10.1.0.0/16": [best, same, worse, longer]}
    assert table(paths).learned == {prefix("10.1.0.0/16"): hops("192.168.1.2", "192.168.2.2")}
    assert table(paths, multipath=False).learned == {prefix("10.1.0.0/16"): hops("192.168.1.2")}
    assert table(paths, internal=["192.168.2.2"]).learned == {prefix("10.1.0.0/16"): hops("192.168.1.2")}


def test_the_table_tells_our_announcements_from_an_administrators():
    paths = {
        "10.10.1.0/24": [path("10.10.1.0/24", "0.0.0.0", origin=0, best=True)],
        "10.10.2.0/24": [path("10.10.2.0/24", "0.0.0.0", origin=2, best=True)],
        "10.10.3.0/24": [path("10.10.3.0/24", "192.0.2.1", origin=0, best=True)],
        "2001:db8:1::/48": [path("2001:db8:1::/48", "::", origin=0, best=True)],
    }
    found = table(paths)
    assert found.announced == {prefix("10.10.1.0/24"), prefix("2001:db8:1::/48")}
    assert not found.learned


def test_an_empty_table():
    assert not table({}).learned


NEIGHBOR = {
    "conf": {"local_asn": 64512, "neighbor_address": "192.168.250.2", "peer_asn": 65001, "type": 1},
    "state": {"neighbor_address": "192.168.250.2", "session_state": 6},
    "afi_safis": [{"mp_graceful_restart": {"config": {}, "state": {}}}],
}


def neighbor(restart=None, **state):
    entry = {**NEIGHBOR, "state": {**NEIGHBOR["state"], **state}}
    if restart is not None:
        entry["afi_safis"] = [{"mp_graceful_restart": {"state": {"received": True, "advertised": True, **restart}}}]
    return entry


@pytest.mark.parametrize(
    ("entries", "quiet", "complete"),
    [
        ([neighbor({"end_of_rib_received": True})], False, True),
        ([neighbor({})], True, False),
        ([neighbor()], True, True),
        ([neighbor()], False, False),
        ([neighbor({"end_of_rib_received": True}), neighbor(session_state=3)], True, False),
        ([neighbor({"end_of_rib_received": True}), neighbor(session_state=1, admin_state=1)], False, True),
        ([], False, True),
    ],
)
def test_when_gobgp_knows_all(entries, quiet, complete):
    assert rib.is_complete(rib.neighbors(json.dumps(entries)), quiet) is complete


# resolve: the way to a next hop

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


# netlink: what is packed is read back as the same

GATEWAYS = st.binary(min_size=4, max_size=4).filter(any)


@given(
    st.binary(min_size=4, max_size=4),
    st.integers(0, 32),
    st.integers(1, 2**32 - 1),
    st.sets(st.tuples(GATEWAYS, st.integers(1, 9)), min_size=1, max_size=4),
)
def test_a_route_is_read_as_it_was_packed(address, length, table_number, ways):
    rest = 32 - length
    network = (int.from_bytes(address) >> rest << rest).to_bytes(4)
    wanted = Route(Prefix(network, length), 4096, 83, ordered(Hop(gateway, link) for gateway, link in ways))
    _kind, _flags, body = _request(table_number, Action("write", wanted))
    assert parse_route(memoryview(body)) == (table_number, wanted)


def test_damaged_messages_end_the_reading():
    assert list(netlink.messages(b"\x04\0\0\0" + b"\0" * 12)) == []
    assert netlink.slots(memoryview(b"\x02\0\x01\0"), 0) == {}


# containers: which namespaces there are

MOUNTS = """\
22 1 0:21 / /run rw,nosuid - tmpfs tmpfs rw
90 22 0:4 net:[4026532208] /run/netns/c1 rw shared:3 - nsfs nsfs rw
91 22 0:4 net:[4026532208] /run/netns/c1 rw shared:4 - nsfs nsfs rw
92 22 0:4 net:[4026532300] /run/docker/netns/a\\040b rw - nsfs nsfs rw
93 22 0:4 mnt:[4026532301] /run/netns/m rw - nsfs nsfs rw
94 22 0:4 net:[4026532302] /run/netns/deeper/x rw - nsfs nsfs rw
"""


def test_namespaces_are_what_is_mounted_in_the_directories():
    found = containers.mounted(["/run/netns", "/run/docker/netns"], MOUNTS)
    assert found == {4026532208: "/run/netns/c1", 4026532300: "/run/docker/netns/a b"}


# config: all mistakes at once

GOOD = {
    "comment": "made by a program",
    "namespaces": ["/run/netns"],
    "instances": [
        {
            "name": "main",
            "api": "/run/main.sock",
            "vrf": None,
            "table": 254,
            "families": ["ipv4", "ipv6"],
            "local_addresses": {"ipv4": ["192.0.2.1"], "ipv6": []},
            "prefsrc": {"ipv4": "192.0.2.1", "ipv6": None},
            "announce": [{"prefix": "10.10.1.0/24", "longest": 32}],
            "networks": [{"name": "web", "prefixes": ["10.20.1.0/24"], "interface": "host-web"}],
        }
    ],
}


def test_a_good_configuration():
    read = config.read(GOOD)
    assert (read.stale_s, read.metric) == (120, 4096)
    rule = read.instances[0].announce[0]
    assert rule.covers(prefix("10.10.1.7/32")) and rule.covers(prefix("10.10.1.0/24"))
    assert not rule.covers(prefix("10.10.0.0/16")) and not rule.covers(prefix("10.10.2.0/24"))


def test_all_mistakes_are_told_with_their_places():
    bad = json.loads(json.dumps(GOOD))
    bad["namespaces"] = ["netns"]
    bad["stale_s"] = "long"
    first = bad["instances"][0]
    first.update(api="main.sock", families=["ipv5"], colour="red")
    first["announce"][0]["longest"] = 20
    first["networks"][0]["prefixes"] = ["10.20.1.0/33"]
    first["prefsrc"]["ipv6"] = "192.0.2.1"
    del first["table"]
    bad["instances"].append({**GOOD["instances"][0], "api": "/run/other.sock", "table": 7})
    with pytest.raises(config.ConfigError) as caught:
        config.read(bad)
    assert set(str(caught.value).splitlines()) == {
        'namespaces[0]: "netns" is no absolute path',
        'stale_s: must be a number from 0 to 86400, not "long"',
        "instances[0].colour: unknown; known are announce, api, families, local_addresses, name, networks, prefsrc, "
        "table, vrf",
        'instances[0].api: "main.sock" is no absolute path of a socket',
        'instances[0].families[0]: "ipv5" is neither ipv4 nor ipv6',
        "instances[0].table: is required",
        "instances[0].announce[0].longest: must be a number from 24 to 32, not 20",
        'instances[0].networks[0].prefixes[0]: "10.20.1.0/33" is no prefix',
        'instances[0].prefsrc.ipv6: "192.0.2.1" is no ipv6 address',
        "instances[1].name: main is also that of instances[0].name",
    }


@pytest.mark.parametrize("content", [None, [], "x", {}, {"instances": 3}, {"instances": [None]}])
def test_what_is_no_configuration_at_all_is_refused(content):
    with pytest.raises(config.ConfigError):
        config.read(content)
