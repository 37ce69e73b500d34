"""Changes that would cut the path to the host are refused before anything is changed."""

from __future__ import annotations

import contextlib
import sys
import time

import pytest
from support.waiting import until

VRF = {"vrfs": [{"name": "public", "table": 90}]}
REMEDY = ". Manage the host through an interface that is not in the configuration"

SERVER = """
import socket, subprocess, sys
server = socket.create_server((sys.argv[1], 2222), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
kept, _peer = server.accept()
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""
CLIENT = """
import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], 2222), 1) as kept:
            kept.settimeout(None)
            kept.recv(1)
    except OSError:
        time.sleep(0.05)
"""


def refused(space, config, **more):
    found = [space.module("network", config=config, _check=check, **more).get("mistakes") for check in (True, False)]
    assert found[0] == found[1]
    return found[0]


@pytest.fixture
def host(bare_namespace):
    bare_namespace.cable("eth7")
    bare_namespace.ip("address add 192.0.2.11/24 dev eth7")
    bare_namespace.behind.ip("address add 192.0.2.1/24 dev eth7")
    return bare_namespace


@contextlib.contextmanager
def reach(host):
    """Modules run as children of a server that has accepted a connection, as if it were sshd and sudo."""
    client, prefix = host.behind.start(sys.executable, "-c", CLIENT, "192.0.2.11"), host.prefix
    try:
        host.prefix = [*prefix, sys.executable, "-c", SERVER, "192.0.2.11"]
        yield host
    finally:
        host.prefix = prefix
        client.kill()
        client.wait()


@pytest.fixture
def reached(host):
    with reach(host):
        yield host


@pytest.mark.parametrize("gateway", ["192.0.2.1", "2001:db8:2::1"])
def test_the_link_of_the_default_route_does_not_join_a_vrf(namespace, host, gateway):
    host.ip("address add 2001:db8:2::11/64 dev eth7 nodad")
    host.ip(f"route add default via {gateway} proto static")
    before = host.settled()
    family = "IPv6" if ":" in gateway else "IPv4"
    assert refused(host, {**VRF, "interfaces": [{"name": "eth7", "vrf": "public"}]}) == [
        f"interfaces[0]: would cut this host's {family} default route: eth7 would join VRF public{REMEDY}"
    ]
    assert host.settled() == before


def test_the_parent_of_the_vlan_with_the_default_route_does_not_join_a_vrf_and_may_have_other_vlans(namespace, host):
    host.ip("link add link eth7 name eth7.5 type vlan id 5")
    host.ip("link set eth7.5 up")
    host.ip("address add 10.5.0.2/24 dev eth7.5")
    host.ip("route add default via 10.5.0.1 proto static")
    assert refused(host, {**VRF, "interfaces": [{"name": "eth7", "vrf": "public"}]})
    vlan = {"name": "eth7.90", "type": "vlan", "parent": "eth7", "vlan_id": 90, "vrf": "public"}
    assert host.changed("network", config={**VRF, "interfaces": [{"name": "eth7"}, vlan]})


def test_the_link_of_the_default_route_is_not_set_down(host):
    host.ip("route add default via 192.0.2.1 proto static")
    [mistake] = refused(host, {"interfaces": [{"name": "eth7", "state": "down"}]})
    assert "eth7 would be set down" in mistake


def test_a_default_route_of_ours_may_change(namespace, host):
    routes = [{"prefix": "0.0.0.0/0", "gateway": "192.0.2.1"}]
    host.changed("network", config={"routes": routes})
    assert host.changed("network", config={"routes": []}, state="overridden")
    host.changed("network", config={"routes": routes})
    assert host.changed(
        "network", config={**VRF, "interfaces": [{"name": "eth7", "vrf": "public"}], "routes": []}, state="overridden"
    )


def test_the_link_of_the_connection_does_not_join_a_vrf(namespace, reached):
    assert refused(reached, {**VRF, "interfaces": [{"name": "eth7", "vrf": "public"}]}) == [
        f"interfaces[0]: would cut Ansible's connection (192.0.2.11 from 192.0.2.1): eth7 would join VRF public{REMEDY}"
    ]


def test_the_packets_of_the_connection_are_not_diverted(namespace, reached):
    route = {"prefix": "192.0.2.0/28", "interface": "eth7"}
    [mistake] = refused(reached, {"routes": [route]})
    assert "would take over the packets to 192.0.2.1" in mistake
    [mistake] = refused(reached, {**VRF, "rules": [{"priority": 2000, "to": "192.0.2.0/28", "vrf": "public"}]})
    assert "would take over the packets to 192.0.2.1" in mistake


def test_what_does_not_touch_the_connection_is_applied(namespace, reached):
    wanted = {**VRF, "routes": [{"prefix": "198.51.100.0/24", "gateway": "192.0.2.1"}]}
    assert reached.changed("network", config=wanted)


def test_the_address_of_the_connection_is_not_removed(host):
    host.ip("address del 192.0.2.11/24 dev eth7")
    host.changed("interfaces", config=[{"name": "eth7", "addresses": [{"address": "192.0.2.11/24"}]}])
    config = {"interfaces": [{"name": "eth7", "addresses": [{"address": "192.0.2.12/24"}]}]}
    with reach(host):
        [mistake] = refused(host, config, state="overridden")
    assert "eth7 would lose the address 192.0.2.11" in mistake


# Router advertisements


FORWARDING = [{"name": "net.ipv6.conf.all.forwarding", "value": "1"}]
RADVD = """
interface eth7 {
  AdvSendAdvert on;
  MinRtrAdvInterval 3;
  MaxRtrAdvInterval 4;
  prefix 2001:db8:7::/64 { };
};
"""


def learned(space):
    return [route["dev"] for route in space.show("-6 route show default proto ra")]


@pytest.fixture
def advertised(bare_namespace, lab_image, tmp_path):
    """A default route and an address from radvd."""
    for name in ("eth7", "eth8"):
        bare_namespace.cable(name)
    bare_namespace.behind.sysctl("ipv6/conf/all/forwarding", 1)
    bare_namespace.sysctl("ipv6/conf/eth7/accept_ra", 1)
    (tmp_path / "radvd.conf").write_text(RADVD)
    libraries = next(lab_image.glob("usr/lib/*-linux-gnu"))
    loader = next(libraries.glob("ld-linux*.so.*"))
    radvd_of_image = [loader, "--library-path", libraries, lab_image / "usr/sbin/radvd"]
    command = [*radvd_of_image, "-n", "-C", tmp_path / "radvd.conf", "-p", tmp_path / "pid", "-m", "stderr"]
    radvd = bare_namespace.behind.start(*command)
    try:
        until(lambda: learned(bare_namespace) == ["eth7"], 20, "the default route is learned")
        until(lambda: "2001:db8:7:" in bare_namespace.ip("address show dev eth7"), 20, "the address is learned")
        yield bare_namespace
    finally:
        radvd.terminate()
        radvd.wait()


@pytest.mark.parametrize("module", ["network", "sysctls"])
def test_a_learned_default_route_survives_forwarding(advertised, module):
    config = {"sysctls": FORWARDING} if module == "network" else FORWARDING
    predicted = advertised.module(module, config=config, _check=True, _diff=True)
    result = advertised.module(module, config=config, _diff=True)
    assert (result["changes"], result["diff"]) == (predicted["changes"], predicted["diff"])
    assert [(change["name"], change["after"]) for change in result["changes"]] == [
        ("net.ipv6.conf.all.forwarding", {"value": "1"}),
        ("net.ipv6.conf.eth7.accept_ra", {"value": "2"}),
    ]
    assert "net.ipv6.conf.eth7.accept_ra" in result["diff"]["before"]
    assert learned(advertised) == ["eth7"]
    assert advertised.sysctl("ipv6/conf/eth8/accept_ra") == "1"
    assert advertised.changed(module, config=config) == []
    time.sleep(5)  # another router advertisement
    assert learned(advertised) == ["eth7"]


def test_accept_ra_is_restored_only_with_forwarding(advertised, tmp_path):
    former = str(tmp_path / "former.json")
    arguments = {"config": {"sysctls": FORWARDING}, "state": "overridden", "former": former}
    advertised.changed("network", **arguments)
    assert advertised.changed("network", **arguments) == []
    assert advertised.sysctl("ipv6/conf/eth7/accept_ra") == "2"
    advertised.changed("network", state="deleted", former=former)
    assert advertised.sysctl("ipv6/conf/eth7/accept_ra") == "1"
    assert advertised.sysctl("ipv6/conf/all/forwarding") == "0"
    assert learned(advertised) == ["eth7"]


def test_the_port_of_a_guest_does_not_accept_router_advertisements(advertised):
    config = {
        "sysctls": FORWARDING,
        "interfaces": [{"name": "eth8", "guest": "vm", "sysctls": {"ipv6": {"accept_ra": 0}}}],
    }
    advertised.changed("network", config=config)
    assert [advertised.sysctl(f"ipv6/conf/{name}/accept_ra") for name in ("eth7", "eth8")] == ["2", "0"]


def test_the_router_advertisements_of_the_default_route_are_not_ignored(advertised):
    config = {"sysctls": FORWARDING, "interfaces": [{"name": "eth7", "sysctls": {"ipv6": {"accept_ra": 0}}}]}
    [mistake] = refused(advertised, config)
    assert "eth7 would ignore the router advertisements that it comes from" in mistake
    assert learned(advertised) == ["eth7"]


def test_forwarding_on_one_interface_keeps_them_too(advertised):
    advertised.changed("interfaces", config=[{"name": "eth8", "sysctls": {"ipv6": {"forwarding": 1}}}])
    assert learned(advertised) == ["eth7"]
