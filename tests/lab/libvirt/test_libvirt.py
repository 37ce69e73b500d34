"""Guests of libvirt: libvirtd starts, migrates and destroys them, and the agent follows."""

from __future__ import annotations

import json
import statistics

import pytest
import yaml
from conftest import NOT_VERIFIED
from support.following import MACS, PORT_MACS, WEB1, WEB2
from support.libvirt_hosts import PACKAGES, LibvirtHost, Pings, interface
from support.waiting import seconds_until, stays, until, until_equal

pytestmark = pytest.mark.long  # an image of its own, and guests that boot in QEMU without KVM

BORDER, HOSTS = "border", ("hv1", "hv2")
BFD = {"interval_ms": 300, "multiplier": 5}  # GoBGP has none
STRANGER = "52:54:00:99:99:99"
INTENT = {
    "plugin": "routed.hypervisor.fabric",
    "lab": {"nodes": {host: {"init": "systemd"} for host in HOSTS}, "packages": PACKAGES},
    "bgp": {"as": 65000, "peering": "automatic"},
    "vrfs": {"public": {"table": 90, "vlan": 90}, "main": {}},
    "fabrics": {
        "A": {
            "networks": {
                "main": {"ipv4": "10.9.1.0/24", "hypervisors": {"ipv4": "10.9.1.10"}},
                "public": {
                    "ipv4": "10.9.0.0/24",
                    "ipv6": "2001:db8:9::/64",
                    "hypervisors": {"ipv4": "10.9.0.10", "ipv6": "2001:db8:9::10"},
                },
            }
        }
    },
    "segments": {
        "guests": {
            "vrf": "public",
            "ipv4": "203.0.113.0/24",
            "gateway4": "203.0.113.254",
            "ipv6": "2001:db8:cb00:7100::/64",
        }
    },
    "borders": {
        BORDER: {
            "vrf": "public",
            "fabrics": {"A": {"ipv4": "10.9.0.250", "ipv6": "2001:db8:9::250"}},
            "world": ["192.0.2.1", "2001:db8:ffff::1"],
        }
    },
    "guests": {
        "web1": {"ipv4": WEB1[0], "ipv6": "none", "mac": MACS["web1"], "port": "tap-web1"},
        "web2": {"ipv4": WEB2[0], "ipv6": "none", "mac": MACS["web2"]},
    },
}
ADDRESSES = {"web1": WEB1[0], "web2": WEB2[0]}
BOOT_S, SOON_S = 180, 15


def intent(name, daemon):
    bgp = {**INTENT["bgp"], "bfd": BFD} if daemon == "bird" else INTENT["bgp"]
    hypervisors = {host: {"id": number, "daemon": daemon} for number, host in enumerate(HOSTS, start=1)}
    return yaml.safe_dump({**INTENT, "name": name, "bgp": bgp, "hypervisors": hypervisors})


@pytest.fixture(scope="module", params=["bird", "gobgp"])
def lab(request, bring_up):
    name = f"libvirt_{request.param}"
    return bring_up("l3_hypervisor", *NOT_VERIFIED, name=name, edit=lambda _: intent(name, request.param))


@pytest.fixture(scope="module")
def hosts(lab):
    """Two hypervisors with libvirtd: web1 has a tap of ours on each, web2 one of libvirt's."""
    made = [LibvirtHost(lab, name, f"10.9.1.1{number}", number) for number, name in enumerate(HOSTS, start=1)]
    for host in made:
        host.start()
        host.run("ip", "tuntap", "add", "tap-web1", "mode", "tap")
    made[0].define("web1", "web1", 1, interface(MACS["web1"], "tap-web1"))
    made[0].define("web2", "web2", 2, interface(MACS["web2"]))
    made[1].define("stranger", "web1", 9, interface(STRANGER))
    return made


def status(lab, host) -> dict:
    return json.loads(lab.tried(host, "routed-hypervisor", "status", "--json")[1])


def places(lab, host) -> dict[str, str]:
    return {name: entry["place"] for name, entry in status(lab, host)["guests"].items()}


def port_and_number(lab, host, name) -> list[tuple[str, int]]:
    found = lab.json(host, "-4", "route", "show", "vrf", "public", ADDRESSES[name], "proto", "85")
    return [(route["dev"], route["metric"] - 1_000_000) for route in found]


def replies(lab, address) -> bool:
    return lab.tried(BORDER, "ping", "-c", "1", "-W", "0.5", address)[0] == 0


def is_gone(lab, address) -> bool:
    return not lab.json(BORDER, "-4", "route", "show", address)


def starts(lab, host, name):
    host.virsh("start", name)
    seconds = seconds_until(lambda: replies(lab, ADDRESSES[name]), BOOT_S, f"{name} replies to the border")
    print(f"virsh start {name} returned, and it was reached from the border after {seconds:.1f} s")
    until_equal(lambda: places(lab, host.name).get(name), "here", SOON_S)


