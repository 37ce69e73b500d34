"""What the routing manager makes of what GoBGP says. It was recorded from GoBGP 3.10."""

from __future__ import annotations

import json

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing import rib
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.model import packed, prefix
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.resolve import NextHop


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
    found = rib.Rib({}, {}, neighbors, {})
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
    assert found.announced == {prefix("10.10.1.0/24"): 100, prefix("2001:db8:1::/48"): 100}
    assert not found.learned


def test_of_two_claims_to_a_guest_with_one_number_the_other_is_learned():
    where, number = "203.0.113.11/32", {"type": 5, "value": 102}
    own = path(where, "0.0.0.0", origin=0, best=True)
    other, older = path(where, "192.168.1.2", "192.168.1.2"), path(where, "192.168.1.3", "192.168.1.3")
    own["attrs"].append(number)
    other["attrs"].append(number)
    older["attrs"].append({**number, "value": 101})
    found = table({where: [own, other, older]})
    assert found.announced == {prefix(where): 102}
    assert found.learned == {prefix(where): (NextHop(packed("192.168.1.2"), None, 102),)}
    assert not table({where: [own, older]}).learned


@pytest.mark.parametrize(
    ("aspath", "is_of_another"),
    [
        ((), True),
        ((65001,), True),
        ((65001, 65002), True),
        ((65001, 65001), False),
        ((65001, 65002, 65001), False),
    ],
)
def test_who_else_announces_what_we_announce(aspath, is_of_another):
    """Unless a leaf may have sent our own route back, with its AS in the place of ours."""
    where = "10.1.0.5/32"
    other = path(where, "192.168.1.2", "192.168.1.2", aspath=aspath)
    found = table({where: [path(where, "0.0.0.0", origin=0, best=True), other]}, internal=["192.168.1.2"])
    assert found.rivals == ({prefix(where): ["192.168.1.2"]} if is_of_another else {})
    assert not table({where: [other]}).rivals


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
