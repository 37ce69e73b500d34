"""Guests that no run has started: they appear on a hypervisor, move to another, and stop."""

from __future__ import annotations

import json

import pytest
import yaml
from conftest import NOT_VERIFIED
from support.waiting import seconds_until, stays, until, until_equal

WEB1, WEB1_6 = "203.0.113.11", "2001:db8:cb00:7100:5054:ff:fe12:3401"
WEB2, WEB2_6 = "203.0.113.12", "2001:db8:cb00:7100:5054:ff:fe12:3402"
ADDRESSES = {"web1": (WEB1, WEB1_6), "web2": (WEB2, WEB2_6)}
MORE, SHARED, SHARED_6, WEB = "203.0.113.21", "203.0.113.100", "2001:db8:cb00:7100::100", "203.0.113.101"
GUESTS = {
    "web1": {"ipv4": WEB1, "mac": "52:54:00:12:34:01", "port": "tap-web1", "addresses": [WEB]},
    "web2": {"ipv4": WEB2, "mac": "52:54:00:12:34:02", "addresses": [WEB]},
}
LAST_BYTES = {"web1": "54:00:12:34:01", "web2": "54:00:12:34:02"}
VM1 = "203.0.113.1"  # on hv1, as a run has made it
SOURCES = [f"192.0.2.{number}" for number in range(101, 117)]  # by default, Linux chooses next hops by addresses only
FOUR_WAYS = {"198.51.100.101", "198.51.100.201", "198.51.100.102", "198.51.100.202"}  # to hv1 and hv2, by both fabrics
NODES = ("vm1", "vm2", "vm3")  # two on hv1, one on hv2
SOON_S = 15
SERVER = "192.0.2.1"  # at the border
DHCP_SERVER = f"""port=0
no-hosts
no-resolv
log-dhcp
log-facility=/root/dhcp.log
dhcp-leasefile=/root/dhcp.leases
dhcp-range=203.0.113.0,static,255.255.255.0,3600
dhcp-option=option:router,203.0.113.254
dhcp-circuitid=set:from-vm1,vm1
dhcp-circuitid=set:from-vm2,vm2
dhcp-circuitid=set:from-vm3,vm3
dhcp-circuitid=set:from-web1,tap-web1
dhcp-host=02:00:cb:00:71:01,{VM1}
dhcp-host=02:00:cb:00:71:02,203.0.113.2
dhcp-host=02:00:cb:00:71:03,203.0.113.3
dhcp-host=52:54:00:12:34:01,{WEB1}
"""
BORDER = "internet"


def intent(text):
    """Two hypervisors with systemd, and guests that belong to neither."""
    given = yaml.safe_load(text)
    given["lab"] = {"nodes": {"hv1": {"init": "systemd"}, "hv2": {"init": "systemd"}}}
    del given["hypervisors"]["hv3"]
    given["segments"]["guests"]["dhcp"] = {"relay": [SERVER]}
    given["loopbacks"]["public"] = {"ipv4": "198.51.101.0/24", "interface": "lo-public"}
    given["guests"] = GUESTS
    given["segments"]["guests"]["anycast"] = [SHARED, SHARED_6, WEB]
    given["hypervisors"]["hv1"]["guests"]["vm1"]["addresses"] = [MORE, SHARED, SHARED_6]
    given["hypervisors"]["hv1"]["guests"]["vm2"]["addresses"] = [SHARED]
    given["hypervisors"]["hv2"]["guests"]["vm3"]["addresses"] = [SHARED, SHARED_6]
    return yaml.safe_dump(given, sort_keys=False)


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("l3_hypervisor", *NOT_VERIFIED, name="moving_guests", edit=intent)


@pytest.fixture(scope="module")
def dhcp_server(lab):
    """The log of a DHCP server at the border, which knows guests, and ports by the relay's option 82."""
    lab.run(BORDER, "sh", "-c", f"cat >/root/dhcp.conf <<'end'\n{DHCP_SERVER}end")
    server = lab.spawn(BORDER, "dnsmasq", "--keep-in-foreground", "--conf-file=/root/dhcp.conf")
    until(lambda: lab.tried(BORDER, "test", "-e", "/root/dhcp.log")[0] == 0, SOON_S, "the server runs")
    yield lambda: lab.run(BORDER, "cat", "/root/dhcp.log")
    server.terminate()


