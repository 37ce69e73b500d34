"""Gateways that are given without an interface: refused in advance if nothing leads to them."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def interpreter():
    return sys.executable, None  # the plan is the same with any pyroute2


REMEDY = "give a gateway that is, or the interface, with onlink: true to use it anyway"


@pytest.mark.parametrize(
    ("prefix", "gateway", "networks"),
    [
        ("10.9.0.0/16", "10.99.1.9", "10.0.0.0/24 of eth7"),
        ("2001:db8:9::/48", "2001:db8:99::9", "2001:db8:1::/64 of eth7"),
    ],
)
def test_a_gateway_on_no_network_is_refused_before_anything_is_changed(bare_namespace, prefix, gateway, networks):
    bare_namespace.cable("eth7")
    config = {
        "sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}],
        "interfaces": [
            {"name": "eth7", "addresses": [{"address": "10.0.0.1/24"}, {"address": "2001:db8:1::1/64", "nodad": True}]}
        ],
        "routes": [{"prefix": prefix, "gateway": gateway}],
    }
    for check in (True, False):
        [mistake] = bare_namespace.module("network", config=config, _check=check)["mistakes"]
        assert mistake.startswith(
            f"routes[0].gateway: {gateway} is on no network that table 254 or a policy rule leads"
        )
        assert networks in mistake and mistake.endswith(REMEDY)
    assert bare_namespace.sysctl("ipv4/ip_forward") == "0"
    assert "10.0.0.1" not in bare_namespace.ip("address show")
    config["interfaces"][0]["addresses"] += [
        {"address": "10.99.1.1/24"},
        {"address": "2001:db8:99::1/64", "nodad": True},
    ]
    bare_namespace.changed("network", config=config)
    assert bare_namespace.changed("network", config=config) == []


def test_a_gateway_may_be_behind_a_wanted_or_an_existing_route(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("route add 172.31.1.0/24 dev eth7")
    bare_namespace.ip("-6 route add 2001:db8:2::/64 dev eth7")
    config = [
        {"prefix": "10.1.0.0/16", "gateway": "172.31.1.9"},
        {"prefix": "10.2.0.0/16", "gateway": "172.31.2.9"},
        {"prefix": "2001:db8:71::/48", "gateway": "2001:db8:2::9"},
        {"prefix": "172.31.2.0/24", "interface": "eth7"},
    ]
    assert len(bare_namespace.changed("routes", config=config)) == 4
    # a route through another gateway leads nowhere, even if it covers the gateway
    bare_namespace.ip("route add 172.31.3.0/24 via 172.31.1.9")
    result = bare_namespace.module("routes", config=[{"prefix": "10.3.0.0/16", "gateway": "172.31.3.9"}], _check=True)
    assert "172.31.3.9 is on no network" in result["mistakes"][0]


@pytest.mark.parametrize("hop", [{}, {"interface": "eth7"}])
def test_a_default_route_without_a_gateway_leads_to_every_gateway(bare_namespace, hop):
    bare_namespace.cable("eth7")
    bare_namespace.ip("route add default dev eth7")
    bare_namespace.ip("-6 route add default dev eth7")
    config = [
        {"prefix": "10.1.0.0/16", "gateway": "172.31.1.9", **hop},
        {"prefix": "2001:db8:71::/48", "gateway": "2001:db8:2::9", **hop},
    ]
    assert len(bare_namespace.changed("routes", config=config)) == 2
    assert bare_namespace.changed("routes", config=config) == []


def test_a_gateway_that_a_rule_may_lead_to_is_left_to_the_kernel(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("route add 172.31.1.0/24 dev eth7 table 99")
    bare_namespace.ip("rule add iif eth7 lookup 99")
    wanted = {"config": [{"prefix": "10.1.0.0/16", "gateway": "172.31.1.9"}]}
    assert bare_namespace.module("routes", **wanted, _check=True)["changed"]
    message = bare_namespace.module("routes", **wanted)["msg"]
    assert message.startswith("routes[0]: cannot add route 10.1.0.0/16 in table 254 via 172.31.1.9: ")
    assert message.endswith(
        "; give a gateway that is reached without another one, or configure an address or a route that leads to it"
    )
    bare_namespace.ip("rule add lookup 99")
    bare_namespace.changed("routes", **wanted)


def test_a_gateway_in_a_vrf(namespace):
    namespace.cable("eth7")
    config = {
        "vrfs": [{"name": "public", "table": 90}],
        "interfaces": [{"name": "eth7", "vrf": "public", "addresses": [{"address": "10.0.0.1/24"}]}],
        "routes": [{"prefix": "10.9.0.0/16", "gateway": "10.99.1.9", "vrf": "public"}],
    }
    [mistake] = namespace.module("network", config=config)["mistakes"]
    assert mistake.startswith("routes[0].gateway: 10.99.1.9 is on no network that VRF public or a policy rule leads to")
    config["routes"][0]["gateway"] = "10.0.0.9"
    namespace.changed("network", config=config)
    # from the main table, nothing leads into the VRF
    elsewhere = [{"prefix": "10.10.0.0/16", "gateway": "10.0.0.9"}]
    assert "on no network that table 254" in namespace.module("routes", config=elsewhere)["mistakes"][0]


def test_a_gateway_behind_an_ipvlan_link_of_the_same_call(namespace):
    namespace.cable("eth7")
    config = {
        "ipvlan_links": [{"name": "s", "master": "eth7", "mode": "l2", "addresses": [{"address": "10.0.0.1/24"}]}],
        "routes": [{"prefix": "10.9.0.0/16", "gateway": "10.0.0.9"}],
    }
    namespace.changed("network", config=config)
    assert namespace.changed("network", config=config) == []
