"""How bgp_info parses the (shortened) output of BIRD 2.0.12, FRR 8.4.4 and GoBGP 3.10.0."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._verify import (
    bgp_info,
    bgp_table,
    bird,
    frr,
    gobgp,
    routes_bird,
    routes_frr,
    routes_gobgp,
)

NOW = datetime.datetime(2026, 11, 21, 14, 41, 58)

BIRD_PROTOCOLS = """\
BIRD 2.0.12 ready.
Access restricted
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     14:40:27.754

switch1_ipv4 BGP        ---        up     14:40:28.326  Established
  VRF:            blue
  BGP state:          Established
    Neighbor address: 50.1.1.2%left
    Neighbor AS:      500
    Local AS:         65002
    Local capabilities
      Multiprotocol
        AF announced: ipv4
  Channel ipv4
    State:          UP
    Table:          t4
    Routes:         3 imported, 1 filtered, 2 exported, 0 preferred

switch1_ipv6 BGP        ---        start  2026-11-19    Active        Socket: Connection refused
  BGP state:          Active
    Neighbor address: 2001:db8:50::2
    Neighbor AS:      500
    Local AS:         65002
    Last error:       Socket: Connection refused
  Channel ipv6
    State:          DOWN
    Table:          t6
"""

BIRD_ROUTES = """\
BIRD 2.0.12 ready.
Access restricted
Table master4:

Table t4:
192.168.1.3/32       blackhole [s4 14:40:27.754] * (200)
\tType: static univ
                     unicast [switch1_ipv4 14:40:29.628] (100) [AS500i]
\tvia 50.1.1.2 on left
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 500 500
\tBGP.next_hop: 50.1.1.2
\tBGP.local_pref: 100
10.1.0.0/24          unicast [rr1 2026-11-20 from 198.51.100.126] * (100/20) [AS65001i]
\tvia 172.22.15.1 on fabric-A weight 1
\tvia 172.22.15.129 on fabric-B weight 1
\tType: BGP univ
\tBGP.next_hop: 10.255.0.9
\tBGP.med: 30
10.2.0.0/24          unicast [direct1 14:40:27.754] * (240)
\tdev left
\tType: device univ