def start(lab, host, name, port):
    """What QEMU does: a port with the MAC that libvirt would give it, and behind it a guest that sends."""
    ipv4, ipv6 = ADDRESSES[name]
    script = f"""set -e
      ip netns add {name}
      ip link add {port} type veth peer name eth0 netns {name}
      ip netns exec {name} ip link set eth0 address 52:{LAST_BYTES[name]} up
      ip link set {port} address fe:{LAST_BYTES[name]} up
      ip -netns {name} address add {ipv4}/24 dev eth0
      ip -netns {name} address add {WEB}/32 dev eth0
      ip -netns {name} -6 address add {ipv6}/64 dev eth0 nodad
      ip -netns {name} route add default via 203.0.113.254
      ip -netns {name} -6 route add default via fe80::1 dev eth0"""
    lab.run(host, "sh", "-c", script)


def stop(lab, host, name):
    lab.run(host, "ip", "netns", "delete", name)


def replies(lab, node, address, seconds=0.5):
    return lab.tried(node, "ping", "-c", "1", "-W", str(seconds), address)[0] == 0


def from_border(lab, address, seconds=0.5):
    return replies(lab, BORDER, address, seconds)


def places(lab, host):
    found = json.loads(lab.tried(host, "routed-hypervisor", "status", "--json")[1])
    wrong = [*found["problems"], *found["differences"]]  # for a moment after a boot, for instance
    return {name: entry["place"] for name, entry in found["guests"].items()} | ({"wrong": wrong} if wrong else {})


def sequence(lab, host, address=WEB1):
    found = lab.json(host, "-4", "route", "show", "vrf", "public", address, "proto", "85")
    return [route["metric"] - 1_000_000 for route in found]


def test_guests_lease_from_a_central_server_that_learns_their_ports(lab, dhcp_server):
    for guest in NODES:
        lab.run(guest, "dhcpcd", "--rebind", "eth0")  # it has tried for a while, and waits longer each time
        until(lambda guest=guest: f"from-{guest}" in dhcp_server(), 60, f"a request of {guest}")


def test_nothing_runs_yet_and_everything_is_verified(lab):
    run = lab.play(playbook="playbooks/verify.yml")
    assert run.code == 0, run.output
    passed, total = lab.verified()
    assert passed == total
    assert places(lab, "hv1") == places(lab, "hv2") == {}


@pytest.mark.parametrize(("drill", "budget_ms"), [("kill_agent", 0), ("migrate", 3000)])
def test_a_drill_with_a_guest_of_its_own_loses_little_and_leaves_nothing(lab, drill, budget_ms):
    run = lab.play("-e", f"drill={drill}", playbook="playbooks/drill.yml")
    assert run.code == 0 and run.changed == set(), run.output
    [result] = [one for one in drill_results(lab) if one["drill"] == drill]
    longest = [pair["longest_ms"] for pair in result["runs"][0]["pairs"]]
    print(f"{drill}, longest loss of each pair in ms: {longest}")
    assert {pair["to_name"] for pair in result["runs"][0]["pairs"]} == {"web1"}
    assert max(longest) <= budget_ms
    for host in ("hv1", "hv2"):
        until_equal(lambda host=host: places(lab, host), {}, SOON_S)
        assert "drill-web1" not in lab.run(host, "ip", "netns", "list")


def drill_results(lab):
    return json.loads(lab.report.with_name("drills.json").read_text())["drills"]


def ways(lab, address):
    """The next hops of the border's route to an address."""
    routes = lab.json(BORDER, "-4", "route", "show", address)
    return {hop["gateway"] for route in routes for hop in route.get("nexthops", ())}


def echoes(lab, node):
    """ICMP echo requests that a node has received."""
    names, values = [line.split() for line in lab.run(node, "grep", "Icmp:", "/proc/net/snmp").splitlines()]
    return int(values[names.index("InEchos")])


def answered(lab, address, seconds=0.5):
    """How many of many sources at the border get a reply from an address."""
    script = 'for source; do ping -c 1 -W {} -I $source {} >/dev/null & pids="$pids $!"; done; '
    script += "for pid in $pids; do wait $pid && echo reply; done; true"
    return lab.run(BORDER, "sh", "-c", script.format(seconds, address), "sh", *SOURCES).count("reply")


@pytest.fixture
def many_sources(lab):
    for source in SOURCES:
        lab.run(BORDER, "ip", "address", "replace", f"{source}/32", "dev", "world")


def answers(lab, address):
    """How many of many sources get a reply from an address, by the guest that answers."""
    before = {name: echoes(lab, name) for name in NODES}
    assert answered(lab, address, 5) == len(SOURCES)
    return [echoes(lab, name) - before[name] for name in NODES]


