"""Mistakes about leaves, the hosts behind them and their containers: one by one, and many at once."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from support.intent_samples import REMOVE, changed, mistakes_in, only_mistake_in
from support.modules import PROJECT

SAMPLES = {
    name: yaml.safe_load(Path(PROJECT, "inventories", name, "fabric.yml").read_text())
    for name in ("contiv_leaf", "contiv_leaf_ha")
}
HOST, LEAF = "hypervisors.contiv1", "leaves.switch1"


def one() -> dict:
    """A leaf for each host."""
    return copy.deepcopy(SAMPLES["contiv_leaf"])


def pairs() -> dict:
    """Two leaves for each host, and two ways between leaves."""
    return copy.deepcopy(SAMPLES["contiv_leaf_ha"])


def switches() -> dict:
    """`one` on NX-OS."""
    data = one()
    del data["lab"]
    for leaf in data["leaves"].values():
        leaf["platform"] = "nxos"
    return data


def renamed(old: str, new: str) -> dict:
    """A fabric of `switches` with another name, on Vlan7 of its leaf."""
    data = switches()
    data["fabrics"][new] = data["fabrics"].pop(old)
    fabrics = data["leaves"]["switch1"]["fabrics"]
    fabrics[new] = {**fabrics.pop(old), "interface": "Vlan7"}
    host = data["hypervisors"]["contiv1"]
    host["fabrics"] = {new: {}}
    host["container_networks"]["public"]["fabric"] = new
    return data


def without_ospf() -> dict:
    """Leaves that meet on the backbone, where BIRD can be one."""
    data = one()
    del data["ospf"]
    for leaf in data["leaves"].values():
        leaf["fabrics"] = dict(sorted(leaf["fabrics"].items()))
    data["hypervisors"]["contiv2"]["as"] = 65003
    return data


BOTH_RACKS = {"rack1": {}, "rack2": {}}
SECOND_RACK = {"interface": "Vlan12", "ports": ["Ethernet1/1"], "addresses": {"main": {"ipv4": "10.1.2.253"}}}

ONE_MISTAKE = {
    # one router address for two
    "two hosts with one address": (changed(("hypervisors.contiv2.fabrics", {**BOTH_RACKS, "rack1": {"addresses": {"main": {"ipv4": "50.1.1.1"}}}}), start=one), f"{HOST}.id: gives 50.1.1.1, which is also given to hypervisors.contiv2.fabrics.rack1.addresses.main.ipv4; each address can be given once"),
    "two hosts with one id on a rack": (changed(("hypervisors.contiv2.id", 1), start=one), "hypervisors.contiv2.id: id 1 is also given to hypervisors.contiv1.id; addresses follow from it"),
    "a host with its leaf's address": (changed((f"{HOST}.id", 2), start=one), f"{HOST}.id: gives 50.1.1.2, which is also given to {LEAF}.fabrics.rack1.addresses.main.ipv4"),
    "two hosts with one router id": (changed((f"{HOST}.router_id", "192.0.2.1"), ("hypervisors.contiv2.router_id", "192.0.2.1"), start=one), f"hypervisors.contiv2.router_id: router id 192.0.2.1 is also given to {HOST}.router_id; each router needs its own"),
    "another host's address as router id": (changed((f"{HOST}.router_id", "60.1.1.3"), start=one), f"{HOST}.router_id: 60.1.1.3 is contiv2's router id, as an address of its own; each router needs its own"),
    "a leaf's loopback as router id": (changed(("hypervisors.host1.router_id", "10.255.0.1"), start=pairs), "hypervisors.host1.router_id: 10.255.0.1 is leaf1's router id"),
    "a leaf's router id twice": (changed((f"{LEAF}.router_id", "80.1.1.2"), start=one), f"leaves.switch2.router_id: router id 80.1.1.2 is also given to {LEAF}.router_id"),
    "two leaves with one address": (changed(("leaves.switch2.fabrics.backbone.addresses.main.ipv4", "80.1.1.1"), start=one), f"leaves.switch2.fabrics.backbone.addresses.main.ipv4: 80.1.1.1 is also given to {LEAF}.fabrics.backbone.addresses.main.ipv4"),
    "a leaf on another network": (changed((f"{LEAF}.fabrics.rack1.addresses.main.ipv4", "60.1.1.2"), ("fabrics.rack1.networks.main.gateway4", REMOVE), start=one), f"{LEAF}.fabrics.rack1.addresses.main.ipv4: 60.1.1.2 is not in 50.1.1.0/24, so switch1 is not on fabric rack1 in main; it is in fabrics.rack2.networks.main"),
    # routes that lead nowhere
    "a gateway that no router is": (changed(("fabrics.rack1a.networks.main.gateway4", "10.1.1.77"), start=pairs), "fabrics.rack1a.networks.main.gateway4: no router has the address 10.1.1.77; that of a leaf: 10.1.1.254"),
    "a static route to the containers' prefix": (changed(("leaves.leaf1.static", {"main": {"192.168.1.0/24": "10.80.1.2"}}), start=pairs), "leaves.leaf1.static.main.192.168.1.0/24: container_networks.public.ipv4 is the same prefix, which hypervisors announce; remove it"),
    # autonomous systems
    "a leaf by its address, in another AS": (changed((f"{HOST}.neighbors", {"leaf": {"address": "50.1.1.2", "as": 501}}), start=one), f"{HOST}.neighbors.leaf.address: 50.1.1.2 is switch1's, of AS 500 and not 501; write switch1: {{}}"),
    "a leaf by its loopback": (changed(("hypervisors.host1.neighbors", {"leaf": {"address": "10.255.0.1", "as": 500}}), start=pairs), "hypervisors.host1.neighbors.leaf.address: 10.255.0.1 is leaf1's; write leaf1: {}"),
    "a leaf by name, with an AS": (changed((f"{HOST}.neighbors", {"switch1": {"as": 500}}), start=one), f"{HOST}.neighbors.switch1.address: missing"),
    "a host in its leaf's AS": (changed((f"{HOST}.as", 500), start=one), f"{HOST}.as: 500 is switch1's, which does not pass contiv1's routes to switch2 (iBGP); an AS other than 500"),
    "a host without an AS": (changed((f"{HOST}.as", REMOVE), start=one), f"{HOST}.as: 500 is switch1's"),
    "a leaf in another AS": (changed(("leaves.switch2.as", 501), start=one), "leaves.switch2.as: 501 is not that of switch1 (500), and leaves peer by iBGP; one AS for all leaves, or no ospf"),
    "no number": (changed((f"{HOST}.as", "65002.1"), start=one), f"{HOST}.as: "),
    # who speaks to whom
    "a leaf elsewhere": (changed((f"{HOST}.neighbors", {"switch2": {}}), start=one), f"{HOST}.neighbors.switch2: contiv1 is on no network of switch2; hosts peer with the leaves of their networks: switch1"),
    "a misspelled leaf": (changed((f"{HOST}.neighbors", {"swich1": {}}), start=one), f"{HOST}.neighbors.swich1: no other router of this file has this name, and it has no address; did you mean switch1?"),
    # VLANs and ports
    "a VLAN interface of two fabrics": (changed((f"{LEAF}.fabrics.backbone.interface", "Vlan1"), start=one), f"{LEAF}.fabrics.backbone.interface: the interface name Vlan1 is also given to {LEAF}.fabrics.rack1.interface"),
    "the same on NX-OS": (changed((f"{LEAF}.fabrics.backbone.interface", "Vlan1"), start=switches), f"{LEAF}.fabrics.backbone.interface: the interface name Vlan1 is also given to {LEAF}.fabrics.rack1.interface"),
    "a port in two VLANs": (changed(("leaves.leaf1.fabrics.rack1b", SECOND_RACK), start=pairs), "leaves.leaf1.fabrics.rack1b.ports[0]: Ethernet1/1 is also given to leaves.leaf1.fabrics.rack1a.ports[0]; a port is in one VLAN, or is routed"),
    "a port twice in one": (changed((f"{LEAF}.fabrics.rack1.ports", ["Ethernet1/1", "Ethernet1/2", "Ethernet1/1"]), start=one), f"{LEAF}.fabrics.rack1.ports[2]: Ethernet1/1 is also given to {LEAF}.fabrics.rack1.ports[0]"),
    "a port that has addresses": (changed((f"{LEAF}.fabrics.rack1.ports", ["Ethernet1/44"]), start=switches), f"{LEAF}.fabrics.rack1.ports[0]: Ethernet1/44 is also given to {LEAF}.fabrics.backbone"),
    "the same on Linux": (changed((f"{LEAF}.fabrics.rack1.ports", ["Ethernet1/44"]), start=one), f"{LEAF}.fabrics.rack1.ports[0]: Ethernet1/44 is also given to {LEAF}.fabrics.backbone"),
    "a VLAN of two VRFs": (changed(("vrfs.main.vlan", 7), ("vrfs.blue", {"table": 7, "vlan": 7}), ("fabrics.backbone.interface", "bb"), start=one), "vrfs.blue.vlan: VLAN 7 is also given to vrfs.main.vlan; each VRF needs a VLAN of its own"),
    "a VLAN on interfaces of NX-OS": (changed(("vrfs.main.vlan", 7), ("fabrics.backbone.interface", "bb"), start=switches), "vrfs.main.vlan: switch1 runs NX-OS, and VLANs on interfaces (Vlan1) are not supported there; no VLAN here, and a separate interface on switches"),
    # names on NX-OS
    "a Linux name": (changed((f"{LEAF}.fabrics.backbone.interface", "eth0"), start=switches), f"{LEAF}.fabrics.backbone.interface: NX-OS has no interface called eth0; Vlan10, Ethernet1/44"),
    "a name of the lab": (changed((f"{LEAF}.fabrics.backbone.interface", "Ethernet1-44"), start=switches), f"{LEAF}.fabrics.backbone.interface: NX-OS has no interface called Ethernet1-44"),
    "no name": (changed((f"{LEAF}.fabrics.backbone.interface", REMOVE), start=switches), f"{LEAF}.fabrics.backbone.interface: NX-OS has no interface called fabric-backbone"),
    "a VLAN beyond 4094": (changed((f"{LEAF}.fabrics.rack1.interface", "Vlan4095"), start=switches), f"{LEAF}.fabrics.rack1.interface: NX-OS has no interface called Vlan4095"),
    "a port of another maker": (changed((f"{LEAF}.fabrics.rack1.ports", ["ge-0/0/1"]), start=switches), f"{LEAF}.fabrics.rack1.ports[0]: 'ge-0/0/1' is not an interface name; for instance Vlan10, Ethernet1/44 on NX-OS, or a Linux interface name"),
    "a port with a Linux name": (changed((f"{LEAF}.fabrics.rack1.ports", ["eth0"]), start=switches), f"{LEAF}.fabrics.rack1.ports[0]: NX-OS has no port called eth0; Ethernet1/1"),
    "a VLAN as port": (changed((f"{LEAF}.fabrics.rack1.ports", ["Vlan7"]), start=switches), f"{LEAF}.fabrics.rack1.ports[0]: NX-OS has no port called Vlan7; Ethernet1/1"),
    "ports of a port": (changed((f"{LEAF}.fabrics.rack1.interface", "Ethernet1/2"), start=switches), f"{LEAF}.fabrics.rack1.ports: Ethernet1/2 is a port itself; a Vlan interface, or no ports"),
    "a VLAN that NX-OS reserves": (changed((f"{LEAF}.fabrics.rack1.interface", "Vlan3968"), start=switches), f"{LEAF}.fabrics.rack1.interface: NX-OS reserves VLANs 3968 to 4094; Vlan1 to Vlan3967"),
    "the last VLAN that NX-OS reserves": (changed((f"{LEAF}.fabrics.rack1.interface", "Vlan4094"), start=switches), f"{LEAF}.fabrics.rack1.interface: NX-OS reserves VLANs 3968 to 4094; Vlan1 to Vlan3967"),
    "a VRF that NX-OS has": (changed(("vrfs.management", {"table": 7}), ("fabrics.oob", {"networks": {"management": {"ipv4": "10.9.9.0/24"}}}), (f"{LEAF}.fabrics.oob", {"interface": "Ethernet1/45", "addresses": {"management": {"ipv4": "10.9.9.1"}}}), start=switches), "vrfs.management: switch1, which runs NX-OS, has its management interface in a VRF of this name; another name"),
    "the name of VLAN 1": (renamed("rack1", "default"), "fabrics.default: Vlan7 of switch1, which runs NX-OS, would be called default, as another VLAN is by default; another name"),
    "the name of a VLAN without one": (renamed("rack1", "VLAN0020"), "fabrics.VLAN0020: Vlan7 of switch1, which runs NX-OS, would be called VLAN0020"),
    "a bundle as interface": (changed((f"{LEAF}.fabrics.backbone.interface", "port-channel7"), start=switches), f"{LEAF}.fabrics.backbone.interface: port-channel7 is a bundle, whose members and LACP are not configured here; one of its ports: Ethernet1/44"),
    "a bundle as port": (changed((f"{LEAF}.fabrics.rack1.ports", ["port-channel7"]), start=switches), f"{LEAF}.fabrics.rack1.ports[0]: port-channel7 is a bundle, whose members and LACP are not configured here; one of its ports: Ethernet1/44"),
    "the loopback's name": (changed(("leaves.leaf1.fabrics.north.interface", "loopback0"), start=pairs), "leaves.leaf1.fabrics.north.interface: the interface name loopback0 is also given to leaves.leaf1.loopback"),
    # container networks and gateways
    "a pool outside its subnet": (changed(("container_networks.public.pool", "192.168.2.1-192.168.2.9"), start=one), "container_networks.public.pool: 192.168.2.1-192.168.2.9 is not in 192.168.1.0/24; 192.168.1.1 to 192.168.1.254"),
    "a pool that ends outside": (changed(("container_networks.public.pool", "192.168.0.200-192.168.1.9"), start=pairs), "container_networks.public.pool: 192.168.0.200-192.168.1.9 is not in 192.168.1.0/24"),
    "the gateway in the pool": (changed(("container_networks.public.pool", "192.168.1.1-192.168.1.254"), start=one), "container_networks.public.pool: the containers' gateway 192.168.1.254 is in 192.168.1.1-192.168.1.254; a pool without it"),
    "the gateway outside": (changed(("container_networks.public.gateway4", "192.168.2.254"), start=one), "container_networks.public.gateway4: 192.168.2.254 cannot be a host in 192.168.1.0/24; 192.168.1.1 to 192.168.1.254"),
    "a container with the gateway's address": (changed(("hypervisors.host1.container_networks.public.containers.web1.ipv4", "192.168.1.254"), start=pairs), "hypervisors.host1.container_networks.public.containers.web1.ipv4: 192.168.1.254 is the containers' gateway"),
    "one address on two hosts": (changed(("hypervisors.host2.container_networks.public.containers.web2.ipv4", "192.168.1.3"), start=pairs), "hypervisors.host2.container_networks.public.containers.web2.ipv4: 192.168.1.3 is also given to hypervisors.host1.container_networks.public.containers.web1.ipv4"),
    "containers in a rack's network": (changed(("container_networks.public.ipv4", "50.1.1.128/25"), ("container_networks.public.gateway4", "50.1.1.254"), ("container_networks.public.pool", REMOVE), (f"{HOST}.container_networks.public.containers", {"web1": {}}), ("hypervisors.contiv2.container_networks.public.containers", {"web2": {}}), start=one), "container_networks.public.ipv4: 50.1.1.128/25 overlaps fabrics.rack1.networks.main.ipv4 (50.1.1.0/24)"),
    "a host as its own gateway": (changed(("fabrics.rack1.networks.main.gateway4", "50.1.1.1"), start=one), "fabrics.rack1.networks.main.gateway4: 50.1.1.1 is contiv1's own; the address of a router there"),
    # loopbacks, and ways between leaves
    "no loopback": (changed(("leaves.leaf1.loopback", REMOVE), start=pairs), "leaves.leaf1.loopback: missing, and there are several paths to other leaves (north, south); an address of its own, so that sessions survive the loss of a path"),
    "a loopback in one family": (changed(("leaves.leaf1.loopback.ipv6", REMOVE), start=pairs), "leaves.leaf1.loopback.ipv6: missing, and there are several paths to other leaves (north, south); an address of its own, so that sessions survive the loss of a path"),
    "a loopback of two": (changed(("leaves.leaf2.loopback.ipv4", "10.255.0.1"), start=pairs), "leaves.leaf2.loopback.ipv4: 10.255.0.1 is also given to leaves.leaf1.loopback.ipv4"),
    "a loopback on a network": (changed(("leaves.leaf1.loopback.ipv4", "10.80.1.9"), start=pairs), "leaves.leaf1.loopback.ipv4: 10.80.1.9 is in fabrics.north.networks.main.ipv4 (10.80.1.0/24); an address outside all networks"),
    "a loopback among containers": (changed(("leaves.leaf1.loopback.ipv6", "2001:db8:192:1::9"), start=pairs), "leaves.leaf1.loopback.ipv6: 2001:db8:192:1::9 is in container_networks.public.ipv6"),
    "sessions between networks without OSPF": (changed(("ospf", REMOVE), start=one), "ospf: missing, and switch1 and switch2 peer from different networks; add it; or remove the loopbacks, and list a shared fabric first in both"),
    "loopbacks without OSPF": (changed(("ospf", REMOVE), start=pairs), "ospf: missing, and leaf1 and leaf2 peer from different networks; add it; or remove the loopbacks, and list a shared fabric first in both"),
    "OSPF without leaves": (changed(("leaves", REMOVE), (f"{HOST}.neighbors", {"contiv2": {}}), ("hypervisors.contiv2.neighbors", REMOVE), start=one), "ospf: there are no leaves to run it; remove it, or define leaves"),
    "an area with a name": (changed(("ospf.area", "backbone"), start=one), "ospf.area: 'backbone' is not an IPv4 address"),
    # what a platform or daemon cannot do
    "NX-OS in a lab": (changed((f"{LEAF}.platform", "nxos"), start=one), f"{LEAF}.platform: no lab node runs NX-OS; frr, which is configured from the same data; or remove lab"),
    "an unknown platform": (changed((f"{LEAF}.platform", "ios"), start=one), f"{LEAF}.platform: 'ios' is not known; bird, frr, nxos"),
    "OSPF by BIRD": (changed((f"{LEAF}.platform", "bird"), start=one), f"{LEAF}.platform: OSPF is not supported with bird here; frr or nxos, or no ospf"),
    "hosts of one AS behind BIRD": (changed(("leaves.switch2.platform", "bird"), ("hypervisors.contiv2.as", 65002), start=without_ospf), "leaves.switch2.platform: hosts share AS 65002, and bird does not replace it in the AS path towards other hosts (as-override); frr or nxos, or an AS for each host"),
    "BFD by GoBGP": (changed(("bgp.bfd", {"interval_ms": 300, "multiplier": 3}), start=one), "bgp.daemon: gobgp has no BFD (bgp.bfd); use bird, or remove them"),
    "BFD by one host's GoBGP": (changed(("bgp.bfd", {"interval_ms": 300, "multiplier": 3}), ("bgp.daemon", "bird"), (f"{HOST}.daemon", "gobgp"), start=one), f"{HOST}.daemon: gobgp has no BFD (bgp.bfd)"),
    "passwords by GoBGP": (changed(("vrfs.main", {"password": True}), start=one), "bgp.daemon: gobgp has no passwords (vrfs.main.password); use bird"),
    "BFD faster than NX-OS": (changed(("bgp", {"as": 500, "peering": "configured", "bfd": {"interval_ms": 20, "multiplier": 3}}), start=switches), "bgp.bfd.interval_ms: 20 is out of range on switch1, which runs NX-OS; 50 to 999"),
    "BFD more patient than NX-OS": (changed(("bgp", {"as": 500, "peering": "configured", "bfd": {"interval_ms": 300, "multiplier": 60}}), start=switches), "bgp.bfd.multiplier: 60 is out of range on switch1, which runs NX-OS; 2 to 50"),
    # static routes
    "a next hop elsewhere": (changed((f"{LEAF}.static", {"main": {"10.9.0.0/16": "60.1.1.9"}}), start=one), f"{LEAF}.static.main.10.9.0.0/16: 60.1.1.9 is on no network of switch1 in main; an address in 50.1.1.0/24, 80.1.1.0/24"),
    "a next hop of its own": (changed((f"{LEAF}.static", {"main": {"10.9.0.0/16": "80.1.1.1"}}), start=one), f"{LEAF}.static.main.10.9.0.0/16: 80.1.1.1 is switch1's own"),
    "a next hop of another family": (changed((f"{LEAF}.static", {"main": {"10.9.0.0/16": "2001:db8::1"}}), start=one), f"{LEAF}.static.main.10.9.0.0/16: 2001:db8::1 is of another family; an IPv4 address"),
    "a static route to a network of its own": (changed((f"{LEAF}.static", {"main": {"50.1.1.0/24": "80.1.1.2"}}), start=one), f"{LEAF}.static.main.50.1.1.0/24: switch1 is on this network itself"),
    "a static route in no VRF": (changed((f"{LEAF}.static", {"blue": {"10.9.0.0/16": "80.1.1.2"}}), start=one), f"{LEAF}.static.blue: no VRF is called blue"),
    "a static route to an address": (changed((f"{LEAF}.static", {"main": {"10.9.0.1": "80.1.1.2"}}), start=one), f"{LEAF}.static.main.10.9.0.1: '10.9.0.1' is not a prefix"),
    # timers
    "a hold time of two keepalives": (changed(("bgp.timers", {"hold_s": 6}), start=one), "bgp.timers.hold_s: 6 is less than three keepalives of 3 s; a hold_s of 9 or more, or a keepalive_s of 2"),
    "keepalives as rare as the hold time": (changed(("bgp.timers", {"keepalive_s": 9}), start=one), "bgp.timers.keepalive_s: three keepalives of 9 s are more than the hold time of 9 s; a hold_s of 27 or more, or a keepalive_s of 3"),
    "a hold time of none": (changed(("bgp.timers", {"hold_s": 0}), start=one), "bgp.timers.hold_s: 0 is out of range; 3 to 3600: "),
    "impatience of GoBGP": (changed(("bgp.timers", {"connect_retry_s": 2}), start=one), "bgp.timers.connect_retry_s: 2 is out of range on contiv1, which runs gobgp; 5 or more"),
    "graceful restart beyond the protocol": (changed(("bgp.graceful_restart_s", 4096), start=one), "bgp.graceful_restart_s: 4096 is out of range; 0 to 4095: "),
    "graceful restart without GoBGP": (changed(("bgp", {"as": 500, "peering": "configured", "graceful_restart_s": 60}), start=one), "bgp.graceful_restart_s: no router of this file runs gobgp; remove it, or use gobgp; bird, frr and nxos only help a restarting neighbor"),
    "OSPF gives up between two packets": (changed(("ospf.timers", {"hello_s": 5}), start=one), "ospf.timers.hello_s: neighbors time out after 4 s, and hellos are sent every 5 s; a dead_s of two or more times hello_s"),
    "OSPF slower than sessions between loopbacks": (changed(("ospf.timers", {"dead_s": 6}), start=pairs), "ospf.timers: OSPF detects a dead path after 6 s, but sessions between loopbacks may end after 6 s; an ospf.timers.dead_s of less than bgp.timers.hold_s - keepalive_s"),
    "sessions between loopbacks faster than OSPF": (changed(("bgp.timers", {"hold_s": 3, "keepalive_s": 1}), start=pairs), "bgp.timers: OSPF detects a dead path after 4 s, but sessions between loopbacks may end after 2 s; an ospf.timers.dead_s of less than bgp.timers.hold_s - keepalive_s"),
    # OSPF's password
    "OSPF's password in the intent": (changed(("ospf.authentication", "s3cret"), start=one), "ospf.authentication: a secret in clear text; Leaves accept only neighbors with the area's password, ospf_passwords.AREA in a vaulted file: MD5 for IPv4, HMAC-SHA-256 for IPv6, which NX-OS does not support. Here: authentication: {}."),
    "OSPF's password under its own key": (changed(("ospf.authentication", {"password": "s3cret"}), start=one), "ospf.authentication.password: a secret in clear text; Never here: ospf_passwords.AREA in a vaulted file."),
    "BGP's password in the intent": (changed(("vrfs.main", {"password": "s3cret"}), ("bgp.daemon", "bird"), start=one), "vrfs.main.password: a secret in clear text; True: BGP sessions in it use the password bgp_passwords.NAME, in a vaulted file."),
    "a number of a password beyond OSPF": (changed(("ospf.authentication", {"key_id": 256}), start=one), "ospf.authentication.key_id: 256 is out of range; 1 to 255: "),
    "OSPF for IPv6 with a password on NX-OS": (changed(("lab", REMOVE), ("leaves.leaf1.platform", "nxos"), ("ospf.authentication", {}), start=pairs), "ospf.authentication: leaf1 runs NX-OS, which cannot authenticate OSPF for IPv6 as FRR does; remove it, or IPv6 from the leaves' networks"),
    "frames larger than NX-OS's": (changed(("fabrics.backbone.mtu", 9500), start=switches), "fabrics.backbone.mtu: 9500 is out of range on switch1, which runs NX-OS; up to 9216"),
}  # fmt: skip


@pytest.mark.parametrize("start", [one, pairs, switches, without_ospf])
def test_the_samples_have_no_mistake(start):
    assert mistakes_in(start()) == []


@pytest.mark.parametrize("case", ONE_MISTAKE)
def test_one_mistake_is_one_line_without_consequences(case):
    data, expected = ONE_MISTAKE[case]
    found = only_mistake_in(data)
    assert found.startswith(expected), found
    assert "s3cret" not in found


@pytest.mark.parametrize(
    "allowed",
    [
        changed((f"{HOST}.as", 65001), start=one),
        changed((f"{HOST}.router_id", "50.1.1.1"), start=one),  # its own
        changed(("leaves.switch1.platform", "bird"), start=without_ospf),
        # The only router of the AS beside the host: whom it tells nothing hears it from the host.
        changed((f"{HOST}.as", 500), (f"{HOST}.neighbors", {"switch1": {}, "contiv2": {}}), (f"{HOST}.fabrics", BOTH_RACKS), ("leaves.switch2.as", 501), ("hypervisors.contiv2.as", 65003), start=without_ospf),
        # Hypervisors' loopbacks and leaves' may come from one prefix.
        changed(("loopbacks", {"main": {"ipv4": "10.255.0.0/24"}}), ("hypervisors.host1.loopbacks", {"main": {"ipv4": "10.255.0.101"}}), ("hypervisors.host2.loopbacks", {"main": {"ipv4": "10.255.0.102"}}), start=pairs),
        changed(("bgp", {"as": 500, "peering": "configured", "bfd": {"interval_ms": 300, "multiplier": 3}}), start=switches),
        changed(("bgp", {"as": 500, "peering": "configured", "bfd": {"interval_ms": 300, "multiplier": 3}}), start=pairs),
        changed((f"{HOST}.neighbors", REMOVE), start=one),  # a host that is taken out of service
        # What NX-OS reserves, Linux does not.
        changed((f"{LEAF}.fabrics.rack1.interface", "Vlan3967"), start=switches),
        changed((f"{LEAF}.fabrics.rack1.interface", "Vlan4094"), start=one),
        changed((f"{LEAF}.fabrics.backbone.interface", "port-channel7"), start=one),
    ],
    ids=["own AS", "own router id", "bird", "iBGP to all", "one prefix of loopbacks", "BFD", "BFD in pairs", "silent", "last VLAN", "VLAN on Linux", "bundle on Linux"],
)  # fmt: skip
def test_what_is_right_is_not_refused(allowed):
    assert mistakes_in(allowed) == []


MANY = {
    "hypervisors.contiv2.router_id": "50.1.1.1",
    "hypervisors.contiv2.as": 500,
    f"{HOST}.neighbors.swich1": {},
    f"{LEAF}.fabrics.backbone.interface": "Vlan1",
    f"{LEAF}.fabrics.rack1.ports": ["Ethernet1/1", "Ethernet1/1"],
    "leaves.switch2.platform": "bird",
    "container_networks.public.pool": "192.168.1.200-192.168.2.9",
    "fabrics.rack2.networks.main.gateway4": "60.1.1.3",
    "leaves.switch2.loopback": {"ipv4": "80.1.1.77"},
    "ospf.area": "backbone",
    "bgp.bfd": {"interval_ms": 300, "multiplier": 3},
}


def test_mistakes_of_all_kinds_are_told_at_once():
    found = mistakes_in(changed(*MANY.items(), start=one))
    places = [*MANY]
    for short, place in {
        f"{LEAF}.fabrics.rack1.ports": f"{LEAF}.fabrics.rack1.ports[1]",
        "leaves.switch2.loopback": "leaves.switch2.loopback.ipv4",
        "bgp.bfd": "bgp.daemon",  # GoBGP has none
    }.items():
        places[places.index(short)] = place
    assert sorted(line.split(":")[0] for line in found) == sorted(places), "\n".join(found)
    assert all(";" in line for line in found), "what would be right is said everywhere"
