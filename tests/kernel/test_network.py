"""The network of a whole hypervisor: built, built again, damaged, repaired, removed."""

from __future__ import annotations

import copy

import pytest
from support.waiting import until

CONFIG = {
    "sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}, {"name": "net.ipv6.conf.all.forwarding", "value": True}],
    "vrfs": [{"name": "private", "table": 20}, {"name": "public", "table": 90}],
    "interfaces": [
        {"name": "fabric-A"},
        {"name": "fabric-B"},
        {
            "name": "fabric-A.20",
            "type": "vlan",
            "parent": "fabric-A",
            "vlan_id": 20,
            "vrf": "private",
            "mtu": 1400,
            "addresses": [{"address": "172.22.15.101/25"}],
        },
        {
            "name": "fabric-B.20",
            "type": "vlan",
            "parent": "fabric-B",
            "vlan_id": 20,
            "vrf": "private",
            "addresses": [{"address": "172.22.15.201/25"}],
        },
        {
            "name": "fabric-A.90",
            "type": "vlan",
            "parent": "fabric-A",
            "vlan_id": 90,
            "vrf": "public",
            "addresses": [{"address": "198.51.100.101/25"}, {"address": "2001:DB8:c633:6400::0001/120", "nodad": True}],
            "sysctls": {"ipv4": {"forwarding": True, "send_redirects": 0}, "ipv6": {"accept_ra": 0}},
        },
        {
            "name": "fabric-B.90",
            "type": "vlan",
            "parent": "fabric-B",
            "vlan_id": 90,
            "vrf": "public",
            "addresses": [{"address": "198.51.100.201/25"}, {"address": "2001:db8:c633:6401::1/120", "nodad": True}],
        },
        {"name": "loopback", "type": "dummy", "vrf": "private", "addresses": [{"address": "172.22.2.1"}]},
        {
            "name": "vm1",
            "vrf": "public",
            "sysctls": {"ipv4": {"rp_filter": 1}},
            "addresses": [{"address": "203.0.113.254/32", "scope": "link"}, {"address": "fe80::1/64", "nodad": True}],
        },
        {
            "name": "vm2",
            "vrf": "public",
            "sysctls": {"ipv4": {"rp_filter": 1}},
            "addresses": [{"address": "203.0.113.254/32", "scope": "link"}, {"address": "fe80::1/64", "nodad": True}],
        },
    ],
    "proxy_arp": [
        {"interface": "vm1", "proxy_arp": True, "delay": 0, "entries": ["203.0.113.77", "2001:DB8:cb00:7100::77"]},
        {"interface": "vm2", "proxy_arp": True, "delay": 0},
    ],
    "routes": [
        {"prefix": "203.0.113.1", "vrf": "public", "interface": "vm1", "metric": 10},
        {"prefix": "2001:db8:cb00:7100::1/128", "vrf": "public", "interface": "vm1"},
        {"prefix": "203.0.113.1/32", "interface": "vm1"},
        {
            "prefix": "10.9.0.0/16",
            "table": 20,
            "nexthops": [
                {"gateway": "172.22.15.126", "interface": "fabric-A.20"},
                {"gateway": "172.22.15.226", "interface": "fabric-B.20", "weight": 2},
            ],
        },
        {
            "prefix": "2001:db8:9::/48",
            "vrf": "public",
            "nexthops": [
                {"gateway": "2001:db8:c633:6401::26", "interface": "fabric-B.90"},
                {"gateway": "2001:db8:c633:6400::26", "interface": "fabric-A.90"},
            ],
        },
        {"prefix": "10.66.0.0/16", "type": "blackhole"},
        {"prefix": "2001:db8:66::/48", "type": "unreachable", "vrf": "public"},
        {"prefix": "default", "family": "ipv4", "vrf": "public", "gateway": "198.51.100.1", "mtu": 1400},
    ],
    "rules": [
        {"priority": 2000, "to": "172.22.0.0/16", "vrf": "private"},
        {"priority": 2001, "family": "ipv6", "iif": "vm1", "fwmark": "16", "table": 90},
    ],
}
NOTHING = {"vrfs": [], "interfaces": [], "proxy_arp": [], "routes": [], "rules": []}
ROUTE_1 = "203.0.113.1/32 in VRF public (metric 10)"
ROUTE_1_MAIN = "203.0.113.1/32 in table 254"
ROUTE_1_IPV6 = "2001:db8:cb00:7100::1/128 in VRF public"
OF_VM1 = [("routes", "create", ROUTE_1), ("routes", "create", ROUTE_1_IPV6), ("routes", "create", ROUTE_1_MAIN)]
DEFAULT = ("routes", "create", "0.0.0.0/0 in VRF public")