def migrates(lab, name, here, there):
    """(QEMU's own gap, the longest gap of pings), in seconds."""
    [(_, before)] = port_and_number(lab, here.name, name)
    pings = Pings(lab, BORDER, ADDRESSES[name])
    here.migrate(name, there)
    until_equal(lambda: [number for _, number in port_and_number(lab, there.name, name)], [before + 1], SOON_S)
    until_equal(lambda: port_and_number(lab, here.name, name), [], SOON_S)
    stays(lambda: replies(lab, ADDRESSES[name]), 2, "it goes on replying")
    pings.end()
    own = there.last("RESUME", name) - here.last("STOP", name)
    print(
        f"virsh migrate --live {name}, {here.name} to {there.name}: QEMU's own gap {own * 1000:.0f} ms;"
        f" pings every 20 ms: longest gap {pings.gap() * 1000:.0f} ms, lost {pings.lost()}"
    )
    # libvirt's ghost tap at the source, or the one that stays there, changes nothing any more.
    assert [number for _, number in port_and_number(lab, there.name, name)] == [before + 1]
    assert (places(lab, here.name)[name], places(lab, there.name)[name]) == ("elsewhere", "here")
    return own, pings.gap()


def test_a_guest_with_a_tap_that_libvirt_makes_is_reached(lab, hosts):
    starts(lab, hosts[0], "web2")
    [(port, _)] = port_and_number(lab, "hv1", "web2")
    assert port.startswith("vnet")
    [link] = lab.json("hv1", "link", "show", "dev", port)
    assert (link["address"], link["master"]) == (PORT_MACS["web2"], "public")


def test_a_guest_with_a_tap_of_ours_is_reached(lab, hosts):
    starts(lab, hosts[0], "web1")
    assert [port for port, _ in port_and_number(lab, "hv1", "web1")] == ["tap-web1"]


@pytest.mark.parametrize("name", ["web2", "web1"])
def test_a_live_migration_there_and_back_loses_little_more_than_qemu_itself(lab, hosts, name):
    hv1, hv2 = hosts
    found = [migrates(lab, name, hv1, hv2), migrates(lab, name, hv2, hv1)]
    own, gaps = zip(*found, strict=True)
    # Each announcement of GoBGP is a command, which takes long in a lab kernel.
    assert statistics.mean(gaps) < 2 * statistics.mean(own) + (0.5 if lab.name.endswith("gobgp") else 0.1)


def test_a_domain_in_no_table_has_no_vrf_and_no_route_and_is_reported(lab, hosts):
    """It boots with the address of web1, which runs on the other hypervisor."""
    host = hosts[1]
    host.virsh("start", "stranger")
    [port] = [word for word in host.virsh("domiflist", "stranger").split() if word.startswith("vnet")]
    line = f"{port} (fe:54:00:99:99:99) is the port of no guest: it has no VRF and no route"
    until(lambda: line in lab.tried("hv2", "routed-hypervisor", "status")[1], SOON_S, "it is reported")
    until(lambda: "ready" in host.run("cat", "/var/lib/guests/stranger.console"), BOOT_S, "it has booted", 0.5)
    stays(lambda: not port_and_number(lab, "hv2", "web1") and replies(lab, WEB1[0]), 2)
    assert "master" not in lab.json("hv2", "link", "show", "dev", port)[0]
    assert not lab.json("hv2", "-4", "route", "show", "table", "all", "dev", port)
    host.virsh("destroy", "stranger")
    until(lambda: line not in lab.tried("hv2", "routed-hypervisor", "status")[1], SOON_S, "it is forgotten")


def test_another_run_changes_nothing_wherever_guests_are(lab, hosts):
    hosts[0].migrate("web2", hosts[1])
    until_equal(lambda: places(lab, "hv2"), {"web1": "elsewhere", "web2": "here"}, SOON_S)
    run = lab.play()
    assert run.code == 0, run.output
    assert run.changed == set()
    passed, total = lab.verified()
    assert passed == total
    assert replies(lab, WEB1[0]) and replies(lab, WEB2[0])


@pytest.mark.parametrize(("name", "where"), [("web1", 0), ("web2", 1)])
def test_a_guest_that_is_destroyed_is_gone_everywhere(lab, hosts, name, where):
    until(lambda: replies(lab, ADDRESSES[name]), SOON_S)
    hosts[where].virsh("destroy", name)
    seconds = seconds_until(lambda: is_gone(lab, ADDRESSES[name]), SOON_S, "the border has no route to it")
    print(f"virsh destroy {name} returned, and it was gone from the border after {seconds:.2f} s")
    for host in HOSTS:
        # Each hypervisor has a tap of ours for web1 all the time.
        until_equal(lambda host=host: places(lab, host).get(name), "silent" if name == "web1" else None, SOON_S)
        assert not port_and_number(lab, host, name)
    if name == "web1":
        [link] = lab.json("hv1", "link", "show", "dev", "tap-web1")
        assert link["master"] == "public" and link["operstate"] == "DOWN", "its tap stays"
