"""A host is given back as it was: what we changed of others is recorded on it, and restored."""

from __future__ import annotations

import copy
import json

import pytest

CONFIG = {
    "sysctls": [
        {"name": "net.ipv4.tcp_l3mdev_accept", "value": "1"},
        {"name": "net.ipv6.conf.all.forwarding", "value": "1"},
        {"name": "net.ipv4.conf.all.send_redirects", "value": "0"},
    ],
    "vrfs": [{"name": "public", "table": 90}],
    "interfaces": [
        {"name": "fabric-A", "mtu": 1600, "sysctls": {"ipv6": {"accept_ra": 0}}},
        {
            "name": "fabric-A.90",
            "type": "vlan",
            "parent": "fabric-A",
            "vlan_id": 90,
            "mtu": 1600,
            "vrf": "public",
            "addresses": [{"address": "198.51.100.101/25"}],
        },
        {
            "name": "vm1",
            "vrf": "public",
            "mtu": 1400,
            "addresses": [{"address": "203.0.113.254/32", "scope": "link"}, {"address": "fe80::1/64", "nodad": True}],
            "sysctls": {"ipv4": {"rp_filter": 1, "forwarding": 1}, "ipv6": {"accept_ra": 0, "addr_gen_mode": 1}},
        },
    ],
    "proxy_arp": [{"interface": "vm1", "proxy_arp": True, "delay": 0, "entries": []}],
    "routes": [{"prefix": "203.0.113.1/32", "vrf": "public", "interface": "vm1", "scope": "link"}],
    "rules": [{"priority": 2000, "family": "ipv4", "to": "198.51.100.0/25", "vrf": "public"}],
}


def sysctls(host) -> dict[str, str]:
    """All below net that belong to this namespace, of existing interfaces."""
    lines = host.run("sh", "-c", "sysctl -a 2>/dev/null | grep ^net").splitlines()
    # Counters, and what the kernel draws at random.
    return {key: value for key, _is, value in (line.partition(" = ") for line in lines) if "stable_secret" not in key}


@pytest.fixture
def host(namespace):
    """With settings of its own: a strict rp_filter, one interface that forwards already, a link that is down."""
    for name in ("fabric-A", "vm1", "office"):
        namespace.cable(name)
    namespace.ip("link set fabric-A down")
    namespace.ip("address add 192.0.2.7/24 dev office")
    namespace.ip("route add 198.18.0.0/15 via 192.0.2.1 dev office")
    namespace.ip("rule add priority 5000 to 198.18.0.0/15 table 77")
    for rule in ("rule", "-6 rule"):  # the namespace of the test has had a VRF
        namespace.ip(f"{rule} del priority 1000")
    for setting in ("ipv4/conf/all/rp_filter", "ipv6/conf/office/forwarding", "ipv4/conf/vm1/send_redirects"):
        namespace.run("sh", "-c", f"echo 1 >/proc/sys/net/{setting}")
    return namespace


def state(host) -> tuple:
    return host.settled(), sysctls(host)


def test_what_was_changed_is_restored_and_the_rest_is_as_it_was(host, tmp_path):
    before, former = state(host), str(tmp_path / "lib" / "former.json")
    host.changed("network", config=CONFIG, state="overridden", former=former)
    assert {rule["priority"] for rule in host.show("rule")} == {0, 1000, 2000, 5000, 32766, 32767}
    assert host.changed("network", config=CONFIG, state="overridden", former=former) == []
    assert (tmp_path / "lib" / "former.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "lib").stat().st_mode & 0o777 == 0o700
    predicted = host.changed("network", state="deleted", former=former, _check=True)
    assert ("rules", "delete", "1000 (ipv4)") in predicted
    assert host.changed("network", state="deleted", former=former) == predicted
    assert state(host) == before
    assert not (tmp_path / "lib" / "former.json").exists()
    assert host.changed("network", state="deleted", former=former) == []
    # The kernel adds its rule only once.
    host.changed("network", config=CONFIG, state="overridden", former=former)
    assert {1000, 2000} <= {rule["priority"] for rule in host.show("rule")}
    assert 1000 in {rule["priority"] for rule in host.show("-6 rule")}


def test_only_the_first_value_counts_and_later_values_of_others_are_left_alone(host, tmp_path):
    former = str(tmp_path / "former.json")
    host.changed("network", config=CONFIG, state="overridden", former=former)
    changed = copy.deepcopy(CONFIG)
    changed["interfaces"][2]["mtu"] = 1300
    changed["sysctls"].pop()  # no longer wanted
    host.run("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding")  # drift
    host.changed("network", config=changed, state="overridden", former=former)
    assert sysctls(host)["net.ipv4.conf.all.send_redirects"] == "1"
    recorded = json.loads((tmp_path / "former.json").read_text())
    assert recorded["interfaces"]["vm1"]["was"]["mtu"] == 1500
    assert recorded["sysctls"]["ipv6/conf/all/forwarding"]["was"] == "0"
    assert "ipv4/conf/all/send_redirects" not in recorded["sysctls"]
    host.run("sh", "-c", "echo 3 >/proc/sys/net/ipv4/tcp_l3mdev_accept || echo 0 >/proc/sys/net/ipv4/tcp_l3mdev_accept")
    host.changed("network", state="deleted", former=former)
    assert [link["mtu"] for link in host.show("link show dev vm1")] == [1500]
    assert sysctls(host)["net.ipv4.tcp_l3mdev_accept"] == "0"


def test_a_port_that_is_no_longer_wanted_gets_back_what_it_had(host, tmp_path):
    former = str(tmp_path / "former.json")
    host.changed("network", config=CONFIG, state="overridden", former=former)
    smaller = copy.deepcopy(CONFIG)
    del smaller["interfaces"][2], smaller["routes"][0], smaller["proxy_arp"][0]
    host.changed("network", config=smaller, state="overridden", former=former)
    [port] = host.show("-d link show dev vm1")
    assert "master" not in port and port["mtu"] == 1500
    now = sysctls(host)
    assert (now["net.ipv4.conf.vm1.proxy_arp"], now["net.ipv4.conf.vm1.forwarding"]) == ("0", "0")
    assert host.changed("network", config=smaller, state="overridden", former=former) == []


def test_a_rule_for_vrfs_that_was_there_before_stays(host, tmp_path):
    host.ip("rule add priority 1000 l3mdev protocol kernel")
    host.ip("-6 rule add priority 1000 l3mdev protocol kernel")
    former = str(tmp_path / "former.json")
    host.changed("network", config=CONFIG, state="overridden", former=former)
    host.changed("network", state="deleted", former=former)
    assert 1000 in {rule["priority"] for rule in host.show("rule")}


def test_a_damaged_record_is_refused_before_anything_is_changed(host, tmp_path):
    (tmp_path / "former.json").write_text("{")
    result = host.module("network", config=CONFIG, state="overridden", former=str(tmp_path / "former.json"))
    assert result["failed"] and "former.json is damaged" in result["msg"]
    assert "public" not in host.ip("link")
