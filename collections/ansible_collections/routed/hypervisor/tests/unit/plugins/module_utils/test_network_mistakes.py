"""Bad input to the kernel modules: every mistake is reported with its place. No kernel."""

from __future__ import annotations

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._network.network import parse

VLAN = {"name": "v", "type": "vlan", "parent": "p", "vlan_id": 5}
HOST = {"prefix": "10.0.0.0/8", "gateway": "192.0.2.1"}
SLAVE = {"name": "s", "master": "m", "mode": "l2"}
MISTAKES = [
    ("vrfs", {"name": "x", "tabel": 5, "table": 5}, "vrfs[0].tabel: no such option; valid options are name, table,"),
    ("vrfs", {"name": "x" * 16, "table": 5}, "vrfs[0].name: 'xxxxxxxxxxxxxxxx' has 16 characters"),
    ("vrfs", {"name": "x", "table": 254}, "vrfs[0].table: 254 is the kernel's table 'main'"),
    ("vrfs", {"name": "x", "table": 0}, "vrfs[0].table: 0 is out of range 1..4294967295"),
    ("vrfs", {"name": "x"}, "vrfs[0]: table is missing"),
    ("vrfs", "x", "vrfs[0]: must be a dictionary, not 'x'"),
    ("interfaces", {"name": "a/b"}, "interfaces[0].name: 'a/b' is not an interface name"),
    ("interfaces", {}, "interfaces[0]: name is missing"),
    ("interfaces", {**VLAN, "vlan_id": 5000}, "interfaces[0].vlan_id: 5000 is out of range 1..4094"),
    ("interfaces", {**VLAN, "parent": "v"}, "interfaces[0].parent: v cannot be its own parent"),
    ("interfaces", {"name": "v", "type": "vlan", "vlan_id": 5}, "interfaces[0]: parent is missing (type is vlan)"),
    ("interfaces", {"name": "v", "vlan_id": 5}, "interfaces[0].vlan_id: is only for type vlan"),
    ("interfaces", {"name": "v", "type": "ipvlan"}, "interfaces[0].type: must be one of bridge, dummy, veth, vlan"),
    ("interfaces", {"name": "v", "vrf": "a", "bridge": "b"}, "interfaces[0]: vrf and bridge are mutually exclusive"),
    ("interfaces", {"name": "v", "mtu": "big"}, "interfaces[0].mtu: must be a whole number, not 'big'"),
    ("interfaces", {"name": "v", "mtu": 66000}, "interfaces[0].mtu: 66000 is out of range 68..65535"),
    ("interfaces", {"name": "v", "mac": "01:00:5e:00:00:01"}, "interfaces[0].mac: '01:00:5e:00:00:01' is a group"),
    ("interfaces", {"name": "v", "addresses": [{"address": "10.0.0.1/33"}]}, "interfaces[0].addresses[0].address: "),
    ("interfaces", {"name": "v", "mtu": 1000, "addresses": [{"address": "fe80::1/64"}]}, "needs an MTU of 1280"),
    (
        "interfaces",
        {"name": "v", "addresses": [{"address": "ff02::1/64"}]},
        "ff02::1 is multicast (ff00::/8); an interf",
    ),
    (
        "interfaces",
        {"name": "v", "addresses": [{"address": "0.0.0.0/8"}]},
        "0.0.0.0 is unspecified; an interface needs",
    ),
    ("interfaces", {"name": "v", "addresses": [{"address": "255.255.255.255/32"}]}, "255.255.255.255 is broadcast; an"),
    (
        "routes",
        {**HOST, "gateway": "224.0.0.1"},
        "routes[0].gateway: 224.0.0.1 is multicast (224.0.0.0/4); a gateway is",
    ),
    (
        "routes",
        {**HOST, "gateway": "127.0.0.1"},
        "routes[0].gateway: 127.0.0.1 is loopback (127.0.0.0/8); a gateway is",
    ),
    ("routes", {"prefix": "2001:db8::/32", "gateway": "::"}, "routes[0].gateway: :: is unspecified; a gateway is the"),
    ("interfaces", {"name": "v", "sysctls": {"ipv4": {"../x": 1}}}, "'../x' is not a sysctl name"),
    (
        "routes",
        {**HOST, "prefix": "10.0.0.1/8"},
        "routes[0].prefix: '10.0.0.1/8' has bits set after the prefix length;",
    ),
    ("routes", {**HOST, "prefix": "10.0.0.1/8"}, "the prefix is 10.0.0.0/8"),
    ("routes", {**HOST, "prefix": "default"}, "routes[0]: a default route needs a family"),
    ("routes", {**HOST, "gateway": "fe80::1"}, "routes[0].gateway: fe80::1 is not an IPv4 address"),
    ("routes", {**HOST, "metric": 2**32}, "routes[0].metric: 4294967296 is out of range 0..4294967295"),
    ("routes", {**HOST, "type": "blackhole"}, "a route of type blackhole has no gateway"),
    ("routes", {**HOST, "vrf": "a", "table": 7}, "routes[0]: vrf and table are mutually exclusive"),
    ("routes", {**HOST, "nexthops": [{"gateway": "192.0.2.2"}]}, "nexthops and gateway are mutually exclusive"),
    ("routes", {"prefix": "10.0.0.0/8"}, "routes[0]: needs a gateway, an interface or nexthops"),
    ("routes", {"prefix": "2001:db8::/64", "gateway": "fe80::1"}, "is a link-local address and needs an interface"),
    ("namespaces", {"name": "a/b"}, "namespaces[0].name: 'a/b' is not a namespace name"),
    ("namespaces", {"name": ".."}, "namespaces[0].name: '..' is not a namespace name"),
    ("ipvlan_links", {"name": "s", "mode": "l2"}, "ipvlan_links[0]: master is missing"),
    ("ipvlan_links", {**SLAVE, "mode": "l4"}, "ipvlan_links[0].mode: must be one of l2, l3, l3s, not 'l4'"),
    ("ipvlan_links", {**SLAVE, "flag": "public"}, "ipvlan_links[0].flag: must be one of bridge, private, vepa, not"),
    ("ipvlan_links", {**SLAVE, "master": "s"}, "ipvlan_links[0].master: s cannot be its own master"),
    (
        "ipvlan_links",
        {**SLAVE, "namespace": "c", "pid": 1},
        "ipvlan_links[0]: namespace and pid are mutually",
    ),
    ("ipvlan_links", {**SLAVE, "namespace": "a/b"}, "ipvlan_links[0].namespace: 'a/b' is not a namespace name"),
    ("ipvlan_links", {**SLAVE, "pid": -1}, "ipvlan_links[0].pid: -1 is not a process ID"),
    ("ipvlan_links", {**SLAVE, "pid": 1, "vrf": "a"}, "ipvlan_links[0].vrf: is only for links in the host's own"),
    ("ipvlan_links", {**SLAVE, "mtu": 60}, "ipvlan_links[0].mtu: 60 is out of range 68..65535"),
    (
        "ipvlan_links",
        {**SLAVE, "routes": [{"prefix": "::/0"}]},
        "ipvlan_links[0].routes: are only for links in",
    ),
    (
        "ipvlan_links",
        {**SLAVE, "namespace": "c", "routes": [{"prefix": "::/0", "gateway": "10.0.0.1"}]},
        "ipvlan_links[0].routes[0].gateway: 10.0.0.1 is not an IPv6 address",
    ),
    (
        "ipvlan_links",
        {**SLAVE, "namespace": "c", "routes": [{"prefix": "::/0"}, {"prefix": "0::/0"}]},
        "ipvlan_links[0].routes[1].prefix: ::/0 is given twice",
    ),
    (
        "ipvlan_links",
        {**SLAVE, "namespace": "c", "state": "down", "routes": [{"prefix": "::/0"}]},
        "ipvlan_links[0].routes: the kernel accepts no route through a link that is down",
    ),
    ("rules", {"priority": 5, "table": 7}, "rules[0]: needs a family, or a from or to that implies it"),
    ("rules", {"priority": 5, "from": "10.0.0.0/8", "to": "::/0", "table": 7}, "rules[0]: mixes IPv4 and IPv6"),
    ("rules", {"priority": 5, "family": "ipv4"}, "rules[0]: needs one of table, vrf and l3mdev"),
    ("rules", {"priority": 5, "family": "ipv4", "table": 7, "fwmark": "x"}, "rules[0].fwmark: 'x' is not a mark"),
    ("proxy_arp", {"interface": "p", "delay": -1}, "proxy_arp[0].delay: -1 is out of range"),
    ("proxy_arp", {"interface": "p", "entries": ["10.0.0.0/8"]}, "proxy_arp[0].entries[0]: '10.0.0.0/8' is not an"),
    ("sysctls", {"name": "kernel.panic", "value": 1}, "sysctls[0].name: 'kernel.panic' is not a sysctl below net"),
    ("sysctls", {"name": "net.ipv4.ip_forward"}, "sysctls[0]: value is missing"),
]


