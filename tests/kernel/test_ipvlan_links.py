"""ipvlan links, created twice, and together with everything that refers to them; with each pyroute2."""

from __future__ import annotations

import subprocess

import pytest
from ipvlan_host import CONFIG, Host, link


@pytest.fixture
def host(namespace):
    return Host(namespace)


def test_check_mode_predicts_a_run_and_a_second_run_changes_nothing(host):
    config = host.full(CONFIG)
    expected = host.space.module("ipvlan_links", config=config, state="overridden", _check=True, _diff=True)
    assert [change["op"] for change in expected["changes"]] == ["create"] * 5
    assert not host.show("link show type ipvlan") and not host.show("link show type ipvlan", "c1")
    assert host.space.module("ipvlan_links", config=config, state="overridden", _diff=True) == expected
    for state in ("merged", "replaced", "overridden"):
        assert host.changed(CONFIG, state=state) == []


def test_the_kernel_has_what_was_configured(host):
    host.changed(CONFIG)
    eth0 = host.link("c1")
    assert (eth0["mtu"], eth0["ifalias"], eth0["operstate"]) == (1400, "routed.hypervisor", "UNKNOWN")
    assert eth0["linkinfo"]["info_data"] == {"mode": "l2", "bridge": True}
    [address] = [entry for entry in eth0["addr_info"] if entry["family"] == "inet"]
    assert (address["local"], address["prefixlen"]) == ("10.10.1.2", 24)
    [default] = host.show("route show default", "c1")
    assert (default["gateway"], default["protocol"], default["dev"]) == ("10.10.1.1", "82", "eth0")
    [through] = host.show("route show 10.10.1.0/24", "c3")
    assert (through["dev"], through["scope"]) == ("eth0", "link")
    assert host.link("c3", "eth1")["linkinfo"]["info_data"] == {"mode": "l3", "private": True}
    assert "UP" not in host.link("c3", "eth1")["flags"]
    assert host.container("c2").sysctl("ipv4/conf/eth0/rp_filter") == "1"


def test_the_host_may_have_an_interface_of_the_same_name(host):
    """Even as the master: on most machines that is eth0."""
    host.space.cable("eth0")
    entry = link("c1", "10.10.9.2/24", master="eth0")
    assert host.changed([entry]) == [("create", "eth0 in c1")]
    assert host.link("c1")["linkinfo"]["info_kind"] == "ipvlan"
    assert host.changed([entry]) == []


def test_namespaces_masters_links_and_everything_on_them_in_one_call(host):
    name = f"{host.space.name}-new"
    config = {
        "vrfs": [{"name": "public", "table": 90}],
        "namespaces": [{"name": name}],
        "interfaces": [{"name": "m0", "type": "dummy", "vrf": "public", "mtu": 9000}],
        "ipvlan_links": [
            {**CONFIG[0], "namespace": f"/run/netns/{name}", "master": "m0", "mtu": 8000},
            {"name": "host-m0", "master": "m0", "mode": "l2", "vrf": "public", "addresses": [{"address": "10.10.1.1"}]},
        ],
        "proxy_arp": [{"interface": "host-m0", "proxy_arp": True, "delay": 0}],
        "routes": [{"prefix": "10.10.1.2/32", "vrf": "public", "interface": "host-m0"}],
    }
    expected = host.space.module("network", config=config, state="overridden", _check=True)
    assert host.space.module("network", config=config, state="overridden") == expected
    assert host.space.changed("network", config=config, state="overridden") == []
    [through] = host.show("route show table 90 10.10.1.2")
    assert through["dev"] == "host-m0"
    config["interfaces"][0]["mtu"] = 8500  # the links get it, too
    changes = host.space.changed("network", config=config, state="overridden")
    assert changes == [("interfaces", "change", "m0"), ("ipvlan_links", "change", f"eth0 in {name}")] + [
        change for change in changes if change[2] == "host-m0"
    ]
    assert host.space.changed("network", config=config, state="overridden") == []
    config["vrfs"][0]["table"] = 91
    assert host.space.changed("network", config=config, state="overridden")
    assert host.space.changed("network", config=config, state="overridden") == []
    assert host.show("route show table 91 10.10.1.2")
    assert host.space.changed("network", state="deleted")
    assert host.space.changed("network", state="deleted") == []
    assert not host.show("link show type ipvlan") and name not in subprocess.getoutput("ip netns list")


def test_objects_deleted_with_a_namespace_or_a_master_are_not_reported_as_remaining(host):
    names = [f"{host.space.name}-{short}" for short in ("new1", "new2")]
    config = {
        "namespaces": [{"name": name} for name in names],
        "interfaces": [{"name": "m0", "type": "dummy"}, {"name": "m0.5", "type": "vlan", "parent": "m0", "vlan_id": 5}],
        "ipvlan_links": [link(names[0], "10.10.1.2/24", master="m0"), link(names[1], "10.10.1.3/24")],
        "proxy_arp": [{"interface": "m0.5", "entries": ["10.10.1.9"]}],
        "routes": [{"prefix": "10.20.0.0/16", "interface": "m0.5"}],
    }
    host.space.changed("network", config=config)

    def remains(_check=True, **args):
        result = host.space.module("network", state="deleted", _check=_check, **args)
        assert not result.get("failed"), result["msg"]
        return {kind: [entry.get("namespace") or entry for entry in left] for kind, left in result["after"].items()}

    one_of_each = {"namespaces": config["namespaces"][1:], "ipvlan_links": config["ipvlan_links"][:1]}
    assert remains(config=one_of_each)["ipvlan_links"] == []
    assert remains(config={"interfaces": config["interfaces"], "routes": config["routes"]})["routes"] == []
    for check in (True, False):
        assert not any(remains(_check=check).values())
    assert host.space.changed("network", state="deleted") == []
