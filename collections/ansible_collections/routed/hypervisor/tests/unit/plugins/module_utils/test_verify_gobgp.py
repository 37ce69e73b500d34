"""How verification parses GoBGP's sessions. gobgp_neighbor.json is the output of `gobgp neighbor --json` 3.10.0
with two established sessions and one whose neighbour was not running."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.routed.hypervisor.plugins.module_utils._verify import gobgp
from ansible_collections.routed.hypervisor.plugins.module_utils._verify import run as verify

SESSIONS = gobgp.parse_neighbors((Path(__file__).parent / "gobgp_neighbor.json").read_text())
EXPECTED = {
    "daemon": "gobgp",
    "instance": "main",
    "session": "b_main_ipv6",
    "neighbor": "2001:db8::2",
    "family": "ipv6",
}


def test_sessions_are_identified_by_their_names():
    assert {name: session["state"] for name, session in SESSIONS.items()} == {
        "b_main_ipv4": "Established",
        "b_main_ipv6": "Established",
        "c_main_ipv4": "Active",
    }


def test_routes_are_counted_and_zeroes_may_be_omitted():
    counts = {name: (session["received"], session["accepted"]) for name, session in SESSIONS.items()}
    assert counts == {"b_main_ipv4": (2, 2), "b_main_ipv6": (1, 1), "c_main_ipv4": (0, 0)}


def test_a_session_passes_only_with_its_neighbour_and_family():
    assert gobgp.verify_bgp(EXPECTED, SESSIONS) == (True, "Established, neighbor 2001:db8::2, ipv6, instance main")
    assert not gobgp.verify_bgp({**EXPECTED, "neighbor": "2001:db8::3"}, SESSIONS)[0]
    assert not gobgp.verify_bgp({**EXPECTED, "family": "ipv4"}, SESSIONS)[0]


def test_a_session_that_is_down_fails():
    expected = {**EXPECTED, "session": "c_main_ipv4", "neighbor": "10.0.1.3", "family": "ipv4"}
    assert gobgp.verify_bgp(expected, SESSIONS) == (False, "Active, neighbor 10.0.1.3, ipv4, instance main")


def test_a_missing_session_or_instance_is_reported():
    assert gobgp.verify_bgp({**EXPECTED, "session": "x"}, SESSIONS) == (False, "GoBGP main has no session x")
    assert gobgp.parse_neighbors("null") == {}
    passed, seen = gobgp.verify_bgp(EXPECTED, gobgp.sessions("no-such-instance"))
    assert not passed and seen.startswith("no GoBGP answers")


def test_an_instance_is_queried_once_per_round_and_only_if_gobgp_is_given(monkeypatch):
    queried = []
    monkeypatch.setattr(gobgp, "sessions", lambda instance: queried.append(instance) or SESSIONS)
    monkeypatch.setattr(verify.bird, "bgp_sessions", lambda: queried.append("bird") or {})
    wanted = [{**EXPECTED, "title": "a", "kind": "bgp"}, {**EXPECTED, "title": "b", "kind": "bgp"}]
    assert [result["state"] for result in verify.run(wanted, 0)] == ["passed", "passed"]
    assert queried == ["main"]
    bird = {"title": "c", "kind": "bgp", "session": "c", "neighbor": "192.0.2.1"}
    assert verify.run([bird], 0)[0]["state"] == "failed" and queried == ["main", "bird"]