@pytest.mark.parametrize(("kind", "entry", "expected"), MISTAKES)
def test_a_mistake_is_reported_with_its_place(kind, entry, expected):
    _wanted, mistakes = parse({kind: [entry]}, "merged")
    assert any(expected in text for text in mistakes), mistakes


def test_all_mistakes_are_reported_together():
    config = {}
    for kind, entry, _expected in MISTAKES:
        config.setdefault(kind, []).append(entry)
    _wanted, mistakes = parse(config, "merged")
    assert len(mistakes) >= len(MISTAKES) - 1


def test_the_same_object_twice_is_a_mistake_however_it_is_spelled():
    routes = [
        {"prefix": "2001:DB8::/64", "interface": "p"},
        {"prefix": "2001:db8:0::/64", "interface": "q", "metric": 0},
    ]
    _wanted, [mistake] = parse({"routes": routes}, "merged")
    assert mistake == "routes[1]: 2001:db8::/64 in table 254 is also given at routes[0]"


def test_a_link_is_identified_by_its_namespace_and_name():
    links = [{**SLAVE, "namespace": "c1"}, {**SLAVE, "namespace": "c2"}, {**SLAVE, "namespace": "/run/netns/c1"}]
    _wanted, [mistake] = parse({"ipvlan_links": links}, "merged")
    assert mistake == "ipvlan_links[2]: s in c1 is also given at ipvlan_links[0]"
    assert parse({"ipvlan_links": [{"name": "s", "namespace": "c1"}]}, "deleted")[1] == []