Table t6:
2001:db8:1::2/128    unicast [switch1_ipv6 14:40:29.979] * (100) [AS500?]
\tvia 2001:db8:50::2 on left
\tType: BGP univ
\tBGP.next_hop: 2001:db8:50::2 fe80::5897:a5ff:fe3c:127a
"""


def test_sessions_of_bird_have_both_as_numbers_families_and_filtered_routes():
    sessions = bird.parse_protocols(BIRD_PROTOCOLS)
    up, down = sessions["switch1_ipv4"], sessions["switch1_ipv6"]
    assert (up["neighbor"], up["neighbor_as"], up["local_as"], up["vrf"]) == ("50.1.1.2", 500, 65002, "blue")
    assert (up["families"], up["received"], up["imported"], up["since"]) == (["ipv4"], 4, 3, "14:40:28.326")
    assert (down["state"], down["error"]) == ("Active", "Socket: Connection refused")
    assert (down["since"], down["families"], down["vrf"]) == ("2026-11-19", ["ipv6"], None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("14:40:28.326", 90),
        ("14:41:58", 0),
        ("23:59:58.000", 14 * 3600 + 42 * 60),  # yesterday
        ("2026-11-19", 2 * 86400 + 14 * 3600 + 41 * 60 + 58),
        ("2026-11-21 14:41:00.5", 58),
        ("", None),
    ],
)
def test_times_of_bird_become_seconds(text, seconds):
    assert routes_bird.seconds_since(text, NOW) == seconds
    assert routes_bird.seconds_since(text, None) is None


def test_routes_of_bird():
    vrfs = routes_bird.vrfs_of_tables(BIRD_PROTOCOLS)
    assert vrfs == {"t4": "blue"}
    routes = routes_bird.parse_routes(BIRD_ROUTES, vrfs, NOW)
    assert [(route["prefix"], route["protocol"], route["best"], route["vrf"]) for route in routes] == [
        ("192.168.1.3/32", "static", True, "blue"),
        ("192.168.1.3/32", "bgp", False, "blue"),
        ("10.1.0.0/24", "bgp", True, "blue"),
        ("10.2.0.0/24", "connected", True, "blue"),
        ("2001:db8:1::2/128", "bgp", True, None),
    ]
    assert [(route["preference"], route["metric"]) for route in routes[:3]] == [(200, 0), (100, 0), (100, 30)]
    assert routes[1]["next_hops"] == [{"address": "50.1.1.2", "interface": "left"}]
    assert routes[2]["next_hops"] == [{"address": "10.255.0.9", "interface": None}]  # the one of BGP, several hops away
    assert routes[3]["next_hops"] == [{"address": None, "interface": "left"}]
    assert routes[4]["next_hops"] == [{"address": "2001:db8:50::2", "interface": "left"}]
    assert routes[1]["uptime_s"] == 89 and routes[4]["family"] == "ipv6"


FRR_NEIGHBORS = {
    "default": {
        "vrfId": 0,
        "vrfName": "default",
        "50.1.1.1": {
            **{"remoteAs": 65002, "localAs": 500, "nbrDesc": "contiv1", "bgpState": "Established"},
            **{"bgpTimerUpMsec": 90000, "addressFamilyInfo": {"ipv4Unicast": {"acceptedPrefixCounter": 2}}},
        },
    },
    "blue": {
        "vrfId": 7,
        "vrfName": "blue",
        "2001:db8:20::11": {
            **{"remoteAs": 65004, "localAs": 500, "bgpState": "Idle", "addressFamilyInfo": {"ipv6Unicast": {}}},
            **{"lastResetDueTo": "No AFI/SAFI activated for peer", "bgpTimerUpMsec": None},
        },
    },
}


def test_sessions_of_frr_are_identified_by_vrf_and_neighbour():
    found = frr.parse_neighbors(FRR_NEIGHBORS)
    assert set(found) == {(None, "50.1.1.1"), ("blue", "2001:db8:20::11")}
    assert found[None, "50.1.1.1"]["accepted"] == 2 and found[None, "50.1.1.1"]["name"] == "contiv1"
    expected = {"daemon": "frr", "vrf": None, "neighbor": "50.1.1.1", "family": "ipv4"}
    assert frr.verify_bgp(expected, found) == (True, "Established, neighbor 50.1.1.1, ipv4, VRF none")
    assert not frr.verify_bgp({**expected, "family": "ipv6"}, found)[0]
    assert not frr.verify_bgp({**expected, "vrf": "blue"}, found)[0]
    passed, seen = frr.verify_bgp({"vrf": "blue", "neighbor": "2001:db8:20::11"}, found)
    assert not passed and seen.endswith("last reset: No AFI/SAFI activated for peer")
    assert frr.verify_bgp(expected, {"error": "bgpd is not running"}) == (False, "bgpd is not running")


def test_bfd_sessions_of_frr():
    peers = [{"peer": "60.1.1.4", "vrf": "default", "status": "up"}, {"peer": "::1", "vrf": "blue", "status": "down"}]
    found = frr.parse_bfd(peers)
    assert frr.verify_bfd({"neighbor": "60.1.1.4", "interface": "core"}, found) == (True, "Up")
    assert frr.verify_bfd({"neighbor": "::1", "vrf": "blue"}, found) == (False, "Down")
    assert frr.verify_bfd({"neighbor": "::1"}, found) == (False, "FRR has no such BFD session")


def test_the_json_of_several_commands_is_split():
    text = '{"a": 1}\nVRF blue:\n{\n  "b": [2, {"c": 3}]\n}\n[]\n% nothing {here\n'
    assert frr.values(text) == [{"a": 1}, {"b": [2, {"c": 3}]}, []]
    assert frr.values("bgpd is not running\n") == []


def test_routes_of_frr_have_the_next_hop_of_bgp_without_its_resolution():
    entry = {
        "prefix": "192.168.1.2/32",
        "protocol": "bgp",
        "vrfName": "default",
        "selected": True,
        "distance": 200,
    }
    entry |= {"metric": 0, "uptime": "01:01:02"}
    recursive = {"ip": "60.1.1.3", "active": True, "recursive": True}
    resolver = {"ip": "80.1.1.2", "interfaceName": "core", "resolver": True}
    connected = {"prefix": "fe80::/64", "protocol": "connected", "distance": 0, "metric": 0, "nexthops": []}
    answer = {"192.168.1.2/32": [{**entry, "nexthops": [recursive, resolver]}], "fe80::/64": [connected]}
    (route,) = routes_frr.parse_routes(answer)
    assert route["next_hops"] == [{"address": "60.1.1.3", "interface": None}]
    assert (route["preference"], route["metric"], route["uptime_s"], route["vrf"]) == (200, 0, 3662, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:01:28", 88), ("1d02h03m", 93780), ("01w2d03h", 788400), ("never", None), ("", None)]
)
def test_times_of_frr_become_seconds(text, seconds):
    assert routes_frr.seconds(text) == seconds


GOBGP_RIB = {
    "192.168.1.2/32": [
        {"age": 1000, "best": True, "attrs": [{"type": 1, "value": 2}, {"type": 3, "nexthop": "0.0.0.0"}]},
        {
            **{"age": 1010, "best": False, "source-id": "60.1.1.4", "neighbor-ip": "60.1.1.4"},
            "attrs": [{"type": 3, "nexthop": "60.1.1.4"}, {"type": 4, "metric": 30}],
        },
    ],
    "2001:db8:1::1/128": [
        {
            **{"age": 1010, "best": True, "source-id": "60.1.1.4", "neighbor-ip": "2001:db8:60::4"},
            "attrs": [{"type": 1, "value": 0}, {"type": 14, "nexthop": "2001:db8:60::4", "afi": 2, "safi": 1}],
        }
    ],
}


def test_routes_of_gobgp():
    routes = routes_gobgp.parse_rib(json.dumps(GOBGP_RIB), "main", None, "ipv4", 1070.5)
    assert [(route["protocol"], route["best"], route["uptime_s"]) for route in routes] == [
        ("local", True, 70),
        ("bgp", False, 60),
        ("bgp", True, 60),
    ]
    assert [[hop["address"] for hop in route["next_hops"]] for route in routes] == [
        [],
        ["60.1.1.4"],
        ["2001:db8:60::4"],
    ]
    assert [route["metric"] for route in routes] == [0, 30, 0]
    assert routes_gobgp.parse_rib("null", "main", None, "ipv4", 0) == []


def test_sessions_of_gobgp_have_their_start_time():
    found = gobgp.parse_neighbors((Path(__file__).parent / "gobgp_neighbor.json").read_text())
    assert found["b_main_ipv4"]["since"] == 1795269804
    assert (found["b_main_ipv4"]["local_as"], found["b_main_ipv4"]["neighbor_as"]) == (64512, 65001)


def test_neighbours_without_an_address_come_first():
    texts = ["10.0.0.10", "2001:db8::1", "eth0", "10.0.0.9", ""]
    assert sorted(texts, key=bgp_info._order) == ["", "eth0", "10.0.0.9", "10.0.0.10", "2001:db8::1"]


def test_sessions_and_routes_are_printed_as_tables():
    session = {"daemon": "frr", "vrf": None, "neighbor": "50.1.1.1", "neighbor_as": 65002, "name": "contiv1"}
    session |= {"families": ["ipv4"], "state": "Established", "uptime_s": 13744, "prefixes_received": 3}
    session |= {"prefixes_accepted": 2, "last_error": None}
    down = {**session, "neighbor": "50.1.1.9", "state": "Idle", "uptime_s": None, "last_error": "Cease"}
    hops = [{"address": "50.1.1.1", "interface": "left"}, {"address": "50.1.2.1", "interface": None}]
    route = {"daemon": "frr", "vrf": None, "prefix": "192.168.1.1/32", "best": True, "next_hops": hops}
    route |= {"preference": 20, "metric": 0, "uptime_s": 90061, "protocol": "bgp"}
    text = bgp_table.text([session, down], [route, {**route, "vrf": "blue", "preference": None}], {"bird": "silence"})
    assert text == (
        "bird does not answer: silence\n\n"
        "frr, VRF default\n\n"
        "NEIGHBOR  AS     NAME     FAMILY  STATE         UP        RECEIVED  ACCEPTED\n"
        "50.1.1.1  65002  contiv1  ipv4    Established   03:49:04  3         2\n"
        "50.1.1.9  65002  contiv1  ipv4    Idle (Cease)  -         3         2\n\n"
        "PREFIX             VIA            [PREF/METRIC]  UP     PROTOCOL\n"
        "192.168.1.1/32  *  50.1.1.1 left  [20/0]         1d01h  bgp\n"
        "                   50.1.2.1\n\n"
        "frr, VRF blue\n\n"
        "PREFIX             VIA            [PREF/METRIC]  UP     PROTOCOL\n"
        "192.168.1.1/32  *  50.1.1.1 left  [-/0]          1d01h  bgp\n"
        "                   50.1.2.1\n"
    )
    assert bgp_table.text([], [], {}) == "no BGP daemon is running here\n"
