"""Addresses that follow from others."""

from __future__ import annotations

import ipaddress

import netaddr
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent import addresses

IPV4 = st.integers(0, 2**32 - 1).map(lambda number: netaddr.IPAddress(number, 4))
IPV6_64 = st.integers(0, 2**64 - 1).map(lambda number: netaddr.IPNetwork(f"{netaddr.IPAddress(number << 64, 6)}/64"))
MAC = st.integers(0, 2**48 - 1).map(
    lambda number: ":".join(f"{byte:02x}" for byte in (number & ~(1 << 40)).to_bytes(6, "big"))
)


@given(IPV4, IPV4)
def test_two_ipv4_addresses_make_two_macs(one, other):
    mac = addresses.mac_from_ipv4(one)
    assert (mac == addresses.mac_from_ipv4(other)) == (one == other)
    assert int(mac[:2], 16) & 3 == 2, "locally administered, of one interface"


@given(MAC)
def test_a_guest_and_its_port_have_different_macs(mac):
    port = addresses.port_mac(mac)
    assert port != mac
    assert len(port) == len(mac) == 17
    assert int(port[:2], 16) & 3 == 2


@given(IPV6_64, MAC)
def test_slaac_follows_the_rfc(prefix, mac):
    address = ipaddress.ip_address(str(addresses.slaac(prefix, mac)))
    assert address in ipaddress.ip_network(str(prefix))
    raw = bytes.fromhex(mac.replace(":", ""))
    assert address.packed[8:] == bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]


@given(IPV4, st.integers(0, 32), st.integers(0, 2**32 - 1))
def test_hosts_of_a_network(start, length, offset):
    network = netaddr.IPNetwork(f"{start}/{length}").cidr
    address = netaddr.IPAddress(network.first + offset % network.size, 4)
    reference = ipaddress.ip_network(str(network))
    is_edge = ipaddress.ip_address(str(address)) in (reference.network_address, reference.broadcast_address)
    assert addresses.is_host(address, network) == (length >= 31 or not is_edge)


def test_beyond_the_last_address_is_nothing():
    assert addresses.plus(netaddr.IPAddress("255.255.255.255"), 1) is None
    assert addresses.plus(netaddr.IPAddress("198.51.100.100"), 3) == netaddr.IPAddress("198.51.100.103")
