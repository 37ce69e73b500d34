"""The agent follows guests: their ports appear, they send, they move, others pretend to be them."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from support.following import (
    ADDRESSES,
    ELSEWHERE,
    MACS,
    PORT_MACS,
    WEB1,
    WEB2,
    FollowingHost,
    GuestMachine,
    arp,
    rarp,
    raw,
    udp,
)
from support.waiting import stays, until, until_equal

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.release import release_all
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.kernel import Kernel

SOON_S, QUIET_S = 10, 1.5
NAMED, BY_MAC = {"web1": "tap-web1", "web2": None}, {"web1": None, "web2": None}


@pytest.fixture
def space(vrf, request):
    made = request.getfixturevalue("namespace" if vrf else "bare_namespace")
    made.cable("uplink")
    return made


@pytest.fixture
def host(space, vrf, interpreter, tmp_path):
    made = FollowingHost(space, interpreter, tmp_path, vrf)
    if vrf:
        space.ip(f"link set uplink master {vrf}")
    made.store(NAMED)
    yield made
    made.end()


@pytest.fixture
def machine(host):
    made = []

    def make(name, port, mac=""):
        made.append(GuestMachine(host, name, port, mac))
        return made[-1]

    yield make
    for one in made:
        one.remove()


def here(host, name, port):
    until(
        lambda: (
            [host.port_of(address) for address in ADDRESSES[name]] == [port] * 2
            and host.report()["guests"].get(name, {}).items() >= {"port": port, "here": True}.items()
        ),
        SOON_S,
        f"{name} on {port}: {host.said()}",
    )


def absent(host, name):
    until(lambda: not any(host.numbers(address) for address in ADDRESSES[name]), SOON_S, f"no route to {name}")


def is_configured(host, port):
    [link] = host.space.show(f"link show {port}")
    addresses = {entry["local"] for entry in host.space.show(f"address show {port}")[0]["addr_info"]}
    return link.get("master") == host.vrf and {"203.0.113.254", "fe80::1"} <= addresses


def test_a_port_is_configured_when_it_appears_and_has_a_route_once_its_guest_sends(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    until(lambda: host.listens_to("web1"), SOON_S, "the port is configured")
    assert is_configured(host, "tap-web1")
    [link] = host.space.show("link show tap-web1")
    assert link["address"] == PORT_MACS["web1"]
    assert host.space.sysctl("ipv4/conf/tap-web1/proxy_arp") == "1"
    assert host.space.sysctl("ipv6/neigh/tap-web1/proxy_delay") == "0"
    proxied = {entry["dst"] for entry in host.space.show("-6 neighbor show proxy dev tap-web1")}
    assert proxied == {WEB2[1], ELSEWHERE}, "its own address is not among them"
    stays(lambda: not host.numbers(WEB1[0]), QUIET_S, "a silent guest has no route")

    web1.runs()
    here(host, "web1", "tap-web1")
    assert host.numbers(WEB1[0]) == host.numbers(WEB1[1]) == [101]
    assert web1.reaches("203.0.113.254")
    guests = host.report()["guests"]
    assert guests["web1"]["here"] and guests["web1"]["port"] == "tap-web1" and guests["web1"]["since"] > 0
    if host.vrf:
        assert [route["dev"] for route in host.routes(WEB1[0], 254)] == ["tap-web1"], "the host itself reaches it, too"


def test_a_port_without_a_name_in_the_table_is_found_by_its_mac(host, machine):
    host.start()
    web2 = machine("web2", "vnet7")
    stays(lambda: not is_configured(host, "vnet7"), 0.3, "no guest has this port")
    host.space.ip(f"link set vnet7 address {PORT_MACS['web2']}")
    until(lambda: is_configured(host, "vnet7"), SOON_S)
    web2.runs()
    here(host, "web2", "vnet7")


def test_the_route_goes_when_the_port_goes_and_the_kernel_reports_it(host, machine, tmp_path):
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    here(host, "web1", "tap-web1")
    told = tmp_path / "told"
    with told.open("w") as file:
        monitor = host.space.start("ip", "-4", "monitor", "route", stdout=file)
    until(lambda: host.space.listens(monitor.pid), SOON_S, "a monitor that listens")
    host.space.ip("link delete tap-web1")
    absent(host, "web1")
    until(lambda: "web1" not in host.report()["guests"], SOON_S)
    until(lambda: f"Deleted unreachable {WEB1[0]}" in told.read_text(), SOON_S, "a notification")
    monitor.terminate()
    monitor.wait()


def test_a_guest_is_withdrawn_when_its_tap_loses_its_carrier(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    here(host, "web1", "tap-web1")
    web1.space.ip("link set eth0 down")
    absent(host, "web1")
    web1.space.ip("link set eth0 up")
    here(host, "web1", "tap-web1")


def test_a_later_place_wins_and_a_guest_that_comes_back_wins_again(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    here(host, "web1", "tap-web1")
    web1.stops()
    host.announced_elsewhere(102, *WEB1)
    absent(host, "web1")
    stays(lambda: not host.numbers(WEB1[0]), QUIET_S, "the stale port does not win")
    until(lambda: host.listens_to("web1"), SOON_S, "it is listened to")
    web1.sends(rarp(MACS["web1"]))
    here(host, "web1", "tap-web1")
    assert host.numbers(WEB1[0]) == host.numbers(WEB1[1]) == [103]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(arp("52:54:00:66:66:66", WEB1[0]), id="another MAC"),
        pytest.param(arp(MACS["web1"], WEB2[0]), id="another address in ARP"),
        pytest.param(arp(MACS["web1"], WEB1[0], sender="52:54:00:66:66:66"), id="another MAC in ARP"),
        pytest.param(rarp(MACS["web1"], sender=MACS["web2"]), id="another MAC in RARP"),
        pytest.param(udp(MACS["web1"], "203.0.113.77"), id="another address in IPv4"),
        pytest.param(b"\x01\x80\xc2\0\0\x0e" + raw(MACS["web1"]) + b"\x88\xcc" + bytes(46), id="no address at all"),
    ],
)
def test_a_forged_frame_attracts_no_route(host, machine, frame):
    host.start()
    web1 = machine("web1", "tap-web1")
    until(lambda: host.listens_to("web1"), SOON_S, "it is listened to")
    for _count in range(100):  # more than are read at once
        web1.sends(frame)
    stays(lambda: not host.numbers(WEB1[0]) and not host.numbers(WEB2[0]), QUIET_S, "no route")
    until(lambda: web1.sends(udp(MACS["web1"], WEB1[0])) or host.numbers(WEB1[0]), SOON_S, "its own frame counts")


def test_a_guest_that_forges_another_while_that_one_moves_does_not_get_its_route(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    web2 = machine("web2", "vnet7")
    host.space.ip(f"link set vnet7 address {PORT_MACS['web2']}")
    web1.runs()
    here(host, "web1", "tap-web1")
    until(lambda: host.report()["guests"].get("web2"), SOON_S)
    web1.stops()
    host.announced_elsewhere(102, *WEB1)
    for _count in range(50):
        web2.sends(arp(MACS["web1"], WEB1[0]))
        web2.sends(arp(MACS["web2"], WEB1[0]))
    absent(host, "web1")
    stays(lambda: not host.numbers(WEB1[0]) and not host.numbers(WEB2[0]), QUIET_S, "neither has a route here")


def test_of_two_ports_with_one_mac_the_first_keeps_the_guest(host, machine):
    host.store(BY_MAC)
    host.start()
    first = machine("web1", "vnet1")
    host.space.ip(f"link set vnet1 address {PORT_MACS['web1']}")
    first.runs()
    here(host, "web1", "vnet1")
    second = machine("web1", "vnet2")
    host.space.ip(f"link set vnet2 address {PORT_MACS['web1']}")
    for _count in range(20):
        second.sends(rarp(MACS["web1"]))
    stays(lambda: host.port_of(WEB1[0]) == "vnet1", QUIET_S, "the first one keeps it")
    assert not is_configured(host, "vnet2")
    until(lambda: "vnet2 has the MAC of web1, whose port is vnet1" in host.report()["problems"], SOON_S)
    host.space.ip("link delete vnet1")
    until(lambda: is_configured(host, "vnet2"), SOON_S)
    second.runs()  # and answers the agent, which may listen only after the port is configured
    here(host, "web1", "vnet2")


def test_a_port_that_is_renamed_is_nobodys(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    here(host, "web1", "tap-web1")
    host.space.ip("link set tap-web1 down")
    host.space.ip("link set tap-web1 name other")
    host.space.ip("link set other up")
    absent(host, "web1")
    until(lambda: not host.space.show("address show other")[0]["addr_info"], SOON_S, "the gateway is no longer on it")
    assert "master" not in host.space.show("link show other")[0]
    host.space.ip("link set other down")
    host.space.ip("link set other name tap-web1")
    here(host, "web1", "tap-web1")


def test_a_port_of_somebodys_bridge_is_left_alone(host, machine):
    host.space.ip("link add theirs type bridge")
    machine("web1", "tap-web1").space.ip("link set eth0 up")
    host.space.ip("link set tap-web1 master theirs")
    host.start()
    until(host.report, SOON_S)
    assert "tap-web1 would be the port of web1, but is a port of theirs" in host.report()["problems"]
    assert host.space.show("link show tap-web1")[0]["master"] == "theirs"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_restart_withdraws_nothing_and_keeps_the_sequence(host, machine, number):
    host.start()
    web1 = machine("web1", "tap-web1")
    host.announced_elsewhere(140, *WEB1)
    web1.runs()
    here(host, "web1", "tap-web1")
    assert host.numbers(WEB1[0]) == [141]
    host.announced_elsewhere(None, *WEB1)
    monitor = host.space.start("ip", "monitor", "route", stdout=-1, text=True)
    until(lambda: host.space.listens(monitor.pid), SOON_S, "a monitor that listens")
    host.end(number)
    stays(lambda: host.numbers(WEB1[0]) == [141], 0.5)
    host.start()
    until(lambda: host.report().get("guests", {}).get("web1", {}).get("here"), SOON_S)
    assert host.numbers(WEB1[0]) == host.numbers(WEB1[1]) == [141]
    monitor.send_signal(signal.SIGTERM)
    assert WEB1[0] not in monitor.communicate()[0]


def test_what_happened_while_the_agent_was_dead_is_found_at_its_start(host, machine):
    host.start()
    web1, web2 = machine("web1", "tap-web1"), machine("web2", "vnet7")
    host.space.ip(f"link set vnet7 address {PORT_MACS['web2']}")
    web1.runs()
    web2.runs()
    here(host, "web1", "tap-web1")
    here(host, "web2", "vnet7")
    host.end(signal.SIGKILL)
    web1.stops()
    host.announced_elsewhere(102, *WEB1)  # it has moved
    host.space.ip("link delete vnet7")  # it has stopped
    host.start()
    absent(host, "web1")
    absent(host, "web2")


def test_a_guest_that_started_while_the_agent_was_dead_is_asked_whether_it_runs(host, machine):
    web1 = machine("web1", "tap-web1")
    web1.runs()
    until(lambda: "tentative" not in web1.space.ip("address show eth0"), SOON_S)
    host.start()
    here(host, "web1", "tap-web1")


def test_an_overrun_is_survived(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    here(host, "web1", "tap-web1")
    host.process.send_signal(signal.SIGSTOP)
    host.space.batch("".join(f"route add 10.{n >> 8}.{n & 255}.0/24 dev lo table 7000\n" for n in range(20000)))
    host.space.batch("".join(f"route del 10.{n >> 8}.{n & 255}.0/24 dev lo table 7000\n" for n in range(20000)))
    host.space.batch("".join(f"route add 10.{n >> 8}.{n & 255}.0/24 dev lo table 7000\n" for n in range(20000)))
    host.space.ip("link delete tap-web1")
    second = machine("web2", "vnet7")
    host.space.ip(f"link set vnet7 address {PORT_MACS['web2']}")
    host.process.send_signal(signal.SIGCONT)
    second.runs()
    here(host, "web2", "vnet7")
    absent(host, "web1")


def test_a_change_of_the_table_is_picked_up(host, machine):
    host.store({"web2": None})
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    stays(lambda: not is_configured(host, "tap-web1"), 0.5)
    host.store(NAMED)
    here(host, "web1", "tap-web1")
    host.store({"web2": None})
    absent(host, "web1")
    until(lambda: not host.space.show("address show tap-web1")[0]["addr_info"], SOON_S, "the port is released")


def test_a_damaged_state_withdraws_nothing(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    here(host, "web1", "tap-web1")
    (host.states / "state").write_text("routed-hypervisor-state 99 sha256:0\n{}")
    until(lambda: "has version 99" in host.said(), SOON_S)
    host.end()
    host.process = None
    stays(lambda: host.port_of(WEB1[0]) == "tap-web1", 0.5)


def test_settings_that_somebody_removes_come_back(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    here(host, "web1", "tap-web1")
    host.space.ip("address delete 203.0.113.254/32 dev tap-web1")
    until(lambda: is_configured(host, "tap-web1"), SOON_S)
    host.space.ip("link set tap-web1 address 02:00:00:00:00:77")  # as QEMU and libvirt do after they have made it
    until(lambda: host.space.show("link show tap-web1")[0]["address"] == PORT_MACS["web1"], SOON_S)
    if host.vrf:
        host.space.ip("link set tap-web1 nomaster")
        until(lambda: is_configured(host, "tap-web1"), SOON_S)
    here(host, "web1", "tap-web1")
    until_equal(lambda: host.report()["problems"], [], SOON_S)


def test_settings_of_whose_change_the_agent_is_not_told_come_back_too(host, machine):
    host.start()
    machine("web1", "tap-web1").runs()
    here(host, "web1", "tap-web1")
    host.process.send_signal(signal.SIGSTOP)
    host.space.ip(f"-6 neighbor delete proxy {ELSEWHERE} dev tap-web1")
    host.space.sysctl("ipv4/conf/tap-web1/proxy_arp", 0)
    assert "tap-web1 is not as its guest needs it" in status(host, 1)["differences"]
    host.process.send_signal(signal.SIGCONT)
    until(lambda: ELSEWHERE in host.space.ip("-6 neighbor show proxy dev tap-web1"), SOON_S)
    assert host.space.sysctl("ipv4/conf/tap-web1/proxy_arp") == "1"
    until(lambda: "somebody has changed tap-web1" in host.said(), SOON_S)
    assert status(host, 0)["differences"] == []


def test_a_second_agent_refuses_to_run(host, machine):
    host.start()
    command = ["nsenter", f"--mount=/proc/{host.process.pid}/ns/mnt", *host.space.prefix, *host.command("run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "another process already follows guests" in done.stderr


def test_many_ports_at_once_are_all_configured_and_ghosts_do_not_matter(host, machine):
    """libvirt makes a tap that lives for 3 ms when a domain has stopped."""
    host.store(NAMED)
    host.start()
    host.process.send_signal(signal.SIGSTOP)
    web1, web2 = machine("web1", "tap-web1"), machine("web2", "vnet7")
    host.space.ip(f"link set vnet7 address {PORT_MACS['web2']}")
    host.process.send_signal(signal.SIGCONT)
    for _count in range(30):
        host.space.ip("link add ghost type veth peer name other")
        host.space.ip(f"link set ghost address {PORT_MACS['web2']} up")
        host.space.ip("link delete ghost")
    web1.runs()
    web2.runs()
    here(host, "web1", "tap-web1")
    here(host, "web2", "vnet7")
    until_equal(lambda: host.report()["problems"], [], SOON_S)


def status(host, code):
    command = ["nsenter", f"--mount=/proc/{host.process.pid}/ns/mnt", *host.space.prefix]
    done = subprocess.run([*command, *host.command("status", "--json")], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_status_shows_who_is_where(host, machine):
    host.store(BY_MAC)
    host.start()
    web1, web2 = machine("web1", "vnet1"), machine("web2", "vnet2")
    for name, port in (("web1", "vnet1"), ("web2", "vnet2")):
        host.space.ip(f"link set {port} address {PORT_MACS[name]}")
    web1.runs()
    here(host, "web1", "vnet1")
    until(lambda: host.report()["guests"].get("web2"), SOON_S)
    found = status(host, 0)
    assert {name: (entry["place"], entry["port"]) for name, entry in found["guests"].items()} == {
        "web1": ("here", "vnet1"),
        "web2": ("silent", "vnet2"),
    }
    assert found["guests"]["web1"]["since"] > 0
    host.space.ip("address add 198.51.100.1/24 dev uplink")
    host.space.ip(f"route add {WEB2[0]} via 198.51.100.2 table {host.table} proto bird metric 102")
    found = status(host, 0)
    assert found["guests"]["web2"] == {"place": "elsewhere", "port": "vnet2", "since": None, "via": ["198.51.100.2"]}

    host.process.send_signal(signal.SIGSTOP)
    host.space.ip(f"route delete {WEB1[0]} table {host.table} proto 85")
    assert f"the route to {WEB1[0]} in table {host.table} is not as the ports are" in status(host, 1)["differences"]
    host.process.send_signal(signal.SIGCONT)
    here(host, "web1", "vnet1")
    assert web2.mac == MACS["web2"]


def test_status_reports_that_nobody_follows_guests(host, machine):
    host.start()
    host.process.send_signal(signal.SIGSTOP)
    status(host, 0)  # it is slow, and runs
    command = [*host.space.prefix, *host.command("status", "--json")]
    host.end(signal.SIGKILL)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"] == ["guests are not followed: routed-hypervisor-run is not running"]


def test_nothing_is_left_on_a_host_that_follows_no_guests_any_more(host, machine):
    host.start()
    web1 = machine("web1", "tap-web1")
    web1.runs()
    here(host, "web1", "tap-web1")
    host.end()
    with host.space.inside():
        kernel = Kernel()
        try:
            predicted = [change.shown() for change in release_all(kernel, True)]
            assert host.port_of(WEB1[0]) == "tap-web1", "only predicted"
            assert [change.shown() for change in release_all(kernel, False)] == predicted
            assert release_all(kernel, False) == []
        finally:
            kernel.close()
    assert {change["name"] for change in predicted} >= {"tap-web1", f"{WEB1[0]} in table {host.table}"}
    absent(host, "web1")
    assert not host.space.show("address show tap-web1")[0]["addr_info"]
    assert not host.space.show("-6 neighbor show proxy dev tap-web1")


TABLE = """# Managed by Routed Hypervisor
table inet routed_hypervisor {
  set followed_ports { type ifname; }
  set followed_vrf_ports { type ifname; }
  set followed_vrfs { type ifname . ifname; }
  set followed_sources_ipv4 { type ifname . ipv4_addr; }
  set followed_sources_ipv6 { type ifname . ipv6_addr; }
}
"""


def test_the_firewall_knows_the_ports_and_learns_them_again_after_it_was_flushed(host, machine):
    try:
        host.space.run("nft", "--file", "-", text=TABLE)
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("nft does not work here")

    def listed(name):
        return host.space.run("nft", "list", "set", "inet", "routed_hypervisor", name)

    host.start()
    web1 = machine("web1", "tap-web1")
    until(lambda: '"tap-web1"' in listed("followed_ports"), SOON_S)
    assert f'"tap-web1" . {WEB1[0]}' in listed("followed_sources_ipv4")
    assert f'"tap-web1" . {WEB1[1]}' in listed("followed_sources_ipv6")
    assert ('"public" . "tap-web1"' in listed("followed_vrfs")) is bool(host.vrf)
    host.space.run("nft", "flush", "ruleset")
    host.space.run("nft", "--file", "-", text=TABLE)
    until(lambda: f'"tap-web1" . {WEB1[0]}' in listed("followed_sources_ipv4"), SOON_S)
    host.space.ip("link delete tap-web1")
    until(lambda: "tap-web1" not in host.space.run("nft", "list", "ruleset"), SOON_S)
    assert web1.port == "tap-web1"
