"""Guests that start, move and stop between hypervisors with BIRD, as its template configures it."""

from __future__ import annotations

import signal

import pytest
from support.following import MACS, PORT_MACS, WEB1, WEB2, GuestMachine, rarp
from support.moving import BORDER, HOSTS, PLAIN, SHARED, Kind, Pinger
from support.waiting import seconds_until, stays, until, until_equal

SOON_S = 15
DAEMONS = [PLAIN, Kind(with_gobgp=("hv2",))]  # the border has BIRD
ONE_LONG = pytest.param(DAEMONS[1], marks=pytest.mark.long)
BOTH = pytest.param(Kind(with_gobgp=HOSTS), marks=pytest.mark.long)
BFD = {"interval_ms": 200, "multiplier": 5}
SHARING = [Kind(bfd=BFD, shared=True), Kind(with_gobgp=("hv2",), shared=True)]


@pytest.fixture
def machine(fabric):
    made = []

    def make(host, name, port):
        made.append(GuestMachine(fabric.hosts[host], name, port))
        return made[-1]

    yield make
    for one in made:
        one.remove()


@pytest.mark.parametrize("fabric", DAEMONS, indirect=True, ids=["bird", "gobgp"])
def test_a_guest_is_reached_wherever_it_is(fabric, machine):
    first = machine("hv1", "web1", "tap-web1")
    first.runs()
    seconds = seconds_until(lambda: fabric.sees(WEB1[0]), SOON_S, f"web1 is reached {fabric.hosts['hv1'].said()}")
    print(f"started, and reached from the border after {seconds:.2f} s")
    until_equal(lambda: fabric.place("web1"), ["hv1"], SOON_S)
    second = machine("hv2", "web1", "tap-web1")
    stays(lambda: fabric.place("web1") == ["hv1"], 1, "the port on the destination attracts nothing yet")
    until(lambda: fabric.hosts["hv2"].routes(WEB1[0]), SOON_S, "the destination knows where it is")
    with Pinger(fabric.spaces[BORDER], WEB1[0], 0.02) as pinger:
        until(lambda: len(pinger.received) > 10, SOON_S)
        first.stops()  # and its port lingers
        second.runs()
        until(lambda: fabric.place("web1") == ["hv2"], SOON_S, "it has moved")
        count = len(pinger.received)
        until(lambda: len(pinger.received) > count + 10, SOON_S, "and is reached there")
    print(f"moved: {pinger.lost()} packets lost, longest gap {pinger.longest_gap() * 1000:.0f} ms")
    assert fabric.hosts["hv2"].numbers(WEB1[0]) == [102]
    stays(lambda: fabric.place("web1") == ["hv2"] and fabric.sees(WEB1[0], 5), 2, "the stale port does not win")
    # its old host forwards to the new one
    until(lambda: fabric.hosts["hv1"].routes(WEB1[0])[0].get("gateway") == "10.9.0.12", SOON_S)
    # back again, while the second port lingers
    second.stops()
    first.space.ip(f"link set eth0 address {MACS['web1']}")
    first.sends(rarp(MACS["web1"]))
    until(lambda: fabric.place("web1") == ["hv1"], SOON_S, "it is back")
    assert fabric.hosts["hv1"].numbers(WEB1[0]) == [103]
    until(lambda: fabric.sees(WEB1[0]), SOON_S)


@pytest.mark.parametrize("fabric", [DAEMONS[0], ONE_LONG, BOTH], indirect=True, ids=["bird", "gobgp", "both"])
def test_two_hosts_that_claim_a_guest_agree_on_where_it_sends(fabric, machine):
    """They were out of touch: both have the same number."""
    first, second = machine("hv1", "web1", "tap-web1"), machine("hv2", "web1", "tap-web1")
    for name in ("hv1", "hv2"):
        fabric.cable(name, "down")
    first.runs()
    until(lambda: fabric.place("web1") == ["hv1"], SOON_S)
    first.stops()
    second.runs()
    until(lambda: fabric.place("web1") == ["hv1", "hv2"], SOON_S)
    for name in ("hv1", "hv2"):
        fabric.cable(name, "up")
    until(lambda: fabric.place("web1") == ["hv2"], 60, "both agree")
    until(lambda: fabric.sees(WEB1[0]), 60, "the border reaches it")


