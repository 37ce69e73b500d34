"""Guests that may run on any hypervisor: what is refused, and the table that hypervisors get."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import pytest
from support.intent_samples import REMOVE, changed, mistakes_in, only_mistake_in, other

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.fabric import resolve
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.index import index

WEB1 = {"ipv4": "203.0.113.11", "mac": "52:54:00:12:34:01", "port": "tap-web1"}
WEB2 = {"ipv4": "203.0.113.12", "mac": "52:54:00:12:34:02"}


def with_guests(*changes, **guests):
    return changed(("guests", {"web1": WEB1, "web2": WEB2, **guests}), *changes)


REFUSED = {
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
    "a hypervisor with GoBGP": (
        with_guests(
            ("hypervisors.hv2.daemon", "gobgp"),
            ("bgp.bfd", REMOVE),
            ("vrfs.private.password", REMOVE),
            ("vrfs.public.password", REMOVE),
            ("bgp.ttl_security", False),
            ("bgp.add_path", False),
        ),
        "guests: hv2 would have to announce them with GoBGP, which cannot announce where a guest is now; daemon: bird",
    ),
    "another autonomous system": (
        with_guests(
            ("bgp.peering", "configured"),
            ("hypervisors.hv1.neighbors", {"upstream": {"address": "198.51.100.77", "as": 64999}}),
        ),
        "guests: upstream (64999) and hv1 (65000) are in different autonomous systems",
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
