"""Names derived from those of an intent: no collision, in whatever order the file is; none too long; none reserved."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.intent_samples import REMOVE, changed, containers, default, mistakes_in, other
from support.modules import PROJECT
from support.templates import parser_says, render

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent import names
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

CONTIV = yaml.safe_load(Path(PROJECT, "inventories", "contiv_leaf", "fabric.yml").read_text())


def contiv() -> dict:
    return copy.deepcopy(CONTIV)


def renamed(old: str, new: str, start=default) -> dict:
    """A sample with one name changed wherever it stands."""

    def walk(value):
        if isinstance(value, dict):
            return {walk(key): walk(below) for key, below in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        return new if value == old else value

    return walk(start())


def backwards(value):
    """The same data with the keys of every map in reverse order."""
    return {key: backwards(value[key]) for key in reversed(value)} if isinstance(value, dict) else value


COLLISIONS = {
    # what, and the two names of which each line names at least one
    "an uplink called like another's VLAN": (changed(("fabrics.A.interface", "eth0"), ("fabrics.B.interface", "eth0.90")), "eth0.90, the VLAN interface of public on eth0, is also given to fabrics.B.interface"),
    "a loopback called like a VLAN": (changed(("loopbacks.private.interface", "fabric-A.90")), "fabric-A.90, the VLAN interface of public on fabric-A, is also given to loopbacks.private.interface"),
    "a port called like a VLAN": (changed(("hypervisors.hv2.guests.vm3.port", "fabric-B.90")), "the interface name fabric-B.90 is also given to fabrics.B.interface"),
    "a router called like the switch's bridge": (renamed("hv2", "bridge"), "hypervisors.bridge: bridge is the bridge of switch-A, switch-B"),
    "a reflector called like the switch's bridge": (renamed("rr1", "bridge"), "reflectors.bridge: bridge is the bridge of switch-A"),
    "containers on their host's own link": (changed(("container_networks.own.interface", "host-own"), start=containers), "container_networks.own.interface: the interface host-own of quay is given to hypervisors.quay.container_networks.own"),
    "containers on another network's link": (changed(("container_networks.own.interface", "host-span"), start=containers), "container_networks.own.interface: the interface host-span of quay is given to hypervisors.quay.container_networks.span"),
    "containers on a VRF": (changed(("container_networks.own.interface", "blue"), start=containers), "container_networks.own.interface: the interface blue of quay is given to vrfs.blue"),
    "containers on a trunk": (changed(("container_networks.own.interface", "fabric-west"), start=containers), "container_networks.own.interface: the interface fabric-west of quay is given to fabrics.west.interface"),
    "containers on the VLAN of a fabric": (changed(("container_networks.own.interface", "fabric-west.301"), start=containers), "container_networks.own.interface: the interface fabric-west.301 of quay is given to fabrics.west.interface; write fabric: west"),
    "containers on the VLAN of another VRF": (changed(("container_networks.deep.fabric", REMOVE), ("container_networks.deep.interface", "fabric-west.301"), start=containers), "container_networks.deep.interface: the interface fabric-west.301 of quay is given to fabrics.west.interface; another interface"),
    "one host's containers on its loopback": (changed(("loopbacks", {"blue": {"ipv4": "10.99.0.0/24"}}), ("hypervisors.pier.container_networks.own.interface", "loopback"), start=containers), "hypervisors.pier.container_networks.own.interface: the interface loopback of pier is given to loopbacks.blue.interface"),
    "a VRF called like a leaf's loopback": (changed(("vrfs.loopback0", {"table": 7, "vlan": 7}), ("leaves.switch1.loopback", {"ipv4": "10.255.0.1"}), start=contiv), "leaves.switch1.loopback: the interface name loopback0 is also given to vrfs.loopback0"),
}  # fmt: skip


@pytest.mark.parametrize("order", [lambda data: data, backwards], ids=["as written", "backwards"])
@pytest.mark.parametrize("case", COLLISIONS)
def test_a_name_is_given_once_in_any_order(case, order):
    data, expected = COLLISIONS[case]
    found = mistakes_in(order(copy.deepcopy(data)))
    assert found, case
    if order is not backwards:
        assert any(expected in line for line in found), "\n".join(found)


def test_containers_on_a_guests_port_are_refused():
    data = changed(
        ("container_networks", {"web": {"vrf": "public", "interface": "vm1"}}),
        ("hypervisors.hv1.container_networks", {"web": {"ipv4": "10.9.0.0/24"}}),
    )
    assert mistakes_in(data) == [
        "container_networks.web.interface: the interface vm1 of hv1 is given to hypervisors.hv1.guests.vm1; another interface, or none for a dummy of their own"
    ]


def test_containers_may_be_on_an_interface_of_the_hosts_own():
    data = changed(
        ("container_networks", {"web": {"vrf": "public", "interface": "eno3"}}),
        ("hypervisors.hv1.container_networks", {"web": {"ipv4": "10.9.0.0/24"}}),
    )
    assert mistakes_in(data) == []


@pytest.mark.parametrize(("interface", "wrong"), [
    ("Ethernet100/44/1", "Ethernet100-44-1, the interface on switch1, has 16 characters; interfaces have up to 15: choose an interface name of up to 15"),
    ("Ethernet10/44/1", None),
])  # fmt: skip
def test_an_interface_of_a_switch_must_fit_linux_where_the_leaf_runs_it(interface, wrong):
    data = changed(("leaves.switch1.fabrics.backbone.interface", interface), start=contiv)
    assert mistakes_in(data) == ([f"leaves.switch1.fabrics.backbone.interface: {wrong}"] if wrong else [])
    for leaf in data["leaves"].values():
        leaf["platform"] = "nxos"
    del data["lab"]
    assert mistakes_in(data) == []


@pytest.mark.parametrize("port", ["prefix", "on", "90", "1.5", "RDNSS"])
def test_a_port_is_not_called_like_a_keyword_of_radvd(port):
    (line,) = mistakes_in(changed(("hypervisors.hv1.guests.vm1.port", port)))
    assert line.startswith(f"hypervisors.hv1.guests.vm1.port: radvd cannot serve an interface called {port}, ")
    assert (
        mistakes_in(
            changed(
                ("hypervisors.hv1.guests.vm1.port", port),
                ("segments.guests.ipv6", REMOVE),
                ("segments.guests.gateway6", REMOVE),
            )
        )
        == []
    )


def test_radvd_refuses_its_keywords_and_reads_other_names(lab_image):
    for port in ("prefix", "on", "90", "1.5", "tap-prefix", "9a"):
        values = {"radvd": {"interfaces": [{"name": port, "prefix": "2001:db8::/64", "source": "fe80::1"}]}}
        code, output = parser_says(
            lab_image, {"radvd.conf": render("radvd/radvd.conf", values)}, "radvd", "-c", "-C", "/mnt/radvd.conf"
        )
        assert (code == 0) == (port in ("tap-prefix", "9a")), output


@pytest.mark.parametrize("name", ["ignore", "infinite"])
def test_a_guest_is_not_called_like_a_setting_of_dnsmasq(name):
    (line,) = mistakes_in(renamed("vm1", name))
    assert line.startswith(f"hypervisors.hv1.guests.{name}: dnsmasq reads {name} as a setting of a guest")


@pytest.mark.parametrize(("port", "is_refused"), [("disks", True), ("web", False), ("tap7", False)])
def test_a_port_is_not_called_like_another_segment_with_dhcp(port, is_refused):
    """dnsmasq tags a request with the name of its interface, and the options of a segment with the segment's name."""
    data = changed(("hypervisors.quay.guests.cache.port", port), ("segments.disks.dhcp", {}), start=other)
    wrong = "hypervisors.quay.guests.cache.port: dnsmasq would give guests of this interface the options of segments.disks; another name"
    assert mistakes_in(data) == ([wrong] if is_refused else [])