# a command of ip, and exactly the changes that the next run reports
DRIFTS = {
    "a route is deleted": ("route delete 203.0.113.1 table 90", [("routes", "create", ROUTE_1)]),
    "a route is changed": (
        "route replace 203.0.113.1 dev vm2 table 90 metric 10 proto 82 scope link",
        [("routes", "change", ROUTE_1)],
    ),
    "a next hop is deleted": (
        "route replace 10.9.0.0/16 via 172.22.15.126 table 20 proto 82",
        [("routes", "change", "10.9.0.0/16 in table 20")],
    ),
    "an IPv6 next hop is deleted": (
        "-6 route delete 2001:db8:9::/48 via 2001:db8:c633:6401::26 dev fabric-B.90 table 90",
        [("routes", "change", "2001:db8:9::/48 in VRF public")],
    ),
    "an unreachable default is deleted": (
        "-6 route delete unreachable default table 90 metric 4278198272",
        [("vrfs", "change", "public")],
    ),
    "an address is removed": (
        "address delete 2001:db8:c633:6401::1/120 dev fabric-B.90",
        [("interfaces", "change", "fabric-B.90")],
    ),
    "an MTU is changed": ("link set fabric-A.20 mtu 1300", [("interfaces", "change", "fabric-A.20")]),
    "a link is down": ("link set fabric-A.90 down", [("interfaces", "change", "fabric-A.90"), DEFAULT]),
    "a parent is down": (
        "link set fabric-A down",
        [
            ("interfaces", "change", "fabric-A"),
            ("interfaces", "change", "fabric-A.20"),
            ("interfaces", "change", "fabric-A.90"),
            DEFAULT,
        ],
    ),
    "a port left its VRF": (
        "link set vm1 nomaster",
        [("interfaces", "change", "vm1"), ("proxy_arp", "change", "vm1"), *OF_VM1],
    ),
    "a proxy entry is deleted": ("neighbor delete proxy 203.0.113.77 dev vm1", [("proxy_arp", "change", "vm1")]),
    "a rule is deleted": ("rule delete priority 2000", [("rules", "create", "2000 (ipv4)")]),
    "a link of ours that is not configured": ("link add stray type dummy", [("interfaces", "delete", "stray")]),
}


@pytest.fixture
def hypervisor(namespace):
    for port in ("fabric-A", "fabric-B", "vm1", "vm2"):
        namespace.cable(port)
    assert namespace.changed("network", config=CONFIG, state="overridden")
    return namespace


def test_check_mode_predicts_a_run_and_a_second_run_changes_nothing(namespace):
    for port in ("fabric-A", "fabric-B", "vm1", "vm2"):
        namespace.cable(port)
    expected = namespace.module("network", config=CONFIG, state="overridden", _check=True, _diff=True)
    assert not namespace.show("link show type vlan")
    done = namespace.module("network", config=CONFIG, state="overridden", _diff=True)
    assert done["changed"]
    assert done == expected
    for state in ("merged", "replaced", "overridden"):
        assert namespace.changed("network", config=CONFIG, state=state) == []


def test_check_mode_predicts_changes_of_ports_that_are_not_plugged_in_yet(hypervisor):
    config = copy.deepcopy(CONFIG)
    config["interfaces"].append({**config["interfaces"][-1], "name": "vm3"})
    config["proxy_arp"].append({"interface": "vm3", "proxy_arp": True, "delay": 0, "entries": ["203.0.113.78"]})
    config["routes"].append({"prefix": "203.0.113.3", "vrf": "public", "interface": "vm3"})
    wanted = {"config": config, "state": "overridden"}
    assert "vm3 does not exist" in hypervisor.module("network", **wanted, _check=True)["msg"]
    predicted = hypervisor.changed("network", **wanted, _check=True, expected=["vm1", "vm3"])
    # A real run fails unless they exist.
    assert "vm3 does not exist" in hypervisor.module("network", **wanted, expected=["vm3"])["msg"]
    hypervisor.cable("vm3")
    assert hypervisor.changed("network", **wanted) == predicted
    assert predicted == [
        ("interfaces", "change", "vm3"),
        ("proxy_arp", "change", "vm3"),
        ("routes", "create", "203.0.113.3/32 in VRF public"),
    ]


