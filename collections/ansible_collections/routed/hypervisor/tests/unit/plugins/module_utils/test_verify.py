"""How verification parses the output of an administrator's tools."""

from __future__ import annotations

from ansible_collections.routed.hypervisor.plugins.module_utils._verify import bird, packets
from ansible_collections.routed.hypervisor.plugins.module_utils._verify import run as verify
from ansible_collections.routed.hypervisor.plugins.module_utils._verify.probes import Answer

PROTOCOLS = """\
BIRD 2.0.12 ready.
Access restricted
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     10:00:00.000

A_public_ipv4 BGP        ---        up     10:00:02.000  Established
  VRF:            public
  BGP state:          Established
    Neighbor address: 198.51.100.126
    Neighbor AS:      65000
  Channel ipv4
    State:          UP
    Table:          vrf_public_ipv4
    Routes:         3 imported, 2 exported, 3 preferred

B_public_ipv4 BGP        ---        start  10:00:01.000  Active        Socket: Connection refused
  VRF:            public
  BGP state:          Active
    Neighbor address: 198.51.100.226
    Neighbor AS:      65000
    Last error:       Socket: Connection refused
"""

BFD = """\
BIRD 2.0.12 ready.
bfd_public:
IP address                Interface  State      Since         Interval  Timeout
198.51.100.126            fabric-A.90 Up         10:00:02.000    0.100    0.300
2001:db8:c633:6400::26    fabric-A.90 Down       10:00:02.000    0.100    0.000
"""


def test_a_session_passes_only_in_its_vrf_with_its_neighbour():
    sessions = bird.parse_protocols(PROTOCOLS)
    expected = {"session": "A_public_ipv4", "vrf": "public", "neighbor": "198.51.100.126"}
    assert bird.verify_bgp(expected, sessions) == (True, "Established, neighbor 198.51.100.126, VRF public")
    assert not bird.verify_bgp({**expected, "vrf": "private"}, sessions)[0]
    assert not bird.verify_bgp({**expected, "vrf": None}, sessions)[0]
    assert not bird.verify_bgp({**expected, "neighbor": "198.51.100.1"}, sessions)[0]


def test_the_last_error_of_a_session_that_is_down_is_reported():
    expected = {"session": "B_public_ipv4", "vrf": "public", "neighbor": "198.51.100.226"}
    passed, seen = bird.verify_bgp(expected, bird.parse_protocols(PROTOCOLS))
    assert not passed
    assert seen.endswith("last error Socket: Connection refused")


def test_a_missing_session_is_reported():
    assert bird.verify_bgp({"session": "C"}, bird.parse_protocols(PROTOCOLS)) == (False, "BIRD has no protocol C")


def test_imported_routes_are_counted():
    assert bird.parse_protocols(PROTOCOLS)["A_public_ipv4"]["imported"] == 3


def test_bfd_sessions_are_identified_by_neighbour_and_interface():
    sessions = bird.parse_bfd(BFD)
    assert bird.verify_bfd({"neighbor": "198.51.100.126", "interface": "fabric-A.90"}, sessions) == (True, "Up")
    assert bird.verify_bfd({"neighbor": "2001:db8:c633:6400::26", "interface": "fabric-A.90"}, sessions)[1] == "Down"
    assert not bird.verify_bfd({"neighbor": "198.51.100.126", "interface": "fabric-B.90"}, sessions)[0]


def test_hops_that_do_not_answer_keep_their_position():
    allowed = [["203.0.113.254"], ["198.51.100.102", "198.51.100.202"], ["203.0.113.3"]]
    seen = ["203.0.113.254", "*", "203.0.113.3"]
    assert packets.compare_hops(allowed, [], seen) == (False, "203.0.113.254 > * > 203.0.113.3")
    assert packets.compare_hops(allowed, [], ["203.0.113.254", "198.51.100.202", "203.0.113.3"])[0]
    assert not packets.compare_hops(allowed, [], ["203.0.113.254", "203.0.113.3"])[0]


def test_a_router_may_answer_from_an_address_that_is_none_of_the_intent_and_a_guest_may_not():
    allowed, networks = [["fe80::1"], ["2001:db8::5"]], ["2001:db8::/64", "fe80::/64"]
    assert packets.compare_hops(allowed, networks, ["2001:db8:98:99::1", "2001:db8::5"])[0]
    assert not packets.compare_hops(allowed, networks, ["2001:db8::6", "2001:db8::5"])[0]
    assert not packets.compare_hops(allowed, networks, ["fe80::1", "2001:db8:98:99::1"])[0]
    assert not packets.compare_hops(allowed, networks, ["*", "2001:db8::5"])[0]