def test_a_segment_is_not_called_like_a_tag_of_dnsmasq():
    (line,) = mistakes_in(renamed("guests", "known", lambda: {**default(), "hypervisors": {"hv1": {"id": 1}}}))
    assert line == "segments.known: known is a tag that dnsmasq gives to guests itself; another name"


PARTS = st.lists(
    st.lists(st.text("ab-.", min_size=1, max_size=30), min_size=1, max_size=4).map(tuple), unique=True, max_size=20
)


@given(PARTS)
def test_symbols_are_unique_short_and_the_same_in_any_order(wanted):
    made = names.symbols(wanted, taken=["a_b", "a_b_ipv4"])
    assert len(set(made) | {"a_b", "a_b_ipv4"}) == len(made) + 2
    assert all(len(name) <= names.SYMBOL_LENGTH and not name[0].isdigit() for name in made)
    assert dict(zip(wanted, made, strict=True)) == dict(
        zip(wanted[::-1], names.symbols(wanted[::-1], ["a_b", "a_b_ipv4"]), strict=True)
    )


def resolved(data: dict):
    mistakes = Mistakes()
    intent = check(data, mistakes)
    assert not mistakes, mistakes.lines()
    return inventory(intent, owner="/somewhere")


def real(data: dict) -> dict:
    """Without a lab: real hosts, and guests with ports of their own names."""
    data.pop("lab")
    for hypervisor in data["hypervisors"].values():
        for number, guest in enumerate(hypervisor.get("guests", {}).values()):
            guest["port"] = f"tap{number}"
    return data


