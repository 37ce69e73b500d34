"""Ports as libvirt 9.0, QEMU and Proxmox make them: real taps, in the order of events that was measured."""

from __future__ import annotations

import fcntl
import os
import stat
import struct

from support.following import MACS, PORT_MACS, WEB1, WEB2, FollowingHost, arp, rarp
from support.waiting import stays, until, until_equal

DEVICE = "/dev/net/tun"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
SOON_S, QUIET_S = 10, 0.5
NAMED, BY_MAC, PROXMOX = {"web1": "tap-web1"}, {"web2": None}, {"web1": "tap101i0"}
UNKNOWN = "fe:54:00:99:99:99"


class Tap:
    """A tap that a process holds, as QEMU does. Unless somebody else has made it, it goes when the process lets go."""

    def __init__(self, host: FollowingHost, name: str):
        if not os.path.exists(DEVICE):
            os.makedirs(os.path.dirname(DEVICE), exist_ok=True)
            os.mknod(DEVICE, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
        with host.space.inside():
            self.file = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self.file, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))

    def sends(self, frame: bytes) -> None:
        os.write(self.file, frame.ljust(60, b"\0"))

    def close(self) -> None:
        os.close(self.file)


def link(host, name) -> dict:
    return next((one for one in host.space.show("link show") if one["ifname"] == name), {})


def is_ready(host, name) -> bool:
    return "203.0.113.254" in host.space.ip(f"address show {name}") and link(host, name).get("master") == host.vrf


def test_a_tap_that_is_managed_by_nobody_stays_when_its_guest_stops(host):
    """libvirt's `managed='no'`: it opens what is there, and lets go of it."""
    host.store(NAMED)
    host.start()
    host.space.ip("tuntap add tap-web1 mode tap")
    until(lambda: is_ready(host, "tap-web1"), SOON_S, host.said())
    for _start in range(2):
        guest = Tap(host, "tap-web1")
        until(lambda: "LOWER_UP" in link(host, "tap-web1")["flags"], SOON_S, "it has its carrier")
        stays(lambda: not host.numbers(WEB1[0]), QUIET_S, "a carrier says nothing")
        until(lambda: host.listens_to("web1"), SOON_S, host.said())
        guest.sends(rarp(MACS["web1"]))
        until_equal(lambda: host.port_of(WEB1[0]), "tap-web1", SOON_S)
        guest.close()
        until(lambda: not host.numbers(WEB1[0]), SOON_S, "it has stopped")
        assert is_ready(host, "tap-web1") and link(host, "tap-web1")["address"] == PORT_MACS["web1"]


def test_a_tap_that_libvirt_makes_is_found_by_its_mac_at_each_start(host):
    host.store(BY_MAC)
    host.start()
    for name in ("vnet0", "vnet1"):
        guest = Tap(host, name)  # with a random MAC, and down
        stays(lambda name=name: not is_ready(host, name), 0.1)
        host.space.ip(f"link set {name} address {PORT_MACS['web2']}")
        host.space.ip(f"link set {name} up")
        until(lambda name=name: is_ready(host, name), SOON_S, host.said())
        host.space.ip(f"link set {name} address {PORT_MACS['web2']}")  # once more, some milliseconds later
        until(lambda: host.listens_to("web2"), SOON_S, host.said())
        guest.sends(rarp(MACS["web2"]))
        until_equal(lambda: host.port_of(WEB2[0]), name, SOON_S)
        guest.close()
        until(lambda: not host.numbers(WEB2[0]), SOON_S, "it has stopped")
        ghost = Tap(host, name)  # for a moment
        host.space.ip(f"link set {name} address {PORT_MACS['web2']} up")
        ghost.close()
    until(lambda: not host.report()["guests"], SOON_S)
    until_equal(lambda: host.report()["problems"], [], SOON_S)


def test_a_tap_of_proxmox_is_followed_unless_it_is_in_a_bridge(host):
    host.store(PROXMOX)
    host.space.ip("link add vmbr0 type bridge")
    host.start()
    guest = Tap(host, "new")  # the agent would take one that is in no bridge yet
    host.space.ip("link set new master vmbr0")
    host.space.ip("link set new name tap101i0 up")
    reported = "tap101i0 would be the port of web1, but is a port of vmbr0"
    until(lambda: reported in host.report()["problems"], SOON_S, host.said())
    guest.sends(rarp(MACS["web1"]))
    stays(lambda: link(host, "tap101i0")["master"] == "vmbr0" and not host.numbers(WEB1[0]), QUIET_S)
    host.space.ip("link set tap101i0 nomaster")  # as `args:` make it: in no bridge
    until(lambda: is_ready(host, "tap101i0") and host.listens_to("web1"), SOON_S, host.said())
    guest.sends(rarp(MACS["web1"]))
    until_equal(lambda: host.port_of(WEB1[0]), "tap101i0", SOON_S)
    until(lambda: host.report()["problems"] == [], SOON_S)
    guest.close()


def test_a_domain_that_is_in_no_table_gets_nothing_and_is_reported(host):
    host.store({**NAMED, **BY_MAC})
    host.start()
    stranger = Tap(host, "vnet7")
    host.space.ip(f"link set vnet7 address {UNKNOWN} up")
    until(lambda: f"vnet7 ({UNKNOWN}) is the port of no guest" in host.said(), SOON_S, host.said())
    for frame in (rarp("52:54:00:99:99:99"), rarp(MACS["web2"]), arp(MACS["web1"], WEB1[0])):
        stranger.sends(frame)
    stays(lambda: not host.numbers(WEB1[0]) and not host.numbers(WEB2[0]), QUIET_S, "whatever it sends")
    assert "master" not in link(host, "vnet7")
    assert host.space.sysctl("ipv4/conf/vnet7/proxy_arp") == "0"
    shown = host.space.run(*host.command("status"), check=False)
    assert f"vnet7 ({UNKNOWN}) is the port of no guest: it has no VRF and no route" in shown
    stranger.close()
