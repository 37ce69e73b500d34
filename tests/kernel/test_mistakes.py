"""Mistakes of all phases are reported together, and none that only follows from another."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def interpreter():
    return sys.executable, None  # the plan is the same with any pyroute2


def warnings(result):
    """As texts: their form depends on the version of Ansible."""
    return [warning if isinstance(warning, str) else warning["event"]["msg"] for warning in result["warnings"]]


def mistakes(space, module, config, **args):
    found = [space.module(module, config=config, **args, _check=check)["mistakes"] for check in (True, False)]
    assert found[0] == found[1]
    return found[0]


def test_sysctls_with_wrong_names_of_every_kind(bare_namespace):
    names = ("net.ipv4.ip_froward", "net.ipv4.conf.vm44.rp_filter", "kernel.hostname")
    found = mistakes(bare_namespace, "sysctls", [{"name": name, "value": "1"} for name in names])
    assert sorted(found) == [
        "sysctls[0].name: this kernel has no sysctl net.ipv4.ip_froward; did you mean ip_forward?",
        "sysctls[1].name: there is no interface vm44 (net.ipv4.conf.vm44.rp_filter); sysctls of an interface that this "
        "call creates are set with it, in its sysctls",
        "sysctls[2].name: 'kernel.hostname' is not a sysctl below net, such as net.ipv4.ip_forward",
    ]


def test_a_wrong_form_hides_no_unknown_name_and_no_gateway(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("address add 10.0.0.1/24 dev eth7")
    bare_namespace.ip("route add 10.6.0.0/16 dev eth7 proto static")
    config = {
        "interfaces": [{"name": "eth8"}, {"name": "eth7", "vrf": "blue"}],
        "routes": [
            {"prefix": "10.1.0.1/16", "gateway": "10.0.0.2"},
            {"prefix": "10.2.0.0/16", "interface": "eth9"},
            {"prefix": "10.3.0.0/16", "vrf": "green", "interface": "eth7"},
            {"prefix": "10.4.0.0/16", "gateway": "10.77.0.2", "interface": "eth7"},
            {"prefix": "10.5.0.0/16", "gateway": "10.77.0.2"},
            {"prefix": "10.6.0.0/16", "interface": "eth7"},
        ],
    }
    places = [text.split(": ")[0] for text in mistakes(bare_namespace, "network", config)]
    assert sorted(places) == [
        "interfaces[0].name",
        "interfaces[1].vrf",
        "routes[0].prefix",
        "routes[1].interface",
        "routes[2].vrf",
        "routes[3].gateway",
        "routes[4].gateway",
        "routes[5]",
    ]


@pytest.mark.parametrize("state", ["merged", "replaced", "overridden"])
def test_what_follows_from_another_mistake_is_not_reported(bare_namespace, state):
    bare_namespace.cable("eth7")
    config = {
        "vrfs": [{"name": "blue", "table": 0}],
        "interfaces": [
            {"name": "eth7", "vrf": "blue", "addresses": [{"address": "10.0.0.1/24"}]},
            {"name": "br", "type": "bridge", "mtu": 5},
            {"name": "eth8", "bridge": "br"},
        ],
        "proxy_arp": [{"interface": "br", "proxy_arp": True}],
        "routes": [
            {"prefix": "10.1.0.0/16", "vrf": "blue", "gateway": "10.0.0.2"},
            {"prefix": "10.2.0.0/16", "nexthops": [{"interface": "br", "gateway": "10.1.0.2"}]},
            {"prefix": "10.3.0.0/16", "gateway": "10.0.0.2"},
        ],
    }
    found = mistakes(bare_namespace, "network", config, state=state)
    assert [text.split(": ")[0] for text in found] == ["vrfs[0].table", "interfaces[1].mtu"]


def test_a_refused_interface_makes_no_gateway_wrong(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("link add dev br type bridge")
    config = {
        "interfaces": [{"name": "br", "type": "bridge"}, {"name": "eth7", "addresses": [{"address": "10.0.0.1/24"}]}],
        "routes": [{"prefix": "10.1.0.0/16", "gateway": "10.0.0.2", "interface": "eth7"}],
    }
    [mistake] = mistakes(bare_namespace, "network", config)
    assert mistake == (
        "interfaces[0]: interface br exists but is not ours (it does not carry our mark); "
        "leave out its type to configure it as it is, or delete it first"
    )


def test_a_value_that_the_kernel_refuses_is_reported_with_its_place(bare_namespace):
    result = bare_namespace.module("sysctls", config=[{"name": "net.ipv4.ip_forward", "value": "many"}])
    assert result["msg"].startswith("sysctls[0]: cannot set net.ipv4.ip_forward to many: Invalid argument")
    assert result["msg"].endswith("; give a value that this sysctl accepts")


# Objects of others that `deleted` is given


def test_deleted_warns_about_objects_of_others_that_it_leaves_in_place(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("route add 10.78.0.0/16 dev eth7 proto static")
    result = bare_namespace.module("interfaces", config=[{"name": "eth7"}, {"name": "missing"}], state="deleted")
    assert (result["changed"], warnings(result)) == (
        False,
        ["interfaces[0]: interface eth7 is not ours and is left in place; only addresses of ours are removed"],
    )
    result = bare_namespace.module(
        "routes", config=[{"prefix": "10.78.0.0/16"}, {"prefix": "10.79.0.0/16"}], state="deleted"
    )
    assert (result["changed"], warnings(result)) == (
        False,
        ["routes[0]: route 10.78.0.0/16 in table 254 is not ours (protocol static) and is left in place"],
    )


def test_a_setting_that_is_reset_does_not_claim_to_carry_a_mark(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("neighbor add proxy 203.0.113.9 dev eth7")
    bare_namespace.changed("proxy_arp", config=[{"interface": "eth7", "proxy_arp": True, "entries": ["203.0.113.7"]}])
    [change] = bare_namespace.module("proxy_arp", config=[{"interface": "eth7"}], state="deleted", _check=True)[
        "changes"
    ]
    assert change["why"] == "entries of ours are to be deleted; proxy_arp is to be reset to the default"
    [change] = bare_namespace.module("proxy_arp", config=[], state="overridden", _check=True)["changes"]
    assert change["why"] == "entries of ours are not in the configuration"


# Diffs


def test_a_changed_route_shows_only_what_differs(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("address add 10.0.0.1/24 dev eth7")
    route = {"prefix": "10.78.0.0/16", "gateway": "10.0.0.2"}
    bare_namespace.changed("routes", config=[route])
    diff = bare_namespace.module("routes", config=[{**route, "mtu": 1400}], _check=True, _diff=True)["diff"]
    before, after = (diff[side].splitlines() for side in ("before", "after"))
    assert [line for line in after if line not in before] == ["    mtu: 1400"]
    assert [line for line in after if line in before] == before