def test_a_sysctl_cannot_be_deleted():
    _wanted, [mistake] = parse({"sysctls": [{"name": "net.ipv4.ip_forward"}]}, "deleted")
    assert "cannot be deleted" in mistake


def test_an_unknown_kind_is_a_mistake():
    assert parse({"routs": []}, "merged")[1] == [
        "routs: no such kind; the kinds are sysctls, vrfs, namespaces, interfaces, ipvlan_links, proxy_arp, routes, "
        "rules"
    ]


def test_values_are_normalised():
    wanted, mistakes = parse(
        {
            "interfaces": [
                {
                    "name": "v",
                    "mac": "02-00-AB-00-00-01",
                    "addresses": [{"address": "2001:DB8::0001/64"}, {"address": "10.0.0.1"}],
                    "sysctls": {"ipv4": {"forwarding": True, "rp_filter": " 1 "}},
                }
            ],
            "sysctls": [{"name": "net/ipv4/conf/a.5/forwarding", "value": "1  2"}],
        },
        "merged",
    )
    assert not mistakes
    given = wanted["interfaces"][0].attributes
    assert given["mac"] == "02:00:ab:00:00:01"
    assert list(given["addresses"]) == ["2001:db8::1/64", "10.0.0.1/32"]
    assert given["sysctls"] == {"ipv4.forwarding": "1", "ipv4.rp_filter": "1"}
    assert (wanted["sysctls"][0].key, wanted["sysctls"][0].attributes) == ("ipv4/conf/a.5/forwarding", {"value": "1 2"})


def test_entries_with_mistakes_and_those_that_refer_to_them_are_left_out():
    config = {
        "vrfs": [{"name": "blue", "table": 0}, {"name": "green", "table": 7}],
        "interfaces": [{"name": "p", "vrf": "blue"}, {**VLAN, "name": "p.5"}, {"name": "q", "vrf": "green"}],
        "routes": [{**HOST, "interface": "p.5"}, {**HOST, "prefix": "10.0.0.0/9", "interface": "q"}],
        "ipvlan_links": [{**SLAVE, "name": "q", "namespace": "c1", "mtu": 1}],
    }
    wanted, mistakes = parse(config, "merged")
    assert [text.split(": ")[0] for text in mistakes] == ["vrfs[0].table", "ipvlan_links[0].mtu"]
    places = {name: [item.place for item in items] for name, items in wanted.items()}
    assert places == {"vrfs": ["vrfs[1]"], "interfaces": ["interfaces[2]"], "routes": ["routes[1]"], "ipvlan_links": []}
    assert mistakes.left_out == {"blue", "p", "p.5"}
    assert mistakes.networks_unknown


def test_only_entries_that_may_lead_to_a_gateway_make_the_networks_unknown():
    assert not parse({"routes": [{**HOST, "prefix": "10.0.0.1/8"}]}, "merged")[1].networks_unknown
    assert parse({"routes": [{"prefix": "10.0.0.1/8", "interface": "p"}]}, "merged")[1].networks_unknown
