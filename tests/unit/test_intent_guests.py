"""Guests that may run on any hypervisor: what is refused, and the table that hypervisors get."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import pytest
import yaml
from support.intent_samples import REMOVE, changed, mistakes_in, only_mistake_in, other
from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.module_utils._verify.kernel import verify_route
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.fabric import resolve
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.index import index
from ansible_collections.routed.hypervisor.plugins.plugin_utils.verify.fabric import expectations

WEB1 = {"ipv4": "203.0.113.11", "mac": "52:54:00:12:34:01", "port": "tap-web1"}
WEB2 = {"ipv4": "203.0.113.12", "mac": "52:54:00:12:34:02"}

WEB3 = {"ipv4": "203.0.113.13", "mac": "52:54:00:12:34:03"}


def with_guests(*changes, **guests):
    return changed(("guests", {"web1": WEB1, "web2": WEB2, **guests}), *changes)


def behind_leaves(daemon):
    """Two hosts, and two leaves in another autonomous system."""
    data = yaml.safe_load((PROJECT / "inventories/contiv_leaf/fabric.yml").read_text())
    data["bgp"]["daemon"] = daemon
    data["segments"] = {"guests": {"vrf": "main", "ipv4": "203.0.113.0/24", "gateway4": "203.0.113.254"}}
    data["guests"] = {"moves": {"ipv4": "203.0.113.9", "port": "tap9"}}
    for host in data["hypervisors"].values():
        del host["container_networks"]
    del data["container_networks"]
    return data


def relayed(*changes):
    """The requests of guests are relayed to a server in the outside world."""
    public = {"ipv4": "198.51.101.0/24", "interface": "lo-public"}
    return changed(("segments.guests.dhcp", {"relay": ["192.0.2.53"]}), ("loopbacks.public", public), *changes)


REFUSED = {
    "ndppd on ports that come and go": (
        with_guests(("segments.guests.ndp", "ndppd")),
        "segments.guests.ndp: ndppd does not run without one of its ports, and the ports of guests under guests come and go; leave it out; hypervisors.NAME.ndp is for guests under a hypervisor",
    ),
    "neither MAC nor port": (
        with_guests(web3={"ipv4": "203.0.113.13"}),
        "guests.web3: has neither mac nor port; give it one of them",
    ),
    "MAC of another": (
        with_guests(web3={**WEB1, "ipv4": "203.0.113.13", "port": "tap3"}),
        "guests.web3.mac: the MAC 52:54:00:12:34:01 is also given to guests.web1.mac; each guest needs its own",
    ),
    "MAC of a hypervisor's guest": (
        with_guests(web3={"ipv4": "203.0.113.13", "mac": "02:00:cb:00:71:01"}),
        "guests.web3.mac: the MAC 02:00:cb:00:71:01 is also given to hypervisors.hv1.guests.vm1",
    ),
    "port of another": (
        with_guests(web3={"ipv4": "203.0.113.13", "port": "tap-web1"}),
        "guests.web3.port: the interface name tap-web1 is also given to guests.web1.port",
    ),
    "port of a hypervisor's guest": (
        with_guests(web3={"ipv4": "203.0.113.13", "port": "vm3"}),
        "guests.web3.port: the interface name vm3 is also given to hypervisors.hv2.guests.vm3",
    ),
    "port that is an uplink": (
        with_guests(web3={"ipv4": "203.0.113.13", "port": "fabric-A"}),
        "guests.web3.port: the interface name fabric-A is also given to fabrics.A.interface",
    ),
    "address of another": (
        with_guests(web3={**WEB2, "mac": "52:54:00:12:34:03"}),
        "guests.web3.ipv4: 203.0.113.12 is also given to guests.web2.ipv4; each address can be given once",
    ),
    "address of a hypervisor's guest": (
        with_guests(web3={"ipv4": "203.0.113.3", "mac": "52:54:00:12:34:03"}),
        "guests.web3.ipv4: 203.0.113.3 is also given to hypervisors.hv2.guests.vm3.ipv4",
    ),
    "address of another segment": (
        with_guests(web3={"ipv4": "203.0.114.3", "mac": "52:54:00:12:34:03"}),
        "guests.web3.ipv4: 203.0.114.3 is not in 203.0.113.0/24",
    ),
    "address of the gateway": (
        with_guests(web3={"ipv4": "203.0.113.254", "mac": "52:54:00:12:34:03"}),
        "guests.web3.ipv4: 203.0.113.254 is the gateway of segment guests",
    ),
    "no address": (
        with_guests(web3={"mac": "52:54:00:12:34:03"}),
        "guests.web3.ipv4: missing; an address in 203.0.113.0/24",
    ),
    "under a hypervisor, too": (
        with_guests(vm1={"ipv4": "203.0.113.13", "mac": "52:54:00:12:34:03"}),
        "guests.vm1: the name vm1 is also given to hypervisors.hv1.guests.vm1; a guest is either for one hypervisor or for all of them",
    ),
    "name of a hypervisor": (
        with_guests(hv1={"ipv4": "203.0.113.13", "mac": "52:54:00:12:34:03"}),
        "guests.hv1: the name hv1 is also given to hypervisors.hv1; each node needs a name of its own",
    ),
    "unknown segment": (
        with_guests(
            web3={**WEB2, "segment": "gusts"},
            web2=WEB1 | {"mac": "52:54:00:12:34:02", "port": "tap2", "ipv4": "203.0.113.14"},
        ),
        "guests.web3.segment: no segment is called gusts; did you mean guests?",
    ),
    "unknown key": (
        with_guests(web3={**WEB2, "ports": "x"}, web2={**WEB2, "ipv4": "203.0.113.14", "mac": "52:54:00:12:34:04"}),
        "guests.web3.ports: unknown key; did you mean port?",
    ),
    "MACs that differ in the first byte only": (
        with_guests(web3={"ipv4": "203.0.113.13", "mac": "02:54:00:12:34:02"}),
        "guests.web3.mac: the port's MAC, fe:54:00:12:34:02, would be that of guests.web2, too; another MAC, or the name of the port",
    ),
    "GoBGP and another autonomous system": (
        behind_leaves("gobgp"),
        "guests: GoBGP on contiv1, contiv2 would prefer its own path to a guest to any from another autonomous system; daemon: bird, or one AS for hypervisors and leaves",
    ),
    "another autonomous system": (
        with_guests(
            ("bgp.peering", "configured"),
            ("hypervisors.hv1.neighbors", {"upstream": {"address": "198.51.100.77", "as": 64999}}),
        ),
        "hypervisors.hv1.neighbors.upstream.as: upstream is in another autonomous system, and not in this file: it may not choose a guest's latest place; a leaf, or guests under their hypervisors",
    ),
    "an additional address of another segment": (
        with_guests(web3={**WEB3, "addresses": ["203.0.113.21", "203.0.114.3"]}),
        "guests.web3.addresses[1]: 203.0.114.3 is not in 203.0.113.0/24, the prefix of segment guests; 203.0.113.1 to 203.0.113.254",
    ),
    "an additional address that is the gateway": (
        with_guests(web3={**WEB3, "addresses": ["203.0.113.254"]}),
        "guests.web3.addresses[0]: 203.0.113.254 is the gateway of segment guests; another address than its gateway4",
    ),
    "an additional address that is another guest's": (
        changed(("hypervisors.hv1.guests.vm1.addresses", ["203.0.113.3"])),
        "hypervisors.hv1.guests.vm1.addresses[0]: 203.0.113.3 is also given to hypervisors.hv2.guests.vm3.ipv4; each address can be given once, unless it is in segments.guests.anycast",
    ),
    "an additional address of two guests": (
        with_guests(
            ("hypervisors.hv1.guests.vm1.addresses", ["2001:db8:cb00:7100::21"]),
            web3={**WEB3, "addresses": ["203.0.113.21", "2001:db8:cb00:7100::21"]},
        ),
        "guests.web3.addresses[1]: 2001:db8:cb00:7100::21 is also given to hypervisors.hv1.guests.vm1.addresses[0]; each address",
    ),
    "an additional address twice": (
        with_guests(web3={**WEB3, "addresses": ["203.0.113.21", "203.0.113.21"]}),
        "guests.web3.addresses[1]: 203.0.113.21 is also given to guests.web3.addresses[0]",
    ),
    "an additional address in a family that it lacks": (
        with_guests(web3={**WEB3, "ipv6": "none", "addresses": ["2001:db8:cb00:7100::21"]}),
        "guests.web3.addresses[0]: web3 has no other IPv6 address; give it ipv6",
    ),
    "an additional address that is none": (
        with_guests(web3={**WEB3, "addresses": ["203.0.113.300"]}),
        "guests.web3.addresses[0]: '203.0.113.300' is not an address",
    ),
    "an anycast address outside its segment": (
        changed(("segments.guests.anycast", ["203.0.114.100"])),
        "segments.guests.anycast[0]: 203.0.114.100 is not in 203.0.113.0/24, the prefix of segment guests; 203.0.113.1 to",
    ),
    "an anycast address twice in one guest": (
        with_guests(
            ("segments.guests.anycast", ["203.0.113.100"]),
            web3={**WEB3, "addresses": ["203.0.113.100", "203.0.113.100"]},
        ),
        "guests.web3.addresses[1]: 203.0.113.100 is also given to guests.web3.addresses[0]",
    ),
    "an anycast address that is a guest's first": (
        changed(("segments.guests.anycast", ["203.0.113.3"])),
        "hypervisors.hv2.guests.vm3.ipv4: 203.0.113.3 is also given to segments.guests.anycast[0]; each address can be given once",
    ),
    "anycast with reflectors that announce one path": (
        changed(("segments.guests.anycast", ["203.0.113.100"]), ("bgp.add_path", False)),
        "bgp.add_path: reflectors would announce only one guest of several with an address in segments.guests.anycast; leave it out",
    ),
    "a relay and the length of leases": (
        relayed(("segments.guests.dhcp", {"relay": ["192.0.2.53"], "lease_s": 3600})),
        "segments.guests.dhcp.lease_s: leases are those of the servers in relay; leave it out",
    ),
    "a relay and name servers for leases": (
        relayed(("segments.guests.dns", ["2001:db8:53::1", "192.0.2.54"])),
        "segments.guests.dns[1]: 192.0.2.54 would be part of leases, which are those of the servers in dhcp.relay; leave it out",
    ),
    "a relay without an address in the VRF": (
        relayed(("loopbacks.public", REMOVE)),
        "segments.guests.dhcp.relay: without an IPv4 loopback in public on hv1, hv2, hv3; add loopbacks.public.ipv4: servers",
    ),
    "a relay to a guest": (
        relayed(("segments.guests.dhcp", {"relay": ["192.0.2.53", "203.0.113.3"]})),
        "segments.guests.dhcp.relay[1]: 203.0.113.3 is in segments.guests; the relay accepts no replies from guests; a server outside",
    ),
    "a relay to a server twice": (
        relayed(("segments.guests.dhcp", {"relay": ["192.0.2.53", "192.0.2.53"]})),
        "segments.guests.dhcp.relay[1]: 192.0.2.53 is also given to segments.guests.dhcp.relay[0]; each server is needed once",
    ),
    "a relay to an address of the other family": (
        relayed(("segments.guests.dhcp", {"relay": ["2001:db8:53::1"]})),
        "segments.guests.dhcp.relay[0]: '2001:db8:53::1' is not an IPv4 address",
    ),
    "a port that radvd reads as a keyword": (
        with_guests(web3={"ipv4": "203.0.113.13", "port": "route"}),
        "guests.web3.port: radvd cannot serve an interface called route",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_mistake_with_its_place_and_remedy(case):
    data, expected = REFUSED[case]
    assert only_mistake_in(data).startswith(expected)


def test_all_mistakes_are_reported_together():
    found = mistakes_in(
        with_guests(web3={"ipv4": "203.0.113.13"}, web4={"ipv4": "203.0.113.3", "mac": "52:54:00:12:34:04"})
    )
    assert len(found) == 2


def test_every_duplicate_of_a_copied_guest_is_reported_at_once():
    ipv6 = "2001:db8:cb00:7100::11"
    found = mistakes_in(with_guests(web3={**WEB1, "ipv6": ipv6}, web4={**WEB1, "ipv6": ipv6}))
    assert sorted(line.partition(":")[0] for line in found) == [
        "guests.web3.ipv4",
        "guests.web3.mac",
        "guests.web3.port",
        "guests.web4.ipv4",
        "guests.web4.ipv6",
        "guests.web4.mac",
        "guests.web4.port",
    ]


def test_what_follows_from_a_duplicate_address_is_not_reported():
    found = mistakes_in(with_guests(web3={"ipv4": "203.0.113.1", "port": "tap-web3"}))
    assert [line.partition(":")[0] for line in found] == ["guests.web3.ipv4"]


def test_a_vrf_without_hypervisors_is_refused():
    data = with_guests()
    for hypervisor in data["hypervisors"].values():
        hypervisor["fabrics"] = {"B": {}}
        hypervisor.pop("guests", None)
    del data["fabrics"]["B"]["networks"]["public"]
    del data["reflectors"]["rr2"]["addresses"]["public"], data["borders"]["internet"]["fabrics"]["B"]
    assert any(
        line.startswith("segments.guests.vrf: no hypervisor is on a network in public, so its guests can run nowhere")
        for line in mistakes_in(data)
    )


def resolved(data) -> dict:
    mistakes = Mistakes()
    intent = check(data, mistakes)
    assert intent is not None, mistakes.lines()
    return resolve(intent, index(intent), "somewhere").host_vars


def test_every_hypervisor_gets_the_same_table():
    hosts = resolved(with_guests())
    tables = [hosts[name]["followed_guests"] for name in ("hv1", "hv2", "hv3")]
    assert tables[0] == tables[1] == tables[2]
    assert tables[0]["guests"] == {
        "web1": {
            "kind": "guests ipv4+ipv6",
            "mac": "52:54:00:12:34:01",
            "port": "tap-web1",
            "port_mac": "fe:54:00:12:34:01",
            "addresses": ["203.0.113.11", "2001:db8:cb00:7100:5054:ff:fe12:3401"],
        },
        "web2": {
            "kind": "guests ipv4+ipv6",
            "mac": "52:54:00:12:34:02",
            "port": None,
            "port_mac": "fe:54:00:12:34:02",
            "addresses": ["203.0.113.12", "2001:db8:cb00:7100:5054:ff:fe12:3402"],
        },
    }
    [port] = tables[0]["ports"].values()
    assert port["tables"] == [90, 254]
    assert port["interface"]["vrf"] == "public"
    assert port["gateways"] == ["203.0.113.254", "fe80::1"]
    assert "2001:db8:cb00:7100:0:cbff:fe00:7103" in port["neighbors"]  # vm3, which is hv2's


def test_other_autonomous_systems_learn_their_places_by_med_and_community():
    data = other()
    data["guests"] = {"moves": {"segment": "disks", "ipv4": "10.32.128.9", "port": "tap9"}}
    assert not [host for host in resolved(data).values() if "compare_med" in host.get("bgp", ())]
    hosts = resolved(behind_leaves("bird"))
    assert [name for name, host in hosts.items() if host.get("bgp", {}).get("compare_med")] == ["switch1", "switch2"]
    [table] = hosts["contiv2"]["bgp"]["tables"]
    assert table["kernel"]["guests"]["communities"] == {"place": 65085, "host": [65086, 3]}


def test_a_hypervisor_with_gobgp_announces_them():
    changes = [("bgp.bfd", REMOVE), ("bgp.ttl_security", False), ("hypervisors.hv2.daemon", "gobgp")]
    changes += [("vrfs.private.password", REMOVE), ("vrfs.public.password", REMOVE)]
    hosts = resolved(with_guests(*changes))
    [_private, public] = hosts["hv2"]["routing_manager"]["instances"]
    assert public["guests"] == [
        {"prefix": "203.0.113.0/24", "longest": 32},
        {"prefix": "2001:db8:cb00:7100::/64", "longest": 128},
    ]


def test_a_hypervisor_without_the_vrf_gets_no_table():
    data = other()
    data["guests"] = {"moves": {"segment": "disks", "ipv4": "10.32.128.9", "port": "tap9"}}
    del data["fabrics"]["third"]
    data["hypervisors"]["jetty"]["fabrics"] = {"west": {}}
    del data["reflectors"]["third-a"], data["borders"]["south"]["fabrics"]["third"]
    hosts = resolved(data)
    assert all("followed_guests" in hosts[name] for name in ("quay", "pier", "jetty"))


def test_without_such_guests_nothing_changes():
    before, after = resolved(changed()), resolved(changed(("guests", {})))
    assert before == after
    assert "followed_guests" not in before["hv1"]


def test_a_moving_guest_is_no_node_of_a_lab():
    mistakes = Mistakes()
    intent = check(with_guests(("lab.nodes", {"web1": {"init": "systemd"}})), mistakes)
    assert intent is None
    assert "lab.nodes.web1: no node is called web1" in "".join(mistakes.lines())


def test_their_daemons_serve_ports_with_names_only():
    hosts = resolved(with_guests())
    for name in ("hv1", "hv2", "hv3"):
        assert "tap-web1" in hosts[name]["dnsmasq"]["ports"]
        assert "tap-web1" in [port["name"] for port in hosts[name]["radvd"]["interfaces"]]
        # ndppd ends when a port is absent; the agent answers there
        assert "tap-web1" not in [proxy["interface"] for proxy in hosts[name]["ndppd"]["proxies"]]


SHARED, SHARED_6 = "203.0.113.100", "2001:db8:cb00:7100::100"


def with_more_addresses():
    return changed(
        ("segments.guests.anycast", [SHARED, SHARED_6]),
        ("hypervisors.hv1.guests.vm1.addresses", ["203.0.113.21", "2001:db8:cb00:7100::21", SHARED]),
        ("hypervisors.hv1.guests.vm2.addresses", [SHARED]),
        ("hypervisors.hv2.guests.vm3.addresses", [SHARED, SHARED_6]),
    )


def verified(data) -> dict:
    mistakes = Mistakes()
    intent = check(data, mistakes)
    assert intent is not None, mistakes.lines()
    found = index(intent)
    return expectations(intent, found, resolve(intent, found, "somewhere").host_vars)


def test_additional_addresses_are_routed_and_allowed_like_the_first():
    hv1 = resolved(with_more_addresses())["hv1"]
    ways = {(route["prefix"], route.get("vrf"), route["interface"]) for route in hv1["network"]["routes"]}
    for prefix in ("203.0.113.1/32", "203.0.113.21/32", "2001:db8:cb00:7100::21/128"):
        assert {(prefix, "public", "vm1"), (prefix, None, "vm1")} <= ways
    allowed = [item["prefix"] for item in hv1["nftables"]["sources"]["ipv4"] if item["interface"] == "vm1"]
    assert allowed == ["203.0.113.1/32", "203.0.113.21/32", f"{SHARED}/32"]


def test_of_two_guests_here_the_first_answers_and_then_the_other():
    routes = resolved(with_more_addresses())["hv1"]["network"]["routes"]
    shared = [
        (route["interface"], route.get("metric"))
        for route in routes
        if route["prefix"] == f"{SHARED}/32" and "vrf" in route
    ]
    assert shared == [("vm1", None), ("vm2", 1025)]


def test_a_guest_of_a_lab_chooses_no_shared_address_as_its_source():
    [interface] = resolved(with_more_addresses())["vm3"]["network"]["interfaces"]
    assert interface["addresses"] == [
        {"address": f"{SHARED}/32", "deprecated": True},
        {"address": f"{SHARED_6}/128", "deprecated": True},
    ]


def test_a_shared_address_is_expected_at_all_hypervisors_with_such_a_guest():
    made = verified(with_more_addresses())
    hops = {
        node: [one["nexthops"] for one in made[node] if one["kind"] == "route" and one["prefix"] == f"{SHARED}/32"]
        for node in ("hv3", "internet")
    }
    assert hops["hv3"] == [["198.51.100.101", "198.51.100.201", "198.51.100.102", "198.51.100.202"]] == hops["internet"]
    own = [one for one in made["hv1"] if one["kind"] == "route" and one["prefix"] == f"{SHARED}/32"]
    assert [one["interfaces"] for one in own] == [["vm1"], ["vm1"]], "hv1 has two such guests: the first one answers"
    assert all(one["guests"] == ["vm1", "vm2", "vm3"] for one in own)
    kinds = [one["kind"] for one in made["vm4"] if one.get("to") == SHARED]
    assert kinds.count("ping") == 3 and kinds.count("neighbor") == 3 and "trace" not in kinds
    assert not [one for one in made["vm1"] if one.get("to") == SHARED], "it has this address itself"


def test_of_many_ways_to_a_shared_address_as_many_are_expected_as_all_daemons_install():
    hypervisors = {
        f"h{number}": {
            "id": number,
            "guests": {f"g{number}": {"ipv4": f"203.0.113.{number}", "addresses": [SHARED]}},
        }
        for number in range(1, 8)
    }
    made = verified(changed(("segments.guests.anycast", [SHARED]), ("hypervisors", hypervisors)))
    [route] = [one for one in made["internet"] if one["kind"] == "route" and one["prefix"] == f"{SHARED}/32"]
    assert (len(route["nexthops"]), route["least"]) == (14, 8)
    hops = {f"192.0.2.{number}" for number in range(14)}
    expected = {**route, "nexthops": sorted(hops)}
    for seen, passes in (
        (sorted(hops)[:8], True),
        (sorted(hops)[:7], False),
        ([*sorted(hops)[:8], "192.0.2.99"], False),
    ):
        assert verify_route(expected, {route["prefix"]: set(seen)})[0] is passes


def test_moving_guests_have_more_addresses_and_shared_ones():
    web3 = {**WEB3, "addresses": ["203.0.113.21", SHARED, SHARED_6]}
    data = with_guests(("segments.guests.anycast", [SHARED, SHARED_6]), web3=web3)
    hosts = resolved(data)
    guest = hosts["hv2"]["followed_guests"]["guests"]["web3"]
    assert guest["addresses"] == ["203.0.113.13", "2001:db8:cb00:7100:5054:ff:fe12:3403", "203.0.113.21"]
    assert guest["anycast"] == [SHARED, SHARED_6]
    [port] = hosts["hv2"]["followed_guests"]["ports"].values()
    assert port["neighbors"].count(SHARED_6) == 1
    tables = {table["name"]: table["kernel"]["guests"]["anycast"] for table in hosts["hv2"]["bgp"]["tables"][1:]}
    assert list(tables.values()) == [[f"{SHARED}/32"], [f"{SHARED_6}/128"]]


def test_requests_are_relayed_from_an_address_of_the_hypervisors_own():
    hosts = resolved(relayed(("guests", {"web1": WEB1, "web2": WEB2})))
    assert hosts["hv2"]["dhcrelay"]["instances"] == [
        {
            "name": "guests",
            "vrf": "public",
            "source": "lo-public",
            "uplinks": ["fabric-A.90", "fabric-B.90"],
            "ports": ["vm3", "tap-web1"],
            "servers": ["192.0.2.53"],
        }
    ]
    assert hosts["hv2"]["dnsmasq"]["ports"] == []
    assert hosts["vm3"]["guest"]["dhcp"]
    assert "lease" in [one["kind"] for one in verified(relayed())["vm3"]]


def answering(*changes):
    """By hypervisor: the ports on which the agent answers neighbor solicitations, and those with ndppd."""
    hosts = resolved(changed(*changes))
    return {
        name: (
            list(hosts[name].get("proxy_ndp", {}).get("ports", ())),
            [proxy["interface"] for proxy in hosts[name]["ndppd"]["proxies"]],
        )
        for name in ("hv1", "hv2", "hv3")
    }


def test_neighbor_solicitations_are_answered_by_the_agent_or_where_it_is_chosen_by_ndppd():
    default = {"hv1": (["vm1", "vm2"], []), "hv2": (["vm3"], []), "hv3": ([], ["vm4"])}
    assert answering() == default
    everywhere = answering(("segments.guests.ndp", "ndppd"))
    assert everywhere == {"hv1": ([], ["vm1", "vm2"]), "hv2": ([], ["vm3"]), "hv3": ([], ["vm4"])}
    overridden = answering(("segments.guests.ndp", "ndppd"), ("hypervisors.hv2.ndp", "agent"))
    assert overridden["hv2"] == (["vm3"], [])


def test_a_port_is_not_answered_for_the_addresses_of_its_own_guest():
    hv1 = resolved(with_more_addresses())["hv1"]["proxy_ndp"]
    own = ["2001:db8:cb00:7100:0:cbff:fe00:7101", "2001:db8:cb00:7100::21"]
    assert hv1["ports"]["vm1"] == {"segment": "guests", "own": own}
    neighbors = hv1["segments"]["guests"]["neighbors"]
    assert {*own, SHARED_6} < set(neighbors) and len(neighbors) == len(set(neighbors))


def test_a_guest_without_ipv6_has_no_proxy_ndp():
    data = changed(("segments.guests.ipv6", REMOVE), ("segments.guests.gateway6", REMOVE))
    hosts = resolved(data)
    assert not [name for name in hosts if hosts[name].get("proxy_ndp")]
    assert [port.get("proxy_ndp") for port in hosts["hv1"]["network"]["proxy_arp"]] == [None, None]


def test_hypervisors_of_a_lab_have_an_agent_where_it_answers():
    mistakes = Mistakes()
    intent = check(changed(), mistakes)
    assert resolve(intent, index(intent), "somewhere").groups["agents"] == ["hv1", "hv2"]
