"""An intent is refused if its networks cannot carry what it asks for, or if a BGP session could not come up."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import pytest
from support.intent_samples import REMOVE, changed, containers, default, mistakes_in, only_mistake_in, other

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory


def edited(*changes):
    return changed(*changes, start=containers)


def configured(neighbors: dict, *changes, daemon: str = "bird", start=containers) -> dict:
    """With configured neighbors of quay, which is on 10.1.0.0/24 (main), 10.3.0.0/24 and 10.4.0.0/24 (blue)."""
    return changed(
        ("bgp.peering", "configured"),
        ("hypervisors.quay.neighbors", neighbors),
        ("hypervisors.quay.daemon", daemon),
        *changes,
        start=start,
    )


WITHOUT_IPV6 = [(f"fabrics.{fabric}.networks.public.ipv6", REMOVE) for fabric in "AB"]
WITHOUT_IPV6 += [(f"fabrics.{fabric}.networks.public.hypervisors.ipv6", REMOVE) for fabric in "AB"]
WITHOUT_IPV6 += [(f"reflectors.rr{number}.addresses.public.ipv6", REMOVE) for number in (1, 2)]
WITHOUT_IPV6 += [(f"borders.internet.fabrics.{fabric}.ipv6", REMOVE) for fabric in "AB"]
GUESTS = ((1, "vm1"), (1, "vm2"), (2, "vm3"), (3, "vm4"))
IN_GUESTS = [(f"hypervisors.hv{host}.guests.{guest}.segment", "guests") for host, guest in GUESTS]
ADDRESS = "hypervisors.quay.neighbors.far.address"
ONE_MISTAKE = {
    # nothing carries it
    "a segment in a VRF without a network": (changed(("vrfs.lonely", {"table": 7, "vlan": 7}), ("segments.quiet", {"vrf": "lonely", "ipv4": "10.77.0.0/24", "gateway4": "10.77.0.1"}), *IN_GUESTS), "segments.quiet.vrf: no fabric has a network in lonely, so guests reach only those of their own hypervisor"),
    "IPv6 guests over IPv4 fabrics": (changed(*WITHOUT_IPV6), "segments.guests.ipv6: no fabric has an IPv6 network in public, so hypervisors cannot forward it to each other; add ipv6 to public on A, B"),
    "containers of two hosts over IPv4 fabrics": (edited(("fabrics.east.networks.blue.ipv6", REMOVE), ("fabrics.west.networks.blue.ipv6", REMOVE), ("hypervisors.quay.container_networks.own.ipv6", REMOVE)), "container_networks.span.ipv6: no fabric has an IPv6 network in blue"),
    "a guest on a host without its VRF": (changed(("segments.far", {"vrf": "storage_net", "ipv4": "10.99.0.0/24", "gateway4": "10.99.0.1"}), ("hypervisors.jetty.fabrics", {"third": {}}), ("hypervisors.jetty.guests", {"disk2": {"segment": "disks", "ipv4": "10.32.128.2"}}), start=other), "hypervisors.jetty.guests.disk2: jetty is on no IPv4 network in storage_net, so others cannot reach it"),
    "guests on fabrics that nothing joins": (changed(("hypervisors.pier.fabrics", {"east": {}}), ("hypervisors.jetty.fabrics", {"west": {}}), ("hypervisors.jetty.guests", {"late": {"segment": "web", "ipv4": "10.200.3.9", "ipv6": "none"}}), ("hypervisors.pier.guests.blog.ipv6", "none"), start=other), "hypervisors.jetty.guests.late: pier and jetty have no IPv4 network in common in blue; one fabric for both"),
    # MTUs
    "containers' MTU too small for IPv6 of the network": (edited(("container_networks.span.mtu", 600)), "container_networks.span.mtu: 600 is too small for IPv6; 1280 or more"),
    "containers' MTU too small for IPv6 of a host": (edited(("container_networks.own.mtu", 1279)), "container_networks.own.mtu: 1279 is too small for IPv6; 1280 or more"),
    "containers' MTU too small for IPv6 of a fabric": (edited(("container_networks.flat.mtu", 1279)), "container_networks.flat.mtu: 1279 is too small for IPv6; 1280 or more"),
    "containers' MTU above their master's": (edited(("container_networks.deep.mtu", 9000), ("fabrics.east.mtu", 1400)), "container_networks.deep.mtu: 9000 is more than fabrics.east.mtu (1400); 1400 or less"),
    "containers' MTU above that of the way": (edited(("container_networks.own.mtu", 1450), ("fabrics.west.mtu", 1400)), "container_networks.own.mtu: 1450 is more than fabrics.west.mtu (1400); 1400 or less"),
    "guests' MTU above that of the way": (changed(("segments.guests.mtu", 1500), ("fabrics.A.mtu", 1400)), "segments.guests.mtu: 1500 is more than fabrics.A.mtu (1400); 1400 or less"),
    "containers' MTU above that of a lab's cables": (edited(("container_networks.deep.mtu", 9000)), "container_networks.deep.mtu: 9000 is more than the 1500 that a lab's cables have by default; 1500 or less, or a larger fabrics.east.mtu"),
    # pools
    "a pool of the network's address": (edited(("container_networks.span.pool", "10.20.0.0-10.20.0.0")), "container_networks.span.pool: 10.20.0.0-10.20.0.0 has only the network or broadcast address of 10.20.0.0/24; 10.20.0.1 to 10.20.0.254"),
    "a pool of the broadcast address": (edited(("hypervisors.quay.container_networks.own.pool", "10.21.1.255-10.21.1.255")), "hypervisors.quay.container_networks.own.pool: 10.21.1.255-10.21.1.255 has only the network or broadcast address of 10.21.1.0/24"),
    # neighbors
    "a neighbor nowhere near, with BIRD": (configured({"far": {"address": "8.8.8.8", "as": 1}}), f"{ADDRESS}: 8.8.8.8 is on no network of quay, and sessions through other routers need gobgp on a host; an address in 10.1.0.0/24"),
    "a neighbor nowhere near, without a gateway": (configured({"far": {"address": "8.8.8.8", "as": 1}}, ("fabrics.east.networks.main.gateway4", REMOVE), daemon="gobgp"), f"{ADDRESS}: 8.8.8.8 is on no network of quay, and none of them has a gateway4 towards it"),
    "an address of two neighbors": (configured({"near": {"address": "10.3.0.77", "as": 1}, "far": {"address": "10.3.0.77", "as": 2}}), f"{ADDRESS}: 10.3.0.77 is also given to hypervisors.quay.neighbors.near.address; one session with each neighbor"),
    "a network's broadcast address as neighbor": (configured({"far": {"address": "10.3.0.255", "as": 1}}), f"{ADDRESS}: 10.3.0.255 is the network or broadcast address of 10.3.0.0/24; 10.3.0.1 to 10.3.0.254"),
    "a network's first address as neighbor": (configured({"far": {"address": "2001:db8:3::", "as": 1}}), f"{ADDRESS}: 2001:db8:3:: is the network or broadcast address of 2001:db8:3::/64"),
    "a container as neighbor": (configured({"far": {"address": "10.21.1.77", "as": 1}}, daemon="gobgp"), f"{ADDRESS}: 10.21.1.77 is given to hypervisors.quay.container_networks.own.containers.q2.ipv4; the address of a router"),
    "an address among containers as neighbor": (configured({"far": {"address": "10.20.0.200", "as": 1}}, daemon="gobgp"), f"{ADDRESS}: 10.20.0.200 is in container_networks.span, where guests and containers are"),
    "a link-local neighbor": (configured({"far": {"address": "fe80::1", "as": 1}}), f"{ADDRESS}: fe80::1 is link-local (fe80::/10)"),
    "a multicast neighbor": (configured({"far": {"address": "224.0.0.5", "as": 1}}), f"{ADDRESS}: 224.0.0.5 is multicast (224.0.0.0/4)"),
    "its own address as neighbor": (configured({"far": {"address": "10.3.0.1", "as": 1}}), f"{ADDRESS}: 10.3.0.1 is quay's own; the address of another router"),
    "a foreign neighbor called like a router": (configured({"pier": {"address": "10.3.0.77", "as": 1}}), "hypervisors.quay.neighbors.pier: pier is the name of hypervisors.pier, which does not have the address 10.3.0.77; another name; or remove address and as"),
    "a static route to a broadcast address": (edited(("leaves.spur.static", {"main": {"0.0.0.0/0": "10.1.0.255"}})), "leaves.spur.static.main.0.0.0.0/0: 10.1.0.255 is the network or broadcast address of a network of spur"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_MISTAKE)
def test_one_mistake_is_one_line_without_consequences(case):
    data, expected = ONE_MISTAKE[case]
    found = only_mistake_in(data)
    assert found.startswith(expected), found


def guest_as_neighbor(address: str) -> list[str]:
    changes = [("bgp.peering", "configured"), ("reflectors", {}), ("borders", {}), ("hypervisors.hv1.daemon", "gobgp")]
    changes += [(f"vrfs.{vrf}.password", False) for vrf in ("private", "public")] + [("bgp.bfd", REMOVE)]
    return mistakes_in(changed(*changes, ("hypervisors.hv1.neighbors", {"far": {"address": address, "as": 1}})))


def test_a_guest_is_no_neighbor():
    path = "hypervisors.hv1.neighbors.far.address"
    assert guest_as_neighbor("203.0.113.3") == [
        f"{path}: 203.0.113.3 is given to hypervisors.hv2.guests.vm3.ipv4; the address of a router"
    ]
    assert guest_as_neighbor("203.0.113.254") == [
        f"{path}: 203.0.113.254 is in segments.guests, where guests and containers are; the address of a router"
    ]


GOOD = {
    "a segment of a single hypervisor needs no network": changed(("vrfs.lonely", {"table": 7, "vlan": 7}), ("segments.quiet", {"vrf": "lonely", "ipv4": "10.77.0.0/24", "gateway4": "10.77.0.1"}), ("hypervisors", {"hv1": {"id": 1}})),
    "guests without IPv6 need no IPv6 network": changed(*WITHOUT_IPV6, *[(f"hypervisors.hv{host}.guests.{guest}.ipv6", "none") for host, guest in GUESTS]),
    "a neighbor on a network": configured({"far": {"address": "10.3.0.77", "as": 1}}),
    "the gateway of the network": configured({"far": {"address": "10.1.0.253", "as": 1}}),
    "a neighbor beyond a gateway": configured({"far": {"address": "8.8.8.8", "as": 1}}, daemon="gobgp"),
    "an MTU as large as that of real uplinks may be": edited(("container_networks.deep.mtu", 9000), ("lab", REMOVE)),
    "an MTU as large as the way": changed(("segments.guests.mtu", 9000), ("fabrics.A.mtu", 9000), ("fabrics.B.mtu", 9000)),
    "a pool with a network's address and others": edited(("container_networks.span.pool", "10.20.0.0-10.20.0.9")),
    "leaves join fabrics": changed(("hypervisors.quay.fabrics", {"east": {}}), ("hypervisors.pier.fabrics", {"west": {}}), ("hypervisors.quay.container_networks.flat", REMOVE), ("hypervisors.pier.container_networks.deep", REMOVE), ("leaves.spur.fabrics.east.addresses.blue", {"ipv4": "10.3.0.254", "ipv6": "2001:db8:3::fe"}), ("leaves.spur.fabrics.west", {"addresses": {"blue": {"ipv4": "10.4.0.254", "ipv6": "2001:db8:4::fe"}}}), ("bgp.peering", "configured"), ("hypervisors.quay.neighbors", {"spur": {}}), ("hypervisors.pier.neighbors", {"spur": {}}), ("hypervisors.pier.as", 65011), start=containers),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_what_works_is_accepted(case):
    assert mistakes_in(GOOD[case]) == []


def resolved(data):
    mistakes = Mistakes()
    intent = check(data, mistakes)
    assert not mistakes, mistakes.lines()
    return inventory(intent, owner="/somewhere")


def test_containers_get_no_address_that_no_host_may_have():
    """Ten names in a pool of ten addresses, of which the first is the network's: the tenth finds no address left."""
    names = {f"c{number}": {} for number in range(9)}
    lab = resolved(
        edited(
            ("container_networks.span.pool", "10.20.0.0-10.20.0.9"),
            ("hypervisors.pier.container_networks.span.containers", {}),
            ("hypervisors.quay.container_networks.span.containers", names),
        )
    )
    links = [link for link in lab.host_vars["quay"]["network"]["ipvlan_links"] if link.get("namespace") in names]
    assert {link["addresses"][0]["address"] for link in links} == {f"10.20.0.{number}/24" for number in range(1, 10)}


def test_guests_are_expected_to_reach_only_borders_that_their_hypervisor_reaches():
    """pier is on the fabric west only, and of the borders only south is."""
    targets = {
        one["to_name"]
        for one in resolved(other()).host_vars["blog"]["verify"]
        if one["kind"] in ("ping", "trace") and one.get("expect") != "silence"
    }
    assert "south" in targets
    assert "north" not in targets


def test_default_and_other_samples_are_reachable():
    assert [mistakes_in(start()) for start in (default, other, containers)] == [[], [], []]
