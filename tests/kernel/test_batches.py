"""Batches of changes: none is lost, and after a failure exactly the completed ones are reported. On any kernel."""

from __future__ import annotations

import pytest

COUNT = 1000  # several times the capacity of one system call


@pytest.fixture
def host(bare_namespace):
    bare_namespace.cable("uplink")
    bare_namespace.ip("address add 192.0.2.1/24 dev uplink")
    return bare_namespace


def routes(count=COUNT):
    return [{"prefix": f"10.{n // 250}.{n % 250}.0/24", "gateway": f"192.0.2.{n % 250 + 2}"} for n in range(count)]


def test_a_thousand_routes_and_addresses_in_one_call(host):
    config = {
        "interfaces": [
            {"name": "uplink", "addresses": [{"address": f"172.16.{n // 250}.{n % 250}/32"} for n in range(COUNT)]}
        ],
        "routes": routes(),
    }
    assert len(host.changed("network", config=config, state="overridden")) == COUNT + 1
    assert host.changed("network", config=config, state="overridden") == []
    assert len(host.show("-4 route show proto 82")) == COUNT
    assert len(host.changed("network", config={"routes": [], "interfaces": []}, state="overridden")) == COUNT + 1
    assert len(host.show("-4 route")) == 1


def test_exactly_the_failed_changes_of_a_batch_are_reported(host):
    config = routes()
    # A rule that does not apply to this host's own packets leads to this gateway: only the kernel can refuse it.
    host.ip("route add 198.51.100.0/24 dev uplink table 100")
    host.ip("rule add from 203.0.113.1 table 100")
    config[130]["gateway"] = config[777]["gateway"] = "198.51.100.1"
    result = host.module("routes", config=config)
    assert result["failed"] and result["changed"]
    assert result["msg"].startswith("routes[130]: cannot add route 10.0.130.0/24 in table 254 via 198.51.100.1: ")
    not_done = {change["name"] for change in result["not_done"]}
    done = {change["name"].split()[0] for change in result["done"]}
    assert "10.0.130.0/24 in table 254" in not_done and len(done) + len(not_done) == COUNT
    assert {route["dst"] for route in host.show("-4 route show proto 82")} == done
    del config[777], config[130]
    assert host.changed("routes", config=config) == []


def test_a_later_phase_does_not_begin_after_a_failure(host):
    config = {
        "interfaces": [
            {"name": "b0", "type": "veth", "peer": "p0"},
            {"name": "v0", "type": "veth", "peer": "uplink"},  # which exists
            {"name": "b1", "type": "veth", "peer": "p1", "addresses": [{"address": "10.0.0.1/24"}]},
        ],
        "rules": [{"priority": 2000, "to": "10.0.0.0/8", "table": 100}],
    }
    result = host.module("network", config=config)
    assert result["failed"] and result["msg"].startswith("interfaces[1]: cannot create interface v0: ")
    assert len(result["not_done"]) == 4 and result["done"] == []
    assert not host.show("rule show priority 2000")
    for name in ("b0", "b1"):  # created but not marked: treated like those of a killed run
        [link] = host.show(f"link show {name}")
        assert "ifalias" not in link
    del config["interfaces"][1]
    assert [change[:2] for change in host.changed("network", config=config)] == [
        ("interfaces", "replace"),
        ("interfaces", "replace"),
        ("rules", "create"),
        ("interfaces", "delete"),  # the former peers
        ("interfaces", "delete"),
    ]
    assert host.changed("network", config=config) == []


def test_links_are_deleted_together(host):
    config = [{"name": f"b{n}", "type": "veth", "peer": f"p{n}"} for n in range(300)]
    assert len(host.changed("interfaces", config=config)) == 300
    host.ip("link add foreign type veth peer name foreign-peer")
    assert len(host.changed("interfaces", state="deleted")) == 600  # with the peers
    assert {link["ifname"] for link in host.show("link show type veth")} == {"uplink", "foreign", "foreign-peer"}