LONG = "fabric-with-a-name-of-32-letters"
NAMES = {
    "a long fabric": lambda: changed((f"fabrics.{LONG}.interface", "eth0"), start=lambda: renamed("A", LONG)),
    "a long fabric and a long node": lambda: changed(
        (f"fabrics.{LONG}.interface", "eth0"),
        start=lambda: renamed("rr1", "reflector-of-all", lambda: real(renamed("A", LONG))),
    ),
    "a fabric and two nodes that end alike": lambda: renamed(
        "hv3", "hv1-A", lambda: changed(("bgp.peering", "automatic"), ("reflectors", {}))
    ),
    "nodes called like protocols of BIRD": lambda: renamed("rr1", "kernel-vrf", lambda: renamed("rr2", "vrf")),
    "host names with a domain": lambda: renamed(
        "hv1", "hv1.example.net", lambda: renamed("rr1", "rr1.rack-7.example.net", lambda: real(default()))
    ),
    "addresses as names": lambda: renamed(
        "hv1", "192.0.2.11", lambda: renamed("rr1", "192.0.2.21", lambda: real(default()))
    ),
    "long host names": lambda: renamed(
        "hv1",
        "h" * 63 + ".example.net",
        lambda: renamed("vm1", "a-guest-with-a-long-name.example.net", lambda: real(default())),
    ),
    "long names of leaves": lambda: renamed(
        "switch1",
        "switch-in-the-first-rack.example.net",
        lambda: renamed("contiv1", "1st-host.example.net", lambda: real(contiv())),
    ),
}


@pytest.mark.parametrize("case", NAMES)
def test_daemons_accept_what_is_derived_from_names(case, lab_image):
    made = resolved(NAMES[case]())
    routers = [name for name, values in made.host_vars.items() if "bgp" in values]
    assert routers
    for name in routers:
        values = {**made.host_vars[name], "ospf_passwords": {}, "inventory_hostname": name}
        values["bgp_passwords"] = {key: "a password" for key in ("private", "public")}
        assert len({session["name"] for session in values["bgp"]["sessions"]}) == len(values["bgp"]["sessions"])
        for argv, files in parsers(values):
            code, output = parser_says(lab_image, files, *argv)
            assert code == 0, (name, argv, output)


def parsers(values: dict):
    """(command, files) for each daemon of a host."""
    if values["bgp"]["daemon"] == "bird":
        yield (
            ["bird", "-p", "-c", "/mnt/bird.conf"],
            {file: render(f"bird/{file}", values) for file in ("bird.conf", "secrets.conf")},
        )
    if values["bgp"]["daemon"] == "frr":
        yield ["vtysh", "--dryrun", "--inputfile", "/mnt/frr.conf"], {"frr.conf": render("frr/frr.conf", values)}
    if "dnsmasq" in values:
        files = {file: render(f"dnsmasq/{file}", values) for file in ("dnsmasq.conf", "dnsmasq.hosts")}
        yield ["dnsmasq", "--test", "-C", "/mnt/dnsmasq.conf"], files
        hosts = files["dnsmasq.hosts"].replace("\n", "\ndhcp-host=").removesuffix("dhcp-host=")
        yield ["dnsmasq", "--test", "-C", "/mnt/hosts"], {"hosts": hosts}
    if values.get("radvd", {}).get("interfaces"):
        yield ["radvd", "-c", "-C", "/mnt/radvd.conf"], {"radvd.conf": render("radvd/radvd.conf", values)}
    if values.get("nftables"):
        yield (
            ["unshare", "--net", "nft", "--check", "--file", "/mnt/n"],
            {"n": render("nftables/nftables.conf", values)},
        )


@pytest.mark.parametrize("name", ["hv1.example.net", "h" * 30, "1st-host", "192.0.2.11", "h" * 63 + ".example.net"])
def test_a_real_host_has_any_host_name_and_a_lab_node_a_short_one(name):
    assert mistakes_in(renamed("hv1", name, lambda: real(default()))) == []
    (line,) = mistakes_in(renamed("hv1", name))
    assert line.startswith(f"hypervisors.{name}: {name!r}")
    assert "is not a name for a node of a lab" in line


@pytest.mark.parametrize(
    "name",
    ["h" * 64, "-hv1", "hv1-", "hv1..net", "hv_1", "hv1.", "hv 1", "hv1\n", "lab", "h." * 127 + "net", "{{hv1}}"],
)
def test_what_is_no_host_name_is_refused(name):
    lines = mistakes_in(renamed("hv1", name, lambda: real(default())))
    assert len(lines) == 1, lines
    assert "is not a name for a node" in lines[0]


def test_a_real_guest_with_a_long_name_needs_a_name_for_its_port():
    data = real(renamed("vm1", "web1.customer.example.net"))
    assert mistakes_in(copy.deepcopy(data)) == []
    del data["hypervisors"]["hv1"]["guests"]["web1.customer.example.net"]["port"]
    assert mistakes_in(data) == [
        "hypervisors.hv1.guests.web1.customer.example.net.port: missing, and 'web1.customer.example.net' (25 characters) cannot be the name of its interface; the hypervisor's interface to it, for instance tap7"
    ]


def test_the_neighbor_of_a_real_host_may_have_a_domain():
    data = changed(("bgp.peering", "configured"), ("hypervisors.quay.neighbors", {"pier": {}}), start=containers)
    data = renamed("pier", "pier.example.net", lambda: data)
    del data["lab"]
    assert mistakes_in(data) == []


def test_the_host_name_of_a_switch_is_not_longer_than_nxos_allows():
    data = real(renamed("switch1", "s" * 60 + ".example.net", contiv))
    data["leaves"]["s" * 60 + ".example.net"]["platform"] = "nxos"
    assert [line for line in mistakes_in(data) if "NX-OS has up to 63 characters, not 72" in line]