def test_the_kernel_has_what_was_configured(hypervisor):
    [vlan] = hypervisor.show("address show fabric-A.90")
    assert (vlan["master"], vlan["ifalias"], vlan["linkinfo"]["info_data"]["id"]) == ("public", "routed.hypervisor", 90)
    assert {a["local"] for a in vlan["addr_info"]} >= {"198.51.100.101", "2001:db8:c633:6400::1"}
    assert hypervisor.sysctl("ipv4/conf/fabric-A.90/send_redirects") == "0"
    assert hypervisor.sysctl("ipv4/conf/vm1/proxy_arp") == "1"
    assert hypervisor.sysctl("ipv4/neigh/vm1/proxy_delay") == "0"
    [multipath] = hypervisor.show("-6 route show table 90 2001:db8:9::/48")
    assert {hop["gateway"] for hop in multipath["nexthops"]} == {"2001:db8:c633:6400::26", "2001:db8:c633:6401::26"}
    for family in ("-4", "-6"):
        [last] = hypervisor.show(f"{family} route show table 20 default")
        assert (last["type"], last["metric"], last["protocol"]) == ("unreachable", 4278198272, "82")
    assert [rule["table"] for rule in hypervisor.show("rule show priority 2000")] == ["20"]


def test_a_drift_is_reported_exactly_and_repaired_exactly(hypervisor, subtests):
    for drift, (command, expected) in DRIFTS.items():
        if hypervisor.library and "next hop" not in drift:
            continue  # the plan is the same with any pyroute2
        with subtests.test(drift):
            before = hypervisor.settled()
            hypervisor.ip(command)
            if "link of ours" in drift:
                hypervisor.ip("link set stray alias routed.hypervisor")
            in_check_mode = hypervisor.changed("network", config=CONFIG, state="overridden", _check=True)
            assert hypervisor.changed("network", config=CONFIG, state="overridden") == in_check_mode == expected
            if expected:
                assert hypervisor.settled() == before


def test_an_unwanted_address_of_ours_is_removed_and_others_are_kept(hypervisor):
    hypervisor.changed("interfaces", config=[{"name": "vm2", "addresses": [{"address": "192.0.2.9"}]}])
    hypervisor.ip("address add 192.0.2.10/32 dev vm2")
    changes = hypervisor.changed("network", config=CONFIG, state="overridden")
    assert changes == [("interfaces", "change", "vm2")]
    [port] = hypervisor.show("-4 address show vm2")
    assert [address["local"] for address in port["addr_info"]] == ["203.0.113.254", "192.0.2.10"]


def test_creating_an_interface_that_exists_and_is_not_ours_is_refused(hypervisor):
    hypervisor.ip("link add foreign type dummy")
    before = hypervisor.settled()
    result = hypervisor.module(
        "network",
        config={
            "interfaces": [{"name": "foreign", "type": "dummy"}, {"name": "new", "type": "dummy"}],
            "vrfs": [{"name": "third", "table": 20}],
        },
    )
    assert result["failed"]
    assert result["mistakes"] == [
        "vrfs[0].table: 20 is already the table of the existing VRF private",
        "interfaces[0]: interface foreign exists but is not ours (it does not carry our mark); leave out its type to "
        "configure it as it is, or delete it first",
    ]
    assert hypervisor.settled() == before


def test_creating_a_route_that_exists_and_is_not_ours_is_refused(hypervisor):
    hypervisor.ip("route add 10.5.0.0/16 via 198.51.100.1 table 90 proto 12")
    result = hypervisor.module("routes", config=[{"prefix": "10.5.0.0/16", "vrf": "public", "interface": "vm1"}])
    assert result["mistakes"] == [
        "routes[0]: route 10.5.0.0/16 in VRF public exists but is not ours (protocol bird); delete it first, give this "
        "one another metric, or leave it out"
    ]


def test_changed_sysctls_are_restored(hypervisor):
    hypervisor.sysctl("ipv4/conf/vm2/proxy_arp", 0)
    hypervisor.sysctl("ipv4/conf/fabric-A.90/send_redirects", 1)
    hypervisor.sysctl("ipv4/ip_forward", 0)  # the kernel copies it to every interface
    assert hypervisor.changed("network", config=CONFIG, state="overridden") == [
        ("sysctls", "change", "net.ipv4.ip_forward"),
        ("interfaces", "change", "fabric-A.90"),
        ("proxy_arp", "change", "vm2"),
    ]
    assert hypervisor.changed("network", config=CONFIG, state="overridden") == []


def test_overridden_with_nothing_restores_the_initial_state(namespace):
    for port in ("fabric-A", "fabric-B", "vm1", "vm2"):
        namespace.cable(port)
    namespace.changed("sysctls", config=CONFIG["sysctls"])
    namespace.ip("address add 192.0.2.5/24 dev vm1")
    namespace.ip("route add 10.77.0.0/16 via 192.0.2.6")
    namespace.ip("rule add priority 3000 to 10.77.0.0/16 table 100")
    before = namespace.settled()
    kept = copy.deepcopy(CONFIG)
    kept["interfaces"] = [
        link for link in kept["interfaces"] if link["name"] != "vm1"
    ]  # the move would drop its routes
    kept["proxy_arp"] = kept["proxy_arp"][1:]
    namespace.changed("network", config=kept, state="overridden")
    assert namespace.changed("network", config=NOTHING, state="overridden")
    assert namespace.settled() == before
    namespace.changed("network", config=kept)
    assert namespace.changed("network", state="deleted")
    assert namespace.settled() == before
    assert namespace.changed("network", state="deleted") == []