def test_guests_share_an_address_and_the_rest_takes_all_when_one_goes(lab, many_sources):
    until_equal(lambda: ways(lab, SHARED), FOUR_WAYS, SOON_S)
    [eth0] = lab.json("vm3", "-6", "address", "show", "dev", "eth0")
    deprecated = [address["local"] for address in eth0["addr_info"] if address.get("deprecated")]
    assert deprecated == [SHARED_6], "so that it is not chosen as a source"
    one, other, far = answers(lab, SHARED)
    print(f"of {len(SOURCES)} sources, {one} are answered by vm1 on hv1, and {far} by vm3 on hv2")
    assert one and far and not other and one + far == len(SOURCES)
    lab.run("hv1", "ip", "link", "set", "vm1", "down")
    assert answers(lab, SHARED) == [0, one, far]
    lab.run("hv1", "ip", "link", "set", "vm2", "down")
    seconds = seconds_until(lambda: answered(lab, SHARED) == len(SOURCES), SOON_S, "vm3 answers all")
    print(f"hv1 had no such guest any more, and vm3 answered all after {seconds:.2f} s")
    assert answers(lab, SHARED) == [0, 0, len(SOURCES)]
    lab.run("hv1", "ip", "link", "set", "vm1", "up")
    lab.run("hv1", "ip", "link", "set", "vm2", "up")
    run = lab.play("--tags", "network", "--limit", "hv1")
    assert run.code == 0, run.output
    until(lambda: replies(lab, BORDER, MORE) and replies(lab, "vm3", SHARED_6), SOON_S, "vm1 is back")


def test_a_guest_that_starts_is_reached_from_everywhere(lab, dhcp_server):
    start(lab, "hv1", "web1", "tap-web1")
    seconds = seconds_until(lambda: from_border(lab, WEB1), SOON_S, "web1 replies to the border")
    print(f"started, and reached from the border after {seconds:.2f} s")
    until(lambda: from_border(lab, WEB1_6), SOON_S, "in IPv6, too")
    until(lambda: replies(lab, "hv1", WEB1), SOON_S, "its hypervisor itself reaches it")
    for guest in ("vm1", "vm3"):
        until(lambda guest=guest: replies(lab, guest, WEB1), SOON_S, f"and so does a guest of its segment, {guest}")
    until_equal(lambda: places(lab, "hv1"), {"web1": "here"}, SOON_S)
    until_equal(lambda: places(lab, "hv2"), {"web1": "elsewhere"}, SOON_S)
    # The relay runs again with the new port. In its test mode, dhcpcd 9.4.1 prints what it is offered, and crashes.
    client = ("ip", "netns", "exec", "web1", "dhcpcd", "-4", "-T", "-t", "5", "-f", "/dev/null", "eth0")
    until(lambda: f"new_ip_address='{WEB1}'" in lab.tried("hv1", *client)[1], SOON_S, "web1 is offered its address")
    assert "from-web1" in dhcp_server()


def test_a_guest_moves_while_its_old_port_lingers(lab):
    start(lab, "hv2", "web2", "vnet3")
    until(lambda: from_border(lab, WEB2), SOON_S, "web2, found by its MAC, replies")
    ping = lab.spawn(BORDER, "ping", "-i", "0.05", "-W", "1", WEB1)
    assert any("bytes from" in line for line in ping.stdout)
    before = sequence(lab, "hv1")
    # Its old port stays as it is, and what is behind it sends nothing any more.
    lab.run("hv1", "ip", "-netns", "web1", "link", "set", "eth0", "address", "52:54:00:00:00:99")
    start(lab, "hv2", "web1", "tap-web1")
    seconds = seconds_until(lambda: sequence(lab, "hv1") == [] and from_border(lab, WEB1), SOON_S, "it has moved")
    print(f"moved, and reached from the border after {seconds:.2f} s")
    ping.terminate()
    assert sequence(lab, "hv2") == [before[0] + 1]
    until_equal(lambda: places(lab, "hv1"), {"web1": "elsewhere", "web2": "elsewhere"}, SOON_S)
    until_equal(lambda: places(lab, "hv2"), {"web1": "here", "web2": "here"}, SOON_S)
    stays(lambda: from_border(lab, WEB1, 5), 2)


