"""Situations from the field in which a run failed, reported wrongly, or broke objects of others."""

from __future__ import annotations

import time

import pytest
from support.waiting import until


def addresses(space, name, family="inet6"):
    return {
        f"{entry['local']}/{entry['prefixlen']}"
        for link in space.show(f"address show dev {name}")
        for entry in link["addr_info"]
        if entry["family"] == family and entry["scope"] != "link"
    }


def interface(*texts, name="eth7", **more):
    return [{"name": name, "addresses": [{"address": text} for text in texts], **more}]


# IPv6 addresses are identified without their prefix length


@pytest.mark.parametrize("state", ["merged", "replaced", "overridden"])
def test_the_length_of_an_ipv6_address_of_ours_changes_in_one_run(bare_namespace, state):
    bare_namespace.cable("eth7")
    bare_namespace.changed("interfaces", config=interface("2001:db8:1::1/64"))
    wanted = interface("2001:db8:1::1/127")
    predicted = bare_namespace.changed("interfaces", config=wanted, state=state, _check=True)
    assert bare_namespace.changed("interfaces", config=wanted, state=state) == predicted != []
    assert addresses(bare_namespace, "eth7") == {"2001:db8:1::1/127"}
    assert bare_namespace.changed("interfaces", config=wanted, state=state) == []


@pytest.mark.parametrize("state", ["merged", "replaced", "overridden"])
def test_an_ipv6_address_of_others_keeps_its_length(bare_namespace, state):
    bare_namespace.cable("eth7")
    bare_namespace.ip("address add 2001:db8:1::1/64 dev eth7 nodad")
    for check in (True, False):
        result = bare_namespace.module("interfaces", config=interface("2001:db8:1::1/128"), state=state, _check=check)
        assert result["mistakes"] == [
            "interfaces[0].addresses: 2001:db8:1::1/64 exists on interface eth7 and is not ours; the kernel can "
            "have it only once. Remove it, or configure it exactly as it is"
        ]
    assert addresses(bare_namespace, "eth7") == {"2001:db8:1::1/64"}


def test_one_ipv6_address_with_two_lengths_is_refused_and_an_ipv4_one_is_not(bare_namespace):
    bare_namespace.cable("eth7")
    result = bare_namespace.module("interfaces", config=interface("2001:db8:1::1/64", "2001:db8:1::1/127"))
    assert "given with two prefix lengths" in result["mistakes"][0]
    both = interface("10.0.0.1/24", "10.0.0.1/32")
    bare_namespace.changed("interfaces", config=both)
    assert addresses(bare_namespace, "eth7", "inet") == {"10.0.0.1/24", "10.0.0.1/32"}
    assert bare_namespace.changed("interfaces", config=both) == []


# Addresses that are not usable yet, or not at all


def test_a_route_waits_for_its_source_to_be_usable(bare_namespace):
    bare_namespace.cable("eth7")
    config = {
        "interfaces": interface("2001:db8:1::1/64"),
        "routes": [{"prefix": "2001:db8:7::/48", "interface": "eth7", "source": "2001:db8:1::1"}],
    }
    bare_namespace.changed("network", config=config)
    [route] = bare_namespace.show("-6 route show 2001:db8:7::/48")
    assert route["prefsrc"] == "2001:db8:1::1"
    assert bare_namespace.changed("network", config=config) == []


def test_a_source_that_never_becomes_usable_is_reported(bare_namespace):
    bare_namespace.cable("eth7", carrier=False)
    config = {
        "interfaces": interface("2001:db8:1::1/64"),
        "routes": [{"prefix": "2001:db8:7::/48", "interface": "eth7", "source": "2001:db8:1::1"}],
    }
    result = bare_namespace.module("network", config=config)
    assert "2001:db8:1::1 is still tentative" in result["msg"]