def test_silence_is_tried_once_after_everything_that_must_answer(monkeypatch):
    order = []

    def pings(expectations):
        order.extend(expected["title"] for expected in expectations)
        return [(len(order) > 2 or expected.get("expect") == "silence", "") for expected in expectations]

    monkeypatch.setitem(verify.PACKET_BATCHES, "ping", pings)
    monkeypatch.setattr(verify, "PAUSE_S", 0)
    config = [
        {"title": "silence", "kind": "ping", "expect": "silence"},
        {"title": "reply", "kind": "ping"},
    ]
    results = verify.run(config, deadline_s=5)
    assert order == ["reply", "reply", "reply", "silence"]
    assert [result["state"] for result in results] == ["passed", "passed"]


def test_an_expectation_that_never_holds_fails_at_the_deadline_with_what_was_seen(monkeypatch):
    monkeypatch.setitem(
        verify.PACKET_BATCHES, "ping", lambda expectations: [(False, "no reply") for _expected in expectations]
    )
    monkeypatch.setattr(verify, "PAUSE_S", 0)
    results = verify.run([{"title": "x", "kind": "ping"}], deadline_s=0)
    assert results[0]["state"] == "failed"
    assert results[0]["seen"] == "no reply"


def test_passed_expectations_are_not_retried_and_all_pings_are_sent_together(monkeypatch):
    rounds = []

    def pings(expectations):
        rounds.append([expected["title"] for expected in expectations])
        return [(expected["title"] == "a" or len(rounds) > 1, "") for expected in expectations]

    monkeypatch.setitem(verify.PACKET_BATCHES, "ping", pings)
    monkeypatch.setattr(verify, "PAUSE_S", 0)
    results = verify.run([{"title": title, "kind": "ping"} for title in "abc"], deadline_s=5)
    assert rounds == [["a", "b", "c"], ["b", "c"]]
    assert [result["title"] for result in results] == ["a", "b", "c"]


def test_a_silent_port_passes_only_if_an_echo_request_is_answered():
    answered, silent, unsent = Answer(True, "reply"), Answer(False, "no answer"), Answer(None, "no rights")
    assert packets.silence(answered, silent) == (True, "no answer")
    assert packets.silence(answered, Answer(True, "Connection refused")) == (False, "Connection refused")
    assert packets.silence(answered, unsent) == (False, "no rights")
    for echo in (silent, unsent):
        passed, seen = packets.silence(echo, silent)
        assert not passed and "proves nothing" in seen


def test_a_port_is_not_tried_if_the_kernel_does_not_support_the_firewall(monkeypatch):
    monkeypatch.setattr(packets, "lacking", lambda _run: "this kernel cannot")
    config = [{"title": "x", "kind": "tcp", "to": "192.0.2.1", "port": 179, "expect": "silence"}]
    [result] = verify.run(config, deadline_s=0)
    assert (result["state"], result["seen"]) == ("not run", "this kernel cannot")


def test_a_request_that_could_not_be_sent_proves_neither_an_answer_nor_silence():
    assert packets.verdict({"expect": "silence"}, None, "no rights") == (False, "no rights")
    assert packets.verdict({}, None, "no rights") == (False, "no rights")
    assert packets.verdict({"expect": "silence"}, False, "no reply") == (True, "no reply")


def test_what_needs_an_absent_guest_is_not_tried_and_the_rest_is(monkeypatch):
    tried = []

    def pings(expectations):
        tried.extend(expected["title"] for expected in expectations)
        return [(True, "reply") for _expected in expectations]

    monkeypatch.setitem(verify.PACKET_BATCHES, "ping", pings)
    config = [
        {"title": "here", "kind": "present", "interface": "lo", "guests": ["web1"]},
        {"title": "not here", "kind": "present", "interface": "tap-web2", "guests": ["web2"]},
        {"title": "to web1", "kind": "ping", "guests": ["web1"]},
        {"title": "to web2", "kind": "ping", "guests": ["web1", "web2"]},
        {"title": "silence of web3", "kind": "ping", "guests": ["web3"], "expect": "silence"},
        {"title": "to the world", "kind": "ping"},
    ]
    results = verify.run(config, deadline_s=60, absent=["web3"])
    assert tried == ["to web1", "to the world"]
    assert [(result["state"], result["seen"]) for result in results] == [
        ("passed", "lo"),
        ("absent", "tap-web2"),
        ("passed", "reply"),
        ("absent", "absent: web2"),
        ("absent", "absent: web3"),
        ("passed", "reply"),
    ]
