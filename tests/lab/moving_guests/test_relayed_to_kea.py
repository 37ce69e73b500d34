"""Guests lease from ISC Kea at the border, which knows nothing of them but the ports that relays name."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from conftest import NOT_VERIFIED
from support.lab_guests import Guest
from support.waiting import until

pytestmark = pytest.mark.long  # an image of its own
WEB1 = Guest("web1", "203.0.113.11", "52:54:00:12:34:01")
BORDER, SERVER, SOON_S = "internet", "192.0.2.1", 30
LEASES, LOG = "/root/kea-leases.csv", "/root/kea.log"
PORTS = {"vm1": "203.0.113.1", "vm3": "203.0.113.3", "tap-web1": WEB1.ipv4}  # on hv1, on hv2, and on either
KEA = {
    "interfaces-config": {"interfaces": ["*"], "dhcp-socket-type": "udp"},
    "lease-database": {"type": "memfile", "name": LEASES},
    "store-extended-info": True,
    "host-reservation-identifiers": ["circuit-id"],
    "subnet4": [
        {
            "subnet": "203.0.113.0/24",
            "option-data": [{"name": "routers", "data": "203.0.113.254"}],
            "reservations": [{"circuit-id": f"'{port}'", "ip-address": ipv4} for port, ipv4 in PORTS.items()],
        }
    ],
    "loggers": [
        {"name": "kea-dhcp4", "severity": "DEBUG", "debuglevel": 50, "output_options": [{"output": LOG, "flush": True}]}
    ],
}


def intent(text):
    given = yaml.safe_load(text)
    given["lab"] = {"nodes": {host: {"init": "systemd"} for host in ("hv1", "hv2")}, "packages": ["kea-dhcp4-server"]}
    del given["hypervisors"]["hv3"]
    given["segments"]["guests"]["dhcp"] = {"relay": [SERVER]}
    given["loopbacks"]["public"] = {"ipv4": "198.51.101.0/24", "interface": "lo-public"}
    given["guests"] = {"web1": WEB1.entry}
    return yaml.safe_dump(given, sort_keys=False)


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("l3_hypervisor", *NOT_VERIFIED, name="relayed_to_kea", edit=intent)


@pytest.fixture(scope="module")
def kea(lab):
    """Kea's log."""
    lab.run(BORDER, "sh", "-c", 'mkdir -p /run/kea && echo "$0" >/root/kea.json', json.dumps({"Dhcp4": KEA}))
    lab.run(BORDER, "kea-dhcp4", "-t", "/root/kea.json")
    server = lab.spawn(BORDER, "env", "KEA_LOCKFILE_DIR=none", "kea-dhcp4", "-c", "/root/kea.json")
    until(lambda: "DHCP4_STARTED" in lab.tried(BORDER, "cat", LOG)[1], SOON_S, "Kea runs")
    yield lambda: lab.run(BORDER, "cat", LOG)
    server.terminate()
    server.wait()


def lease(lab, address):
    """Kea's latest entry for an address."""
    entries = [line for line in lab.run(BORDER, "cat", LEASES).splitlines() if line.startswith(f"{address},")]
    return entries[-1] if entries else ""


def circuit_id(port):
    """Option 82's first part, as Kea stores it with a lease."""
    return f"0x01{len(port):02X}{port.encode().hex().upper()}"


def addresses(lab, guest):
    links = lab.json(guest, "-4", "address", "show", "dev", "eth0")
    return [address["local"] for link in links for address in link["addr_info"]]


@pytest.mark.parametrize("guest", ["vm1", "vm3"])
def test_a_guest_has_the_address_that_is_reserved_for_its_port(lab, kea, guest):
    lab.run(guest, "dhcpcd", "--rebind", "eth0")  # it has tried for a while, and waits longer each time
    until(lambda: addresses(lab, guest) == [PORTS[guest]], 60, f"{guest} has its address")
    default = "default via 203.0.113.254"
    until(lambda: lab.run(guest, "ip", "route", "show", "default").startswith(default), SOON_S, "its route")
    until(lambda: circuit_id(guest) in lease(lab, PORTS[guest]), SOON_S, "Kea's entry")


def test_a_guest_on_a_port_without_a_reservation_has_none(lab, kea):
    lab.run("vm2", "dhcpcd", "--rebind", "eth0")
    refused = re.compile("ALLOC_FAIL.*02:00:cb:00:71:02")
    until(lambda: refused.search(kea()), 60, "Kea has nothing for vm2")
    assert not addresses(lab, "vm2")


@pytest.mark.parametrize("host", ["hv1", "hv2"])
def test_a_guest_that_moves_is_offered_the_same_address_everywhere(lab, kea, host):
    WEB1.start(lab, host)
    # In its test mode, dhcpcd 9.4.1 prints what it is offered, and crashes.
    client = ("ip", "netns", "exec", "web1", "dhcpcd", "-4", "-T", "-t", "5", "-f", "/dev/null", "eth0")
    offered = f"new_ip_address='{WEB1.ipv4}'"
    until(lambda: offered in lab.tried(host, *client)[1], SOON_S, "web1 is offered its address")
    WEB1.stop(lab, host)