def test_a_duplicate_address_fails_every_run_until_the_other_is_removed(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.behind.ip("address add 2001:db8:1::1/64 dev eth7 nodad")
    for _run in range(2):
        result = bare_namespace.module("interfaces", config=interface("2001:db8:1::1/64"))
        assert "2001:db8:1::1 is a duplicate: another node on the link has this address" in result["msg"]
    assert bare_namespace.module("interfaces", config=interface("2001:db8:1::1/64"), _check=True)["changed"]
    bare_namespace.behind.ip("address flush dev eth7 scope global")
    bare_namespace.changed("interfaces", config=interface("2001:db8:1::1/64"))
    [link] = bare_namespace.show("address show dev eth7")
    assert not [entry for entry in link["addr_info"] if entry.get("dadfailed") or entry.get("tentative")]
    assert bare_namespace.changed("interfaces", config=interface("2001:db8:1::1/64")) == []


def test_addresses_of_a_link_without_carrier_do_not_delay_a_run(bare_namespace):
    config = []
    for number in range(4):
        bare_namespace.cable(f"eth{number}", carrier=False)
        config += interface(f"2001:db8:{number}::1/64", name=f"eth{number}")
    began = time.monotonic()
    bare_namespace.changed("interfaces", config=config)
    assert time.monotonic() - began < 4 * 5


# Order, and refusals that can be predicted


def test_the_order_of_routes_does_not_matter(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("address add 172.31.1.2/24 dev eth7")
    config = [
        {"prefix": "10.99.0.0/16", "gateway": "172.31.2.1", "interface": "eth7"},
        {"prefix": "2001:db8:99::/48", "gateway": "2001:db8:2::1", "interface": "eth7"},
        {"prefix": "2001:db8:2::1/128", "interface": "eth7"},
        {"prefix": "172.31.2.1/32", "interface": "eth7"},
    ]
    for order in (config, config[::-1]):
        predicted = bare_namespace.changed("routes", config=order, _check=True)
        assert bare_namespace.changed("routes", config=order) == predicted
        assert len(predicted) == 4
        bare_namespace.changed("routes", config=config, state="deleted")


@pytest.mark.parametrize(
    ("prefix", "gateway", "networks"),
    [
        ("0.0.0.0/0", "172.31.1.1", "10.0.0.0/24"),
        ("::/0", "2001:db8:9::1", "2001:db8:1::/64"),
    ],
)
def test_an_unreachable_gateway_is_refused_in_advance_with_the_remedy(bare_namespace, prefix, gateway, networks):
    bare_namespace.cable("eth7")
    bare_namespace.settled()
    config = {
        "interfaces": [
            {"name": "eth7", "addresses": [{"address": "10.0.0.1/24"}, {"address": "2001:db8:1::1/64", "nodad": True}]}
        ],
        "routes": [{"prefix": prefix, "gateway": gateway, "interface": "eth7"}],
    }
    for check in (True, False):
        [mistake] = bare_namespace.module("network", config=config, _check=check)["mistakes"]
        assert mistake.startswith(f"routes[0].gateway: {gateway} is on no network of eth7 (")
        assert mistake.endswith("set onlink: true to use it anyway")
        assert set(networks.split(", ")) <= set(mistake.split("(")[1].split(")")[0].split(", "))
    config["routes"][0]["onlink"] = True
    bare_namespace.changed("network", config=config)
    assert bare_namespace.changed("network", config=config) == []


def test_a_gateway_behind_a_device_route_of_others_is_accepted(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("address add 10.0.0.1/32 dev eth7")
    bare_namespace.ip("route add 172.31.1.1 dev eth7")
    bare_namespace.changed("routes", config=[{"prefix": "0.0.0.0/0", "gateway": "172.31.1.1", "interface": "eth7"}])


def test_a_gateway_that_is_an_address_of_this_host_is_refused(bare_namespace):
    bare_namespace.cable("eth7")
    config = {
        "interfaces": interface("10.0.0.1/24"),
        "routes": [{"prefix": "0.0.0.0/0", "gateway": "10.0.0.1", "interface": "eth7"}],
    }
    [mistake] = bare_namespace.module("network", config=config)["mistakes"]
    assert mistake == "routes[0].gateway: 10.0.0.1 is an address of this host; a gateway is another node"


@pytest.mark.parametrize(
    ("module", "config", "place"),
    [
        ("interfaces", [{"name": "enp7s0f0np0"}], "interfaces[0].name"),
        ("interfaces", [{"name": "enp7s0f0np0", "type": "dummy"}], "interfaces[0].name"),
        ("interfaces", [{"name": "a", "type": "veth", "peer": "enp7s0f0np0"}], "interfaces[0].peer"),
        ("interfaces", [{"name": "a", "type": "vlan", "parent": "enp7s0f0np0", "vlan_id": 7}], "interfaces[0].parent"),
        ("vrfs", [{"name": "enp7s0f0np0", "table": 7}], "vrfs[0].name"),
        ("routes", [{"prefix": "10.7.0.0/24", "interface": "enp7s0f0np0"}], "routes[0].interface"),
        ("proxy_arp", [{"interface": "enp7s0f0np0", "proxy_arp": True}], "proxy_arp[0].interface"),
        ("ipvlan_links", [{"name": "a", "mode": "l2", "master": "enp7s0f0np0"}], "ipvlan_links[0].master"),
        ("ipvlan_links", [{"name": "enp7s0f0np0", "mode": "l2", "master": "eth7"}], "ipvlan_links[0].name"),
    ],
)
def test_an_alternative_name_is_refused_with_the_name_to_use(bare_namespace, module, config, place):
    bare_namespace.cable("eth7")
    bare_namespace.ip("link property add dev eth7 altname enp7s0f0np0")
    for check in (True, False):
        mistakes = bare_namespace.module(module, config=config, _check=check)["mistakes"]
        assert f"{place}: enp7s0f0np0 is an alternative name of eth7; use that" in mistakes


def test_a_route_of_others_is_found_among_many(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("address add 10.0.0.1/24 dev eth7")
    bare_namespace.ip("address add 2001:db8::1/64 dev eth7 nodad")
    routes = [("10.7.0.0/16", "10.0.0.2"), ("0.0.0.0/0", "10.0.0.2"), ("2001:db8:7::/48", "2001:db8::2")]
    for prefix, gateway in [*routes, ("10.7.0.0/24", "10.0.0.2"), ("2001:db8:7::/64", "2001:db8::2")]:
        bare_namespace.ip(f"route add {prefix} via {gateway} proto static")
    config = [{"prefix": prefix, "gateway": gateway} for prefix, gateway in routes]
    mistakes = bare_namespace.module("routes", config=[*config, {"prefix": "10.7.0.0/20", "gateway": "10.0.0.2"}])
    assert sorted(mistakes["mistakes"]) == [
        f"routes[{number}]: route {prefix} in table 254 exists but is not ours (protocol static); delete it first, "
        "give this one another metric, or leave it out"
        for number, (prefix, _gateway) in enumerate(routes)
    ]


# Values that the kernel prints in its own spelling


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("net.ipv4.fib_multipath_hash_fields", "0x0037", "55"),
        ("net.ipv4.conf.all.rp_filter", "02", "2"),
        ("net.ipv4.ip_local_reserved_ports", "8080,4,1-3", "1-4,8080"),
        ("net.ipv4.ip_local_port_range", "040000  60999", "16384 60999"),
    ],
)
def test_a_sysctl_is_compared_by_its_value(bare_namespace, name, value, seen):
    config = [{"name": name, "value": value}]
    assert bare_namespace.changed("sysctls", config=config) == [("sysctls", "change", name)]
    assert " ".join(bare_namespace.sysctl(name.split(".", 1)[1].replace(".", "/")).split()) == seen
    assert bare_namespace.changed("sysctls", config=config) == []


def test_a_sysctl_of_an_interface_is_compared_by_its_value(bare_namespace):
    bare_namespace.cable("eth7")
    config = [{"name": "eth7", "sysctls": {"ipv4": {"rp_filter": "0x2"}, "ipv6": {"accept_ra": "02"}}}]
    bare_namespace.changed("interfaces", config=config)
    assert bare_namespace.changed("interfaces", config=config) == []


# Ownership


@pytest.mark.parametrize("state", ["merged", "replaced"])
def test_an_address_that_expires_is_not_ours(bare_namespace, state):
    bare_namespace.cable("eth7")
    bare_namespace.ip("address add 10.0.5.1/24 dev eth7 valid_lft 3600 preferred_lft 3600")
    assert bare_namespace.changed("interfaces", config=interface("10.0.5.1/24"), state=state) == []
    assert bare_namespace.changed("interfaces", config=interface(), state="replaced") == []
    [link] = bare_namespace.show("address show dev eth7")
    [entry] = [entry for entry in link["addr_info"] if entry["family"] == "inet"]
    assert entry["local"] == "10.0.5.1" and 3000 < entry["valid_life_time"] <= 3600


# Objects of others on our links


def foreign(space):
    """Routes and proxy entries that are neither ours nor the kernel's."""
    routes = [route for family in "46" for route in space.show(f"-{family} route show table all")]
    proxies = [entry for family in "46" for entry in space.show(f"-{family} neighbor show proxy")]
    kept = ("type", "dst", "gateway", "via", "dev", "table", "protocol", "scope", "prefsrc", "metric")
    found = [{key: entry[key] for key in kept if key in entry} for entry in [*routes, *proxies]]
    return sorted((entry for entry in found if entry.get("protocol") not in ("kernel", "82", None)), key=str)


def test_routes_of_others_survive_a_change_of_the_only_address(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.changed("interfaces", config=interface("10.0.0.1/24"))
    bare_namespace.ip("route add default via 10.0.0.254 proto static metric 50")
    bare_namespace.ip("route add 192.0.2.0/24 dev eth7 proto static scope link")
    bare_namespace.ip("route add 198.51.100.0/24 via inet6 fe80::9 dev eth7 proto bird table 77")
    before = foreign(bare_namespace)
    wanted = interface("10.0.0.2/24")
    assert bare_namespace.changed("interfaces", config=wanted, state="overridden") == [("interfaces", "change", "eth7")]
    assert foreign(bare_namespace) == before != []
    assert bare_namespace.changed("interfaces", config=wanted, state="overridden") == []


def test_routes_of_others_that_cannot_be_restored_are_predicted_as_deletions(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.changed("interfaces", config=interface("10.0.0.1/24"))
    bare_namespace.ip("route add 192.0.2.0/24 dev eth7 proto static src 10.0.0.1")
    bare_namespace.ip("route add 198.51.100.0/24 dev eth7 proto static")
    # What a routing daemon has when the run comes is another matter.
    bare_namespace.ip("route add 203.0.113.0/24 dev eth7 proto bird src 10.0.0.1")
    wanted = interface("10.7.0.2/24")
    predicted = bare_namespace.module("interfaces", config=wanted, state="overridden", _check=True, _diff=True)
    result = bare_namespace.module("interfaces", config=wanted, state="overridden", _diff=True)
    assert (result["changes"], result["diff"]) == (predicted["changes"], predicted["diff"])
    lost = [(change["op"], change["name"], change["why"]) for change in result["changes"] if change["kind"] == "routes"]
    why = "is not ours; the kernel drops it because of changes on eth7"
    assert lost == [("delete", "192.0.2.0/24 in table 254", why)]
    assert "192.0.2.0/24" in result["diff"]["before"]
    assert [route["dst"] for route in foreign(bare_namespace)] == ["198.51.100.0/24"]
    assert bare_namespace.changed("interfaces", config=wanted, state="overridden") == []


def test_routes_of_others_survive_on_the_port_of_a_bridge(namespace):
    namespace.cable("eth7")
    namespace.ip("link add br0 type bridge")
    namespace.ip("link set eth7 master br0")
    namespace.changed("interfaces", config=interface("10.0.0.1/24"))
    namespace.ip("route add 192.0.2.0/24 dev eth7 proto static scope link")
    before = foreign(namespace)
    changes = namespace.changed("interfaces", config=interface("10.0.0.2/24"), state="replaced")
    assert [kind for kind, _op, _name in changes] == ["interfaces"]
    assert foreign(namespace) == before != []


def test_routes_and_proxy_entries_of_others_survive_when_a_port_rejoins_its_vrf(namespace):
    namespace.cable("eth7")
    config = {"vrfs": [{"name": "blue", "table": 77}], "interfaces": [{"name": "eth7", "vrf": "blue"}]}
    namespace.changed("network", config=config)
    namespace.ip("link set eth7 nomaster")
    namespace.ip("neighbor add proxy 203.0.113.7 dev eth7 protocol static")
    namespace.ip("neighbor add proxy 2001:db8::7 dev eth7 protocol static")
    before = namespace.ip("neighbor show proxy"), namespace.ip("-6 neighbor show proxy")
    namespace.changed("network", config=config)
    assert (namespace.ip("neighbor show proxy"), namespace.ip("-6 neighbor show proxy")) == before
    assert namespace.changed("network", config=config) == []


# What somebody changed by hand is put back


def test_the_rules_that_send_packets_into_vrfs_are_restored(namespace):
    """The kernel adds them with the first VRF, and never again."""
    config = [{"name": "blue", "table": 77}]
    namespace.changed("vrfs", config=config)
    rules = namespace.show("rule show"), namespace.show("-6 rule show")
    for family in ("-4", "-6"):
        namespace.ip(f"{family} rule del l3mdev priority 1000")
    predicted = namespace.changed("vrfs", config=config, _check=True)
    assert namespace.changed("vrfs", config=config) == predicted != []
    assert (namespace.show("rule show"), namespace.show("-6 rule show")) == rules
    assert namespace.changed("vrfs", config=config) == []


def test_the_spanning_tree_of_a_bridge_of_ours_is_switched_off_again(bare_namespace):
    config = [{"name": "br0", "type": "bridge"}]
    bare_namespace.changed("interfaces", config=config)
    bare_namespace.ip("link set br0 type bridge stp_state 1")
    assert bare_namespace.changed("interfaces", config=config, state="replaced", _check=True) != []
    bare_namespace.changed("interfaces", config=config, state="replaced")
    [bridge] = bare_namespace.show("link show br0")
    assert bridge["linkinfo"]["info_data"]["stp_state"] == 0
    assert bare_namespace.changed("interfaces", config=config, state="replaced") == []


@pytest.mark.parametrize("change", ["link set eth7 mtu 1000", "sysctl"])
def test_ipv6_comes_back_to_a_link_that_has_ipv6_addresses(bare_namespace, change):
    """Below an MTU of 1280 the kernel removes IPv6 from a link, and all its settings."""
    bare_namespace.cable("eth7")
    config = interface("2001:db8:1::1/64", mtu=1500, sysctls={"ipv6": {"accept_ra": "0"}})
    bare_namespace.changed("interfaces", config=config)
    if change == "sysctl":
        bare_namespace.sysctl("ipv6/conf/eth7/disable_ipv6", 1)
    else:
        bare_namespace.ip(change)
    assert addresses(bare_namespace, "eth7") == set()
    predicted = bare_namespace.changed("interfaces", config=config, _check=True)
    assert bare_namespace.changed("interfaces", config=config) == predicted != []
    assert addresses(bare_namespace, "eth7") == {"2001:db8:1::1/64"}
    assert bare_namespace.changed("interfaces", config=config) == []


def test_a_link_local_address_generated_before_ours_is_removed(bare_namespace):
    bare_namespace.cable("eth7")
    until(lambda: "fe80::" in bare_namespace.ip("-6 address show dev eth7"), 10, "the kernel's address")
    config = interface("fe80::1/64", sysctls={"ipv6": {"addr_gen_mode": "1"}})
    for _run in range(2):
        bare_namespace.changed("interfaces", config=config, state="replaced")
    [link] = bare_namespace.show("address show dev eth7")
    assert [entry["local"] for entry in link["addr_info"] if entry["family"] == "inet6"] == ["fe80::1"]


def test_a_port_whose_mac_has_changed_generates_no_address_when_it_joins_its_vrf(bare_namespace):
    """udev gives new links a MAC address of their own, when the kernel may have generated their address already."""
    bare_namespace.cable("eth7")
    until(lambda: "fe80::" in bare_namespace.ip("-6 address show dev eth7"), 10, "the kernel's address")
    bare_namespace.ip("link set eth7 address 02:00:00:00:77:77")
    port = interface("fe80::1/64", sysctls={"ipv6": {"addr_gen_mode": "1"}}, vrf="blue")
    config = {"vrfs": [{"name": "blue", "table": 77}], "interfaces": port}
    predicted = bare_namespace.changed("network", config=config, state="replaced", _check=True)
    assert bare_namespace.changed("network", config=config, state="replaced") == predicted != []
    [link] = bare_namespace.show("address show dev eth7")
    assert [entry["local"] for entry in link["addr_info"] if entry["family"] == "inet6"] == ["fe80::1"]


@pytest.mark.parametrize("usable", [False, True])
@pytest.mark.parametrize("vrf", [None, "blue"])
def test_ours_keeps_the_anycast_address_of_its_subnet_when_a_generated_one_is_removed(namespace, usable, vrf):
    """On a router, whether the kernel has finished duplicate address detection of its own address or not."""
    namespace.sysctl("ipv6/conf/all/forwarding", 1)
    namespace.cable("eth7")
    if usable:
        until(lambda: "tentative" not in namespace.ip("-6 address show dev eth7"), 10, "the kernel's address")
    port = interface("fe80::1/64", sysctls={"ipv6": {"addr_gen_mode": "1", "accept_dad": "0"}}, vrf=vrf)
    config = {"vrfs": [{"name": vrf, "table": 77}] if vrf else [], "interfaces": port}
    namespace.changed("network", config=config, state="replaced")
    command = "-6 route show table all type anycast dev eth7"
    until(lambda: "fe80::" in {route["dst"] for route in namespace.show(command)}, what="the anycast address")


def test_the_address_that_comes_back_with_ipv6_is_removed_in_the_run_that_raises_the_mtu(bare_namespace):
    bare_namespace.cable("eth7")
    config = interface("fe80::1/64", mtu=1500, sysctls={"ipv6": {"addr_gen_mode": "1"}})
    bare_namespace.changed("interfaces", config=config, state="replaced")
    bare_namespace.ip("link set eth7 mtu 1000")
    predicted = bare_namespace.module("interfaces", config=config, state="replaced", _check=True)["changes"]
    assert bare_namespace.module("interfaces", config=config, state="replaced")["changes"] == predicted != []
    [link] = bare_namespace.show("address show dev eth7")
    assert [entry["local"] for entry in link["addr_info"] if entry["family"] == "inet6"] == ["fe80::1"]
    assert bare_namespace.changed("interfaces", config=config, state="replaced") == []


# Reading loses nothing


def test_an_ipv4_route_is_shown_with_its_ipv6_gateway(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("route add 10.9.0.0/24 via inet6 fe80::9 dev eth7")
    routes = bare_namespace.module("routes", state="gathered")["gathered"]
    [route] = [route for route in routes if route["prefix"] == "10.9.0.0/24"]
    assert route["nexthops"] == [{"weight": 1, "gateway": "fe80::9", "interface": "eth7"}]
    assert "incomplete" not in route


def test_a_rule_with_attributes_that_we_do_not_show_is_marked_incomplete(bare_namespace):
    bare_namespace.ip("rule add ipproto tcp dport 179 uidrange 1-2 table 90 priority 700")
    rules = bare_namespace.module("rules", state="gathered")["gathered"]
    [rule] = [rule for rule in rules if rule["priority"] == 700]
    assert set(rule["incomplete"]) >= {"FRA_DPORT_RANGE", "FRA_IP_PROTO", "FRA_UID_RANGE"}