@pytest.mark.parametrize("fabric", [Kind(scan_s=3600)], indirect=True, ids=["bird"])
def test_a_guest_that_stops_is_gone_from_the_border_at_once(fabric, machine):
    """Without the agent, BIRD would find out at its next scan."""
    web2 = machine("hv1", "web2", "vnet0")
    fabric.spaces["hv1"].ip(f"link set vnet0 address {PORT_MACS['web2']}")
    web2.runs()
    until(lambda: fabric.sees(WEB2[0]), SOON_S, "web2 is reached")
    fabric.spaces["hv1"].ip("link delete vnet0")
    seconds = seconds_until(
        lambda: WEB2[0] not in fabric.spaces[BORDER].ip("route show"), SOON_S, "no route at the border", 0.005
    )
    print(f"stopped, and gone from the border after {seconds:.3f} s")


@pytest.mark.parametrize("fabric", [Kind(bfd=BFD)], indirect=True, ids=["bfd"])
def test_the_guests_of_a_host_that_loses_power_are_gone_everywhere_and_can_start_elsewhere(fabric, machine):
    machine("hv1", "web1", "tap-web1").runs()
    until(lambda: fabric.sees(WEB1[0]), SOON_S, "web1 is reached")
    until(lambda: fabric.has_bfd(BORDER) and fabric.has_bfd("hv2"), SOON_S, "BFD runs")
    until(lambda: all(map(fabric.hosts["hv2"].routes, WEB1)), SOON_S, "the other hypervisor knows where it is")
    fabric.lose_power("hv1")
    took = seconds_until(
        lambda: (
            WEB1[0] not in fabric.spaces[BORDER].ip("route show") and not any(map(fabric.hosts["hv2"].routes, WEB1))
        ),
        SOON_S,
        "no route to web1",
        0.02,
    )
    print(f"its hypervisor lost power: no route to it anywhere after {took:.2f} s")
    timers = fabric.variables[BORDER]["bgp"]["timers"]
    assert took < timers["hold_s"] - timers["keepalive_s"], "it is BFD that finds out, not BGP's hold timer"
    machine("hv2", "web1", "tap-web1").runs()
    until(lambda: fabric.sees(WEB1[0]), SOON_S, "started on another hypervisor")
    assert fabric.hosts["hv2"].numbers(WEB1[0]) == [101]


@pytest.mark.long
@pytest.mark.parametrize("fabric", SHARING, indirect=True, ids=["bird", "gobgp"])
def test_when_a_host_loses_power_flows_to_a_shared_address_go_to_the_rest(fabric, machine):
    """Without BFD, when BGP's hold time ends."""
    for host, name, port in (("hv1", "web1", "tap-web1"), ("hv2", "web2", "vnet0")):
        guest = machine(host, name, port)
        fabric.spaces[host].ip(f"link set {port} address {PORT_MACS[name]}")
        guest.runs()
        guest.space.ip(f"address add {SHARED}/32 dev eth0")
    until_equal(lambda: ways(fabric, SHARED), {"10.9.0.11", "10.9.0.12"}, SOON_S)
    assert fabric.sees(SHARED, 5)
    until(lambda: not fabric.kind.bfd or fabric.has_bfd(BORDER), SOON_S, "BFD runs")
    fabric.lose_power("hv2")
    timers = fabric.variables[BORDER]["bgp"]["timers"]
    most = timers["hold_s"] - timers["keepalive_s"] if fabric.kind.bfd else timers["hold_s"] + 5
    took = seconds_until(lambda: ways(fabric, SHARED) == {"10.9.0.11"}, most + SOON_S, "one place is left", 0.02)
    print(f"the other host lost power: all flows to the shared address go to the rest after {took:.2f} s")
    assert took < most
    until(lambda: fabric.sees(SHARED), SOON_S, "the rest answers")
    until(lambda: not ways(fabric, WEB2[0]), SOON_S, "its guest is gone")


def ways(fabric, address):
    """The next hops of the border's route."""
    found = fabric.spaces[BORDER].show(f"route show {address}")
    return {hop["gateway"] for route in found for hop in route.get("nexthops", [route])}


def test_an_agent_that_dies_while_a_guest_moves_lets_it_go(fabric, machine):
    first, second = machine("hv1", "web1", "tap-web1"), machine("hv2", "web1", "tap-web1")
    first.runs()
    until(lambda: fabric.sees(WEB1[0]), SOON_S)
    fabric.hosts["hv1"].end(signal.SIGKILL)
    first.stops()
    second.runs()
    until(
        lambda: (
            fabric.place("web1") == ["hv2"]
            if fabric.hosts["hv1"].process
            else fabric.hosts["hv2"].numbers(WEB1[0]) == [102]
        ),
        SOON_S,
        "it has moved",
    )
    until(lambda: fabric.sees(WEB1[0]), SOON_S, "the later place wins without the agent of the earlier one")
    fabric.hosts["hv1"].start()
    until_equal(lambda: fabric.hosts["hv1"].numbers(WEB1[0]), [], SOON_S)
    stays(lambda: fabric.sees(WEB1[0], 5), 1)