def test_moving_guests_share_an_address(lab, many_sources):
    lab.run("hv2", "ip", "-netns", "web2", "link", "set", "eth0", "address", "52:54:00:00:00:98")  # silent from now on
    start(lab, "hv1", "web2", "vnet4")
    until_equal(lambda: places(lab, "hv1"), {"web1": "elsewhere", "web2": "here"}, SOON_S)
    until_equal(lambda: places(lab, "hv2"), {"web1": "here", "web2": "elsewhere"}, SOON_S)
    until_equal(lambda: ways(lab, WEB), FOUR_WAYS, SOON_S)
    assert answered(lab, WEB, 5) == len(SOURCES)
    stop(lab, "hv1", "web2")
    seconds = seconds_until(lambda: answered(lab, WEB) == len(SOURCES), SOON_S, "web1 answers all")
    print(f"web2 stopped, and web1 answered all after {seconds:.2f} s")
    lab.run("hv2", "ip", "-netns", "web2", "link", "set", "eth0", "address", f"52:{LAST_BYTES['web2']}")
    until_equal(lambda: places(lab, "hv2"), {"web1": "here", "web2": "here"}, SOON_S)


def test_another_run_changes_nothing_wherever_guests_are(lab):
    run = lab.play()
    assert run.code == 0, run.output
    assert run.changed == set()
    passed, total = lab.verified()
    assert passed == total
    inspected = lab.play(playbook="playbooks/inspect.yml")
    assert inspected.code == 0, inspected.output
    assert "web1 is here, on tap-web1, since" in inspected.output
    assert "web2 is elsewhere, via" in inspected.output


def test_the_firewall_keeps_their_ports_when_it_is_loaded_again(lab):
    if lab.tried("hv2", "nft", "list", "set", "inet", "routed_hypervisor", "followed_ports")[0]:
        pytest.skip("this kernel has no nftables of family inet")
    lab.run("hv2", "nft", "add", "rule", "inet", "routed_hypervisor", "input", "accept")
    run = lab.play("--tags", "firewall")
    assert run.code == 0, run.output
    assert ("hv2", "nftables") in run.changed
    listed = lab.run("hv2", "nft", "list", "set", "inet", "routed_hypervisor", "followed_ports")
    assert "tap-web1" in listed and "vnet3" in listed
    # Another program flushes all tables: the unit loads ours, and the agent adds its elements.
    lab.run("hv2", "nft", "flush", "ruleset")
    lab.run("hv2", "routed-hypervisor", "apply")
    until(
        lambda: "vnet3" in lab.run("hv2", "nft", "list", "set", "inet", "routed_hypervisor", "followed_ports"), SOON_S
    )
    assert from_border(lab, WEB1, 5)


def test_an_agent_that_is_killed_loses_no_packet(lab):
    before = sequence(lab, "hv2")
    ping = lab.spawn(BORDER, "ping", "-i", "0.1", "-c", "40", "-W", "10", WEB1)
    assert any("bytes from" in line for line in ping.stdout)
    lab.run("hv2", "systemctl", "kill", "-s", "KILL", "routed-hypervisor-run")
    rest = ping.communicate()[0]
    assert " 0% packet loss" in rest, rest
    until_equal(lambda: places(lab, "hv2"), {"web1": "here", "web2": "here"}, SOON_S)
    assert sequence(lab, "hv2") == before


def test_a_reboot_of_its_hypervisor_takes_only_its_guests(lab):
    lab.reboot("hv1")
    until_equal(lambda: places(lab, "hv1"), {"web1": "elsewhere", "web2": "elsewhere"}, 60)
    until(lambda: from_border(lab, WEB1), SOON_S, "web1 replies")
    until(lambda: from_border(lab, VM1), 60, "vm1 replies again")


def test_a_guest_that_stops_is_gone_everywhere(lab):
    stop(lab, "hv2", "web1")
    seconds = seconds_until(
        lambda: not lab.json(BORDER, "-4", "route", "show", WEB1), SOON_S, "the border has no route to web1"
    )
    print(f"stopped, and gone from the border after {seconds:.2f} s")
    until_equal(lambda: places(lab, "hv2"), {"web2": "here"}, SOON_S)


def test_without_guests_in_the_intent_their_agent_is_gone(lab):
    given = yaml.safe_load(lab.intent.read_text())
    del given["guests"]
    # Hypervisors are the servers, and ndppd answers for the other guests.
    given["segments"]["guests"] |= {"dhcp": {}, "ndp": "ndppd"}
    lab.intent.write_text(yaml.safe_dump(given, sort_keys=False))
    run = lab.play()
    assert run.code == 0, run.output
    assert not lab.json("hv2", "-4", "route", "show", "vrf", "public", "proto", "85")
    assert "master" not in lab.json("hv2", "link", "show", "vnet3")[0]
    services = ("routed-hypervisor-run", "dhcrelay-guests", "dnsmasq")
    active = [lab.tried("hv2", "systemctl", "is-active", name)[0] == 0 for name in services]
    assert active == [False, False, True]
    assert lab.play().changed == set()
