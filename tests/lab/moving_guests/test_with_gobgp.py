"""Guests that move between a hypervisor with BIRD and one with GoBGP, by route reflectors."""

from __future__ import annotations

import pytest
import yaml
from conftest import NOT_VERIFIED
from support.intent_samples import run_gobgp_on_hv2
from support.lab_guests import Guest, places, replies
from support.waiting import seconds_until, stays, until, until_equal

pytestmark = pytest.mark.long
WEB1 = Guest("web1", "203.0.113.11", "52:54:00:12:34:01")
BORDER, SOON_S = "internet", 30


def intent(text):
    given = yaml.safe_load(text)
    given["lab"] = {"nodes": {"hv1": {"init": "systemd"}, "hv2": {"init": "systemd"}}}
    run_gobgp_on_hv2(given)
    given["guests"] = {"web1": {**WEB1.entry, "ipv6": "none"}}
    return yaml.safe_dump(given, sort_keys=False)


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("l3_hypervisor", *NOT_VERIFIED, name="moving_gobgp", edit=intent)


def numbers(lab, host):
    found = lab.json(host, "-4", "route", "show", "vrf", "public", WEB1.ipv4, "proto", "85")
    return [route["metric"] - 1_000_000 for route in found]


def test_a_guest_starts_on_gobgp_moves_to_bird_and_back(lab):
    WEB1.start(lab, "hv2")
    seconds = seconds_until(lambda: replies(lab, BORDER, WEB1.ipv4), SOON_S, "web1 replies")
    print(f"started with GoBGP, and reached from the border after {seconds:.2f} s")
    [before] = numbers(lab, "hv2")
    until_equal(lambda: places(lab, "hv1"), {"web1": "elsewhere"}, SOON_S)
    WEB1.falls_silent(lab, "hv2")
    WEB1.start(lab, "hv1")
    until_equal(lambda: (numbers(lab, "hv1"), numbers(lab, "hv2")), ([before + 1], []), SOON_S)
    until(lambda: replies(lab, BORDER, WEB1.ipv4), SOON_S, "it is reached with BIRD")
    WEB1.stop(lab, "hv2")
    WEB1.falls_silent(lab, "hv1")
    until(lambda: "tap-web1" not in lab.run("hv2", "ip", "link"), SOON_S)
    WEB1.start(lab, "hv2")
    until_equal(lambda: (numbers(lab, "hv1"), numbers(lab, "hv2")), ([], [before + 2]), SOON_S)
    until(lambda: replies(lab, BORDER, WEB1.ipv4) and replies(lab, "vm1", WEB1.ipv4), SOON_S, "and with GoBGP again")
    until_equal(lambda: (places(lab, "hv1"), places(lab, "hv2")), ({"web1": "elsewhere"}, {"web1": "here"}), SOON_S)
    stays(lambda: replies(lab, BORDER, WEB1.ipv4, 5), 1)


def test_another_run_changes_nothing_and_verifies_everything(lab):
    run = lab.play()
    assert run.code == 0, run.output
    assert run.changed == set()
    passed, total = lab.verified()
    assert passed == total
    assert lab.tried("hv2", "routed-hypervisor", "status")[0] == 0, "GoBGP and the kernel are in step"


def test_a_killed_gobgp_announces_it_again(lab):
    before = numbers(lab, "hv2")
    lab.run("hv2", "systemctl", "kill", "-s", "KILL", "gobgpd-public")
    until(lambda: lab.tried("hv2", "routed-hypervisor", "status")[0] == 0, 60, "everything is in step again")
    until(lambda: replies(lab, BORDER, WEB1.ipv4), SOON_S)
    assert numbers(lab, "hv2") == before
