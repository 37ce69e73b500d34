"""Container networks of runtimes: how prefixes are divided, what is refused, and what is resolved."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import itertools
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.intent_samples import changed, containers, mistakes_in, only_mistake_in

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.runtimes import RUNTIMES
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

QUAY, PIER = "hypervisors.quay.container_networks", "hypervisors.pier.container_networks"
ALL = ("container_networks.own.runtimes", list(RUNTIMES))
SPAN = ("container_networks.span.runtimes", ["docker"])
GATEWAY = ("container_networks.span.gateway6", "2001:db8:20::fe")
SPAN_POOLS = ((f"{QUAY}.span.pools.docker", "10.20.0.32/27"), (f"{PIER}.span.pools.docker", "10.20.0.64/27"))
DHCP = (("container_networks.flat.runtimes", ["cni"]), ("container_networks.flat.ipam", "dhcp"))


def chain(*plugins):
    return ("container_networks.own.chain", list(plugins))


def sample() -> dict:
    """A container of the sample would be in the pool of CNI."""
    return changed((f"{QUAY}.own.containers.q2.ipv4", "10.21.1.20"), start=containers)


def edited(*changes):
    return changed(*changes, start=sample)


def resolved(*changes):
    mistakes = Mistakes()
    intent = check(edited(*changes), mistakes)
    assert not mistakes, mistakes.lines()
    return inventory(intent, owner="/somewhere").host_vars


ONE_MISTAKE = {
    "an unknown runtime": ([("container_networks.own.runtimes", ["rkt"])], "container_networks.own.runtimes[0]: 'rkt' is not known; cni, podman, docker"),
    "no part of a prefix that spans hosts": ([SPAN, GATEWAY, SPAN_POOLS[0]], f"{PIER}.span.pools.docker: missing, and 10.20.0.0/24 is not this host's alone; a prefix in 10.20.0.0/24 from which docker on pier takes addresses"),
    "a pool outside the prefix": ([ALL, (f"{QUAY}.own.pools.cni", "10.9.0.0/26")], f"{QUAY}.own.pools.cni: 10.9.0.0/26 is not in 10.21.1.0/24; a part of 10.21.1.0/24"),
    "a pool larger than the prefix": ([ALL, (f"{QUAY}.own.pools.cni", "10.21.0.0/16")], f"{QUAY}.own.pools.cni: 10.21.0.0/16 is not in 10.21.1.0/24"),
    "a pool of another family": ([ALL, (f"{PIER}.own.pools.cni", "2001:db8::/120")], f"{PIER}.own.pools.cni: own has no ipv6 prefix here; a prefix in 10.21.2.0/24"),
    "a pool that the other family has no room for": ([ALL, (f"{QUAY}.own.pools.cni", "2001:db8:21:1::1:0/112")], f"{QUAY}.own.pools.cni: 10.21.1.0/24 has not as many addresses as the host numbers of 2001:db8:21:1::1:0/112 need"),
    "a pool of the network's address": ([ALL, (f"{QUAY}.own.pools.cni", "10.21.1.0/32")], f"{QUAY}.own.pools.cni: 10.21.1.0/32 has no address for a container"),
    "a pool with the gateway": ([ALL, (f"{QUAY}.own.pools.cni", "10.21.1.0/28")], f"{QUAY}.own.pools.cni: the containers' gateway 10.21.1.1 is in 10.21.1.0/28; a part of 10.21.1.0/24 without it"),
    "a pool of a runtime that the network lacks": ([("container_networks.own.runtimes", ["cni"]), (f"{QUAY}.own.pools.docker", "10.21.1.192/26")], f"{QUAY}.own.pools.docker: docker is not among the runtimes of own on quay"),
    "pools of two runtimes overlap": ([ALL, (f"{PIER}.own.pools.cni", "10.21.2.32/27"), (f"{PIER}.own.pools.podman", "10.21.2.48/28")], f"{PIER}.own.pools.podman: 10.21.2.48/28 overlaps 10.21.2.32/27, which cni has in {PIER}.own.pools.cni"),
    "a pool in another runtime's quarter": ([ALL, (f"{PIER}.own.pools.cni", "10.21.2.240/28")], f"{PIER}.own.pools.cni: 10.21.2.240/28 overlaps 10.21.2.192/26, which docker has in {PIER}.own; a part that no other runtime has"),
    "pools of two hosts overlap": ([SPAN, GATEWAY, SPAN_POOLS[0], (f"{PIER}.span.pools.docker", "10.20.0.48/28")], f"{PIER}.span.pools.docker: 10.20.0.48/28 overlaps 10.20.0.32/27, which docker has in {QUAY}.span.pools.docker"),
    "a container's address in a pool": ([ALL, (f"{QUAY}.own.containers.q2.ipv4", "10.21.1.130")], f"{QUAY}.own.containers.q2.ipv4: 10.21.1.130 is one of those that podman gives to its containers ({QUAY}.own); another address, or another pool there"),
    "an IPv6 address in a pool": ([ALL, (f"{QUAY}.own.containers.q2", {"ipv4": "10.21.1.20", "ipv6": "2001:db8:21:1::41"})], f"{QUAY}.own.containers.q2.ipv6: 2001:db8:21:1::41 is one of those that cni gives"),
    "a container of another host in a pool": ([SPAN, GATEWAY, SPAN_POOLS[1], (f"{QUAY}.span.pools.docker", "10.20.0.8/29")], f"{QUAY}.span.containers.q4.ipv4: 10.20.0.9 is one of those that docker gives to its containers ({QUAY}.span.pools.docker)"),
    "the host's address in a pool": ([("container_networks.flat.runtimes", ["cni"]), (f"{QUAY}.flat.pools.cni", "10.4.0.0/31")], "hypervisors.quay.id: 10.4.0.1 is one of those that cni gives"),
    "a prefix too small for quarters": ([ALL, (f"{PIER}.own", {"ipv4": "10.21.2.0/29", "pools": {"podman": "10.21.2.2/31", "docker": "10.21.2.4/31"}})], f"{PIER}.own.pools.cni: missing, and 10.21.2.0/29 is too small for 4 parts; a prefix in 10.21.2.0/29, or a host's prefix of 16 addresses or more"),
    "no address left for the intent's containers": ([ALL, (f"{PIER}.own", {"ipv4": "10.21.2.0/28", "containers": {"p1": {}, "p2": {}, "p9": {}}})], f"{PIER}.own.containers.p9: no address is left in 10.21.2.0/28"),
    "a flag": ([("container_networks.deep.runtimes", ["cni"]), ("container_networks.deep.flag", "private")], "container_networks.deep.flag: private is not supported by CNI plugins: containers would reach each other; bridge, or no runtimes"),
    "an MTU that docker ignores": ([("container_networks.deep.runtimes", ["docker"]), ("container_networks.deep.mtu", 1400)], "container_networks.deep.mtu: docker gives its containers the MTU of the interface that their links are on; leave it out, or leave out fabric and interface"),
    "a link-local gateway for docker": ([SPAN, *SPAN_POOLS], "container_networks.span.gateway6: docker requires a gateway in the network's own prefix, not fe80::1; an address in 2001:db8:20::/64"),
    "two networks of docker on one interface": ([("container_networks.deep.runtimes", ["docker"]), ("container_networks.more", {"vrf": "main", "mode": "l3", "fabric": "east", "runtimes": ["docker"]}), (f"{QUAY}.more", {"ipv4": "10.23.1.0/24"})], f"{QUAY}.more: docker has one network per parent interface, and has deep there"),
    "two networks with a fabric's prefix": ([("container_networks.flat.runtimes", ["cni"]), (f"{QUAY}.flat.pools.cni", "10.4.0.64/26"), ("container_networks.more", {"vrf": "blue", "fabric": "west", "runtimes": ["cni"]}), (f"{QUAY}.more.pools.cni", "10.4.0.128/26")], f"{QUAY}.more: {QUAY}.flat has the same ipv4 prefix (10.4.0.0/24) on the same uplink; one network for both"),
    "an MTU above the master's": ([("container_networks.deep.runtimes", ["cni"]), ("container_networks.deep.mtu", 1400), ("fabrics.east.mtu", 1300)], "container_networks.deep.mtu: 1400 is more than fabrics.east.mtu (1300); 1300 or less"),
    "two networks with one prefix": ([("container_networks.deep.runtimes", ["cni"]), ("container_networks.more", {"vrf": "main", "mode": "l3", "fabric": "east", "runtimes": ["cni"]}), (f"{QUAY}.more", {"ipv4": "10.22.1.0/24"})], f"{QUAY}.more.ipv4: 10.22.1.0/24 overlaps {QUAY}.deep.ipv4 (10.22.1.0/24); choose a prefix that nothing else uses"),
    "a plugin whose CHECK fails": ([ALL, chain({"plugin": "sbr"})], "container_networks.own.chain[0].plugin: sbr does not work here: its CHECK fails on ipvlan links; remove it"),
    "a plugin that takes the default route": ([ALL, chain({"plugin": "firewall"}, {"plugin": "vrf"})], "container_networks.own.chain[1].plugin: vrf does not work here: before version 1.4"),
    "a plugin for veth links": ([ALL, chain({"plugin": "bandwidth"})], "container_networks.own.chain[0].plugin: bandwidth does not work here: it refuses links"),
    "an unknown plugin": ([ALL, chain({"plugin": "portmap"})], "container_networks.own.chain[0].plugin: 'portmap' is not known; tuning, firewall"),
    "a plugin twice": ([ALL, chain({"plugin": "firewall"}, {"plugin": "firewall"})], "container_networks.own.chain[1].plugin: firewall is in the chain already; each once"),
    "nothing to tune": ([ALL, chain({"plugin": "tuning"})], "container_networks.own.chain[0].sysctl: missing; what tuning is to set"),
    "sysctls of another plugin": ([ALL, chain({"plugin": "firewall", "sysctl": {"net.core.somaxconn": "9"}})], "container_networks.own.chain[0].sysctl: firewall sets no sysctls; remove it"),
    "a sysctl of the machine": ([ALL, chain({"plugin": "tuning", "sysctl": {"kernel.panic": "9"}})], "container_networks.own.chain[0].sysctl.kernel.panic: 'kernel.panic' is not a sysctl of a network namespace; for instance"),
    "plugins for docker": ([("container_networks.own.runtimes", ["docker"]), chain({"plugin": "firewall"})], "container_networks.own.chain: plugins are for cni and podman; add one of them"),
    "DHCP in l3": ([("container_networks.deep.runtimes", ["cni"]), ("container_networks.deep.ipam", "dhcp")], "container_networks.deep.ipam: in mode l3 no broadcast of a DHCP server reaches a container; mode l2, or no dhcp"),
    "DHCP on a dummy": ([("container_networks.own.runtimes", ["cni"]), ("container_networks.own.ipam", "dhcp")], "container_networks.own.ipam: its server would have to be on the host, which is the router of its own prefixes; a fabric"),
    "DHCP for docker": ([("container_networks.flat.runtimes", ["cni", "docker"]), ("container_networks.flat.ipam", "dhcp")], "container_networks.flat.ipam: docker cannot use it here; only cni"),
    "DHCP without runtimes": ([("container_networks.flat.ipam", "dhcp")], "container_networks.flat.ipam: it is about containers of runtimes, and the network has none; add runtimes: [cni]"),
    "DHCP with a pool": ([*DHCP, (f"{QUAY}.flat.pools.cni", "10.4.0.64/26")], f"{QUAY}.flat.pools.cni: the DHCP server decides about addresses; remove it"),
    "an unknown way to addresses": ([("container_networks.flat.ipam", "static")], "container_networks.flat.ipam: 'static' is not known; pools, dhcp"),
    "two modes on a master": ([("container_networks.more", {"vrf": "main", "fabric": "east", "runtimes": ["cni"]}), (f"{QUAY}.more", {"ipv4": "10.23.1.0/24"})], f"{QUAY}.more: mode l2 on fabric east, where container_networks.deep has l3"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_MISTAKE)
def test_one_mistake_is_one_line_without_consequences(case):
    changes, expected = ONE_MISTAKE[case]
    found = only_mistake_in(edited(*changes))
    assert found.startswith(expected), found


@pytest.mark.parametrize(
    ("name", "runtime"), [("bridge", "docker"), ("ingress", "docker"), ("podman", "podman"), ("pasta", "podman")]
)
def test_a_name_that_means_something_else_to_a_runtime_is_refused(name, runtime):
    data = edited(
        (f"container_networks.{name}", {"vrf": "blue", "runtimes": [runtime]}),
        (f"{PIER}.{name}", {"ipv4": "10.23.2.0/24"}),
    )
    assert only_mistake_in(data).startswith(f"container_networks.{name}: {name} means something else to {runtime}")


def test_mistakes_of_several_networks_are_reported_together():
    found = mistakes_in(
        edited(
            ALL,
            SPAN,
            SPAN_POOLS[0],
            ("container_networks.own.flag", "private"),
            ("container_networks.deep.runtimes", ["cni"]),
            ("container_networks.deep.mtu", 9000),
            ("container_networks.more", {"vrf": "main", "fabric": "east", "runtimes": ["cni"]}),
            (f"{QUAY}.more.ipv4", "10.22.1.0/24"),
            (f"{QUAY}.own.pools.cni", "10.9.0.0/26"),
            (f"{QUAY}.own.containers.q2.ipv4", "10.21.1.130"),
        )
    )
    assert {line.partition(":")[0] for line in found} == {
        "container_networks.own.flag",
        "container_networks.span.gateway6",
        "container_networks.deep.mtu",
        f"{QUAY}.more",
        f"{QUAY}.more.ipv4",
        f"{QUAY}.own.pools.cni",
        f"{QUAY}.own.containers.q2.ipv4",
        f"{PIER}.span.pools.docker",
    }


def test_a_host_prefix_has_a_quarter_for_each_runtime_in_both_families():
    quay = resolved(ALL)["quay"]
    (own,) = quay["cni"]["networks"]
    # Podman reads the files of CNI: the same network has the addresses of both.
    assert [(each["first"], each["last"]) for each in own["ranges"][0]] == [
        ("10.21.1.64", "10.21.1.127"),
        ("10.21.1.128", "10.21.1.191"),
    ]
    assert [each["first"] for each in own["ranges"][1]] == ["2001:db8:21:1::40", "2001:db8:21:1::80"]
    assert quay["podman"] == {"networks": ["own"]}
    (network,) = quay["docker"]["networks"]
    assert network["subnets"] == [
        {"subnet": "10.21.1.0/24", "range": "10.21.1.192/26", "gateway": "10.21.1.1"},
        {"subnet": "2001:db8:21:1::/64", "range": "2001:db8:21:1::c0/122", "gateway": "2001:db8:21:1::1"},
    ]
    assert (network["parent"], network["mode"]) == ("own", "l2")


def test_the_last_range_ends_before_the_broadcast_address():
    (own,) = resolved(ALL, (f"{PIER}.own.pools", {"cni": "10.21.2.224/27", "docker": "10.21.2.208/28"}))["pier"]["cni"][
        "networks"
    ]
    assert own["ranges"][0][0]["last"] == "10.21.2.254"


def test_the_containers_of_the_intent_stay_when_runtimes_are_added():
    def given_to(*names):
        links = resolved(("container_networks.own.runtimes", list(names)))["quay"]["network"]["ipvlan_links"]
        return {link["namespace"]: link["addresses"] for link in links if "namespace" in link}

    before = given_to("docker")
    assert before == given_to("cni", "docker") == given_to(*RUNTIMES)
    assert int(before["q1"][0]["address"].split("/")[0].rpartition(".")[2]) < 64


def test_hosts_reach_their_runtimes_containers_by_a_route_to_the_pool():
    hosts = resolved(("bgp.daemon", "bird"), ("container_networks.own.runtimes", ["cni"]))
    routes = hosts["quay"]["network"]["routes"]
    for table in (1001, 254):
        assert {"prefix": "10.21.1.64/26", "table": table, "interface": "host-own"} in routes
        assert {"prefix": "2001:db8:21:1::40/122", "table": table, "interface": "host-own"} in routes


def test_the_routing_manager_follows_the_containers_instead():
    routes = resolved(SPAN, GATEWAY, *SPAN_POOLS)["quay"]["network"]["routes"]
    tables = {route["table"] for route in routes if route["prefix"] == "10.20.0.32/27"}
    assert tables == {254}, "of another VRF, for the host's own use"


def test_a_host_has_a_link_among_the_containers_of_runtimes():
    def links(*changes):
        return [link["name"] for link in resolved(*changes)["quay"]["network"]["ipvlan_links"]]

    assert "host-deep" not in links()
    assert "host-deep" in links(("container_networks.deep.runtimes", ["docker"]))
    assert "host-deep" not in links(
        ("container_networks.deep.runtimes", ["docker"]), ("container_networks.deep.host_link", False)
    )


def test_a_network_with_dhcp_leaves_addresses_and_routes_to_its_server():
    (flat,) = resolved(*DHCP)["quay"]["cni"]["networks"]
    assert (flat["dhcp"], flat["ranges"], flat["routes"], flat["master"]) == (True, [], [], "fabric-west.301")


def test_containers_in_l3_have_routes_without_a_gateway():
    hosts = resolved(("container_networks.deep.runtimes", ["cni"]))
    (deep,) = hosts["quay"]["cni"]["networks"]
    assert (deep["master"], deep["routes"]) == ("fabric-east", [{"prefix": "0.0.0.0/0", "gateway": None}])


def test_a_host_may_have_other_runtimes_than_the_rest():
    hosts = resolved(("container_networks.own.runtimes", ["cni"]), (f"{PIER}.own.runtimes", []))
    assert [len(hosts[host]["cni"]["networks"]) for host in ("quay", "pier")] == [1, 0]


@given(
    st.lists(st.from_regex(r"c[a-z0-9]{1,6}", fullmatch=True), max_size=12, unique=True),
    st.sets(st.sampled_from(RUNTIMES), min_size=1),
    st.integers(24, 27),
)
def test_no_two_users_of_a_prefix_share_an_address(names, runtimes, length):
    prefix = f"10.21.1.0/{length}"
    part = {"ipv4": prefix, "containers": {name: {} for name in names}}
    mistakes = Mistakes()
    intent = check(edited(("container_networks.own.runtimes", sorted(runtimes)), (f"{QUAY}.own", part)), mistakes)
    if intent is None:  # the first quarter has no room for so many
        assert all("no address is left" in line for line in mistakes.lines())
        return
    made = intent.hypervisors["quay"].parts["own"]
    pools = [ip_network(str(pool.prefix["ipv4"])) for pool in made.pools.values()]
    assert len(pools) == len(runtimes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(pools, 2))
    used = [ip_address(str(one.address["ipv4"])) for one in made.containers]
    assert len(set(used)) == len(used)
    assert not any(address in pool for address in (*used, ip_address("10.21.1.1")) for pool in pools)