def test_a_new_table_replaces_a_vrf_and_restores_everything_in_it(hypervisor):
    config = copy.deepcopy(CONFIG)
    config["vrfs"][1]["table"] = 91
    config["rules"][1]["table"] = 91
    renewed = {"replaced": ["public"], "moved": ["fabric-A.90", "fabric-B.90", "vm1", "vm2"]}
    assert hypervisor.module("network", config=config, state="overridden", _check=True)["renewed"] == renewed
    changes = hypervisor.changed("network", config=config, state="overridden")
    assert changes[0] == ("vrfs", "replace", "public")
    assert hypervisor.changed("network", config=config, state="overridden") == []
    assert hypervisor.show("route show table 91 203.0.113.1")
    assert not hypervisor.show("route show table all table 90")


def test_a_new_vlan_id_replaces_the_link_and_restores_everything_on_it(hypervisor):
    config = copy.deepcopy(CONFIG)
    config["interfaces"][4]["vlan_id"] = 91
    changes = hypervisor.changed("network", config=config, state="overridden")
    assert ("interfaces", "replace", "fabric-A.90") in changes
    assert hypervisor.changed("network", config=config, state="overridden") == []
    [vlan] = hypervisor.show("link show fabric-A.90")
    assert vlan["linkinfo"]["info_data"]["id"] == 91


def test_after_a_failure_completed_and_outstanding_changes_are_reported(hypervisor):
    config = copy.deepcopy(CONFIG)
    config["sysctls"].append({"name": "net.ipv4.tcp_l3mdev_accept", "value": "1"})
    # no route to this gateway, as the rule that might lead to one is for other packets
    hypervisor.ip("route add 10.200.0.0/24 dev vm2 table 99")
    hypervisor.ip("rule add iif vm2 lookup 99")
    config["routes"].append({"prefix": "10.1.0.0/16", "gateway": "10.200.0.1"})
    result = hypervisor.module("network", config=config)
    assert result["failed"]
    place = f"routes[{len(config['routes']) - 1}]"
    assert result["msg"].startswith(f"{place}: cannot add route 10.1.0.0/16 in table 254 via 10.200.0.1: ")
    assert "invalid gateway" in result["msg"]
    assert [change["name"] for change in result["done"]] == ["net.ipv4.tcp_l3mdev_accept"]
    assert [change["name"] for change in result["not_done"]] == ["10.1.0.0/16 in table 254"]
    del config["routes"][-1]
    assert hypervisor.changed("network", config=config) == []


def test_gathered_reports_ownership(hypervisor):
    hypervisor.ip("link add foreign type dummy")
    gathered = hypervisor.module("network", state="gathered")["gathered"]
    owned = {link["name"]: link["owned"] for link in gathered["interfaces"]}
    assert owned["fabric-A.90"]
    assert not owned["foreign"] and not owned["fabric-A"]
    assert {vrf["name"]: vrf["table"] for vrf in gathered["vrfs"]} == {"private": 20, "public": 90}


def test_a_new_link_has_its_ipv4_address_before_it_comes_up(hypervisor, tmp_path):
    """A daemon may bind to an address as soon as the kernel reports it on a link that is up."""
    shown = tmp_path / "events"
    with shown.open("w") as file:
        monitor = hypervisor.start("ip", "-oneline", "monitor", "link", "address", stdout=file)
    try:
        until(lambda: hypervisor.listens(monitor.pid), what="the monitor receives notifications")
        hypervisor.ip("link delete fabric-A.20")
        assert hypervisor.changed("network", config=CONFIG, state="overridden")
        hypervisor.ip("link add the-end type dummy")
        until(lambda: "the-end" in shown.read_text(), what="the monitor has shown all events")
    finally:
        monitor.terminate()
        monitor.wait()
    events = [line for line in shown.read_text().splitlines() if "fabric-A.20" in line]
    # The kernel may report late that the former link is up.
    gone = next(n for n, event in enumerate(events) if event.startswith("Deleted") and "fabric-A.20@" in event)
    events = events[gone + 1 :]
    added = next(number for number, event in enumerate(events) if "172.22.15.101/25" in event)
    came_up = next(number for number, event in enumerate(events) if ",UP" in event)
    assert added < came_up, events
