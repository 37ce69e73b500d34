"""What an address may be depends on its role: special-purpose addresses are refused where they cannot work."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import ipaddress

import pytest
from support.intent_samples import REMOVE, changed, containers, default, mistakes_in

from ansible_collections.routed.hypervisor.plugins.module_utils._addresses import roles
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.schema import schema

NETWORKS4 = {
    "0.0.0.0/0": "contains unspecified",
    "0.1.2.0/24": "is this network",
    "126.0.0.0/7": "contains loopback",
    "127.1.0.0/16": "is loopback",
    "169.254.0.0/16": "is link-local",
    "169.254.7.0/24": "is link-local",
    "224.0.0.0/4": "is multicast",
    "232.1.1.0/24": "is multicast",
    "240.0.0.0/24": "is reserved",
    "255.255.255.255/32": "is broadcast",
    "192.0.0.0/3": None,
    "100.64.0.0/10": None,
    "192.0.2.0/24": None,
    "198.18.0.0/15": None,
}
NETWORKS6 = {
    "::/0": "contains unspecified",
    "::/64": "contains unspecified",
    "::ffff:192.0.2.0/120": "is IPv4 in IPv6",
    "::192.0.2.0/120": "is IPv4 in IPv6",
    "100::/64": "is discard-only",
    "fe80::/64": "is link-local",
    "febf:1::/64": "is link-local",
    "ff05::/64": "is multicast",
    "2001:db8::/64": None,
    "2002:c000:201::/64": None,
    "2001::/64": None,
    "64:ff9b::/96": None,
    "fd00:1::/64": None,
}
HOSTS = {
    "0.0.0.0": "is unspecified",
    "0.0.0.7": "is this network",
    "127.0.0.53": "is loopback",
    "169.254.169.254": "is link-local",
    "224.0.0.251": "is multicast",
    "241.1.1.1": "is reserved",
    "255.255.255.255": "is broadcast",
    "::": "is unspecified",
    "::1": "is loopback",
    "::ffff:192.0.2.1": "is IPv4 in IPv6",
    "fe80::1": "is link-local",
    "ff02::fb": "is multicast",
    "100::7": "is discard-only",
    "100.64.0.53": None,
    "9.9.9.9": None,
    "2620:fe::fe": None,
}  # fmt: skip
ROUTER_IDS = {
    "0.0.0.0": "is unspecified",
    "255.255.255.255": "is broadcast",
    "224.0.0.5": "is multicast",
    "240.0.0.1": "is reserved",
    "127.0.0.1": "is loopback",
    "0.0.0.1": None,
    "169.254.1.1": None,
    "10.0.0.1": None,
}


def wrong_at(path: str, data: dict) -> str | None:
    """The mistake at exactly this path; others may be its consequences, as the rest of the file has other prefixes."""
    lines = [line for line in mistakes_in(data) if line.startswith(f"{path}: ")]
    return lines[0].removeprefix(f"{path}: ") if lines else None


@pytest.mark.parametrize("path", ["fabrics.A.networks.public.ipv4", "loopbacks.private.ipv4", "segments.guests.ipv4"])
@pytest.mark.parametrize("prefix", NETWORKS4)
def test_prefixes_of_networks_are_unicast(path, prefix):
    wrong, found = NETWORKS4[prefix], wrong_at(path, changed((path, prefix)))
    assert (f"{prefix} {wrong}" in found) if wrong else (found is None or "overlaps" in found), found


@pytest.mark.parametrize("path", ["container_networks.span.ipv4", "hypervisors.quay.container_networks.own.ipv4"])
@pytest.mark.parametrize("prefix", [prefix for prefix, wrong in NETWORKS4.items() if wrong])
def test_prefixes_of_containers_are_unicast(path, prefix):
    assert f"{prefix} {NETWORKS4[prefix]}" in wrong_at(path, changed((path, prefix), start=containers))


@pytest.mark.parametrize("path", ["fabrics.A.networks.public.ipv6", "segments.guests.ipv6"])
@pytest.mark.parametrize("prefix", NETWORKS6)
def test_ipv6_prefixes_of_networks_are_unicast(path, prefix):
    wrong, found = NETWORKS6[prefix], wrong_at(path, changed((path, prefix)))
    assert (f"{prefix} {wrong}" in found) if wrong else (found is None or "is not a /64" in found), found


@pytest.mark.parametrize("path", ["segments.guests.dns", "borders.internet.world"])
@pytest.mark.parametrize("address", HOSTS)
def test_resolvers_and_the_outside_world_have_addresses_that_routers_forward(path, address):
    wrong, found = HOSTS[address], wrong_at(f"{path}[1]", changed((path, ["198.18.0.1", address])))
    assert f"{address} {wrong}" in found if wrong else found is None, found


@pytest.mark.parametrize("node", ["hypervisors.hv1", "reflectors.rr1", "borders.internet"])
@pytest.mark.parametrize("router_id", ROUTER_IDS)
def test_a_router_id_looks_like_a_unicast_address(node, router_id):
    found = wrong_at(f"{node}.router_id", changed((f"{node}.router_id", router_id)))
    assert f"{router_id} {ROUTER_IDS[router_id]}" in found if ROUTER_IDS[router_id] else found is None, found


@pytest.mark.parametrize("number", [23456, 65535, 4294967295])
@pytest.mark.parametrize(
    ("path", "start"), [("bgp.as", default), ("hypervisors.hv1.as", default), ("leaves.spur.as", containers)]
)
def test_reserved_as_numbers_are_refused(number, path, start):
    assert wrong_at(path, changed((path, number), start=start)).startswith(f"{number} is reserved; ")


def test_a_configured_neighbor_has_no_reserved_as_number():
    data = changed(
        ("bgp.peering", "configured"),
        ("hypervisors.quay.neighbors", {"far": {"address": "10.3.0.77", "as": 23456}}),
        start=containers,
    )
    assert wrong_at("hypervisors.quay.neighbors.far.as", data).startswith("23456 is reserved; ")


@pytest.mark.parametrize(
    ("prefix", "wrong"),
    [
        ("0.0.0.0/0", None),
        ("128.0.0.0/1", None),
        ("::/0", None),
        ("224.0.0.0/4", "is multicast"),
        ("fe80::/10", "is link-local"),
        ("127.0.0.0/8", "is loopback"),
    ],
)
def test_a_static_route_may_cover_everything_but_not_lead_to_addresses_that_are_not_forwarded(prefix, wrong):
    data = changed(("leaves.spur.static", {"main": {prefix: "10.1.0.9"}}), start=containers)
    found = wrong_at(f"leaves.spur.static.main.{prefix}", data)
    assert f"{prefix} {wrong}" in found if wrong else found is None or "of another family" in found, found


@pytest.mark.parametrize("gateway", ["fe80::", "fe81::1", "2001:db8::1", "ff02::1", "::"])
def test_the_gateway_of_guests_is_link_local(gateway):
    found = mistakes_in(changed(("segments.guests.gateway6", gateway)))
    assert found == [
        f"segments.guests.gateway6: {gateway} is not link-local; an address in fe80::/64, for instance fe80::1"
    ]


def test_the_gateway_of_guests_is_not_the_link_local_address_of_one():
    found = mistakes_in(changed(("segments.guests.gateway6", "fe80::cbff:fe00:7103")))
    assert found == [
        "segments.guests.gateway6: fe80::cbff:fe00:7103 is also the link-local address of hypervisors.hv2.guests.vm3, which follows from its MAC; for instance fe80::1"
    ]


@pytest.mark.parametrize("gateway", ["fe80::", "fe81::1", "2001:db8:20::"])
def test_the_gateway_of_containers_is_link_local_or_a_host(gateway):
    (line,) = mistakes_in(changed(("container_networks.span.gateway6", gateway), start=containers))
    assert line.startswith(f"container_networks.span.gateway6: {gateway} cannot be a host in 2001:db8:20::/64")


@pytest.mark.parametrize(("servers", "wrong"), [
    ([f"192.0.2.{number}" for number in range(1, 34)], "segments.guests.dns[32]: more than 32 IPv4 name servers; more do not fit into a DHCP reply"),
    ([f"2001:db8:53::{number}" for number in range(1, 101)], "segments.guests.dns[3]: more than 3 IPv6 name servers; radvd announces no more"),
    (["203.0.113.255"], "segments.guests.dns[0]: 203.0.113.255 cannot be a host in 203.0.113.0/24; 203.0.113.1 to 203.0.113.254"),
    ([f"192.0.2.{number}" for number in range(1, 33)] + [f"2001:db8:53::{number}" for number in range(1, 4)], None),
])  # fmt: skip
def test_name_servers_are_as_many_as_daemons_announce(servers, wrong):
    assert mistakes_in(changed(("segments.guests.dns", servers))) == ([wrong] if wrong else [])


def _addresses(part, path=()):
    """(path, format, role) of all keys, list items and names that are addresses or prefixes."""
    forms = {"ipv4", "ipv6", "address", "ipv4-prefix", "ipv6-prefix", "prefix"}
    if part.get("format") in forms:
        yield ".".join(path), part["format"], part.get("role")
    for key, below in part.get("properties", {}).items():
        yield from _addresses(below, (*path, key))
    for key, name in (("items", "item"), ("additionalProperties", "*"), ("propertyNames", "name")):
        if isinstance(part.get(key), dict):
            yield from _addresses(part[key], (*path, name))


# These must be in a prefix that has a role, which other checks ensure; an area is a number.
INSIDE = ("gateway4", "gateway6", "fabrics.*.ipv4", "fabrics.*.ipv6", "addresses.*.ipv4", "addresses.*.ipv6")
INSIDE += ("hypervisors.ipv4", "hypervisors.ipv6", "loopbacks.*.ipv4", "loopbacks.*.ipv6", "guests.*.ipv4")
INSIDE += ("containers.*.ipv4", "containers.*.ipv6", "ospf.area", "addresses.item", "anycast.item")


def test_every_key_for_an_address_states_its_role():
    found = list(_addresses(schema()))
    assert len(found) > 40
    assert {role for _path, _form, role in found} - {None} <= set(roles.ROLES)
    assert [path for path, _form, role in found if role is None and not path.endswith(INSIDE)] == []


def test_the_blocks_agree_with_the_standard_library_where_that_never_changed():
    for kind, predicate in (
        (roles.MULTICAST, "is_multicast"),
        (roles.LOOPBACK, "is_loopback"),
        (roles.LINK_LOCAL, "is_link_local"),
        (roles.UNSPECIFIED, "is_unspecified"),
    ):
        blocks = [block for name, block in roles.BLOCKS if name == kind]
        assert {block.version for block in blocks} == {4, 6}
        for block in blocks:
            edges = (
                block.network_address - 1 if int(block.network_address) else None,
                block.broadcast_address + 1 if int(block.broadcast_address) + 1 < 1 << block.max_prefixlen else None,
            )
            assert all(getattr(address, predicate) for address in (block.network_address, block.broadcast_address))
            assert not any(getattr(address, predicate) for address in edges if address is not None)
    assert ipaddress.IPv6Address("::ffff:192.0.2.1").ipv4_mapped in ipaddress.ip_network("192.0.2.0/24")


def test_only_the_gateway_that_is_missing_is_reported():
    data = changed(
        ("container_networks.span.gateway4", REMOVE),
        ("container_networks.span.ipv6", REMOVE),
        ("container_networks.span.gateway6", REMOVE),
        start=containers,
    )
    assert [line.split(":")[0] for line in mistakes_in(data)] == ["container_networks.span.gateway4"]
