"""Every mistake is found, named by its path, and reported once, together with all others."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from support.intent_samples import DEFAULT_FILE, REMOVE, changed, default, mistakes_in, only_mistake_in, other
from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.plugin_utils.beside import check_groups
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent import mistakes as mistakes_of
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read

GUEST = "hypervisors.hv2.guests.vm3"


def renamed(path: str, new: str) -> dict:
    """The default lab with one key called differently."""
    data = default()
    *parents, old = path.split(".")
    place = data
    for part in parents:
        place = place[part]
    place[new] = place.pop(old)
    return data


ONE_MISTAKE = {
    # unknown and misspelled keys
    "misspelled section": (renamed("segments", "segmnets"), "segmnets: unknown key; did you mean segments?"),
    "variable of hosts": (
        changed(("hypervisors.hv1.ansible_host", "192.0.2.1")),
        "hypervisors.hv1.ansible_host: unknown key; it is a variable of hosts: move it to host_vars or group_vars",
    ),
    "key of another section": (changed(("drills", {})), "drills: unknown key; it belongs under lab"),
    "misspelled required section": (renamed("vrfs", "vrf"), "vrf: unknown key; did you mean vrfs?"),
    "misspelled key": (renamed("vrfs.public.table", "tabel"), "vrfs.public.tabel: unknown key; did you mean table?"),
    "misspelled family": (renamed("fabrics.A.networks.private.ipv4", "ipv44"), "fabrics.A.networks.private.ipv44: unknown key; did you mean ipv4?"),
    "a key in capitals": (renamed("hypervisors.hv2.id", "ID"), "hypervisors.hv2.ID: unknown key; did you mean id?"),
    "a section in capitals": (renamed("segments", "SEGMENTS"), "SEGMENTS: unknown key; did you mean segments?"),
    "a reference in capitals": (changed(("segments.guests.vrf", "PUBLIC")), "segments.guests.vrf: no VRF is called PUBLIC; did you mean public?"),
    "family 5 of a guest": (renamed(f"{GUEST}.ipv4", "ipv5"), f"{GUEST}.ipv5: unknown key; did you mean ipv4?"),
    "family 5 of a guest with IPv4": (changed((f"{GUEST}.ipv5", "203.0.113.3")), f"{GUEST}.ipv5: unknown key; did you mean ipv6?"),
    "family 5 of a segment with DHCP": (renamed("segments.guests.ipv4", "ipv5"), "segments.guests.ipv5: unknown key; did you mean ipv4?"),
    "family 5 of hypervisors' addresses": (renamed("fabrics.A.networks.public.hypervisors.ipv4", "ipv5"), "fabrics.A.networks.public.hypervisors.ipv5: unknown key; did you mean ipv4?"),
    "family in capitals": (renamed("loopbacks.private.ipv4", "IPV4"), "loopbacks.private.IPV4: unknown key; did you mean ipv4?"),
    "gateway without family": (renamed("segments.guests.gateway4", "gateway"), "segments.guests.gateway: unknown key; did you mean gateway4?"),
    "unknown key": (changed((f"{GUEST}.cpu", 4)), f"{GUEST}.cpu: unknown key; known here: segment, ipv4, ipv6, addresses, mac, port"),
    "a key that is a number": (changed(("vrfs", {**default()["vrfs"], 7: {}})), "vrfs.7: the key 7 is not text; put it in quotes"),
    # shapes
    "list for a map": (changed(("hypervisors", [])), "hypervisors: a list where a map is expected"),
    "text for a map": (changed(("vrfs.public", "x")), "vrfs.public: text ('x') where a map is expected"),
    "map for a list": (changed(("vrfs.private.host", {})), "vrfs.private.host: a map where a list is expected"),
    "text for a number": (changed(("vrfs.public.table", "ninety")), "vrfs.public.table: text ('ninety') where a whole number is expected"),
    "nothing in a list": (changed(("vrfs.private.host", [None])), "vrfs.private.host[0]: nothing where text is expected; Prefixes that"),
    "truth for a number": (changed(("hypervisors.hv1.id", True)), "hypervisors.hv1.id: true or false where a whole number is expected"),
    "nothing for a number": (changed(("bgp.as", None)), "bgp.as: nothing where a whole number is expected"),
    "missing key": (changed(("hypervisors.hv2.id", REMOVE)), "hypervisors.hv2.id: missing"),
    "missing section": (changed(("bgp", REMOVE)), "bgp: missing"),
    "no hypervisors": (changed(("hypervisors", {})), "hypervisors: empty; name one or more"),
    "neither family": (changed(("loopbacks.private", {})), "loopbacks.private: has neither ipv4 nor ipv6"),
    "gateway missing": (changed(("segments.guests.gateway4", REMOVE)), "segments.guests.gateway4: missing"),
    "another plugin": (changed(("plugin", "routed.hypervisor.fabrik")), "plugin: 'routed.hypervisor.fabrik' is not routed.hypervisor.fabric"),
    "init of a lab": (changed(("lab.init", "sysvinit")), "lab.init: 'sysvinit'"),
    "init of an unknown node": (changed(("lab.nodes", {"hv9": {"init": "systemd"}})), "lab.nodes.hv9: no node is called hv9; did you mean hv"),
    # ranges
    "AS number 0": (changed(("bgp.as", 0)), "bgp.as: 0 is out of range; 1 to 4294967295"),
    "AS number too large": (changed(("bgp.as", 4294967296)), "bgp.as: 4294967296 is out of range; 1 to 4294967295"),
    "VLAN 0": (changed(("vrfs.public.vlan", 0)), "vrfs.public.vlan: 0 is out of range; 1 to 4094"),
    "VLAN 4095": (changed(("vrfs.public.vlan", 4095)), "vrfs.public.vlan: 4095 is out of range; 1 to 4094"),
    "table 0": (changed(("vrfs.public.table", 0)), "vrfs.public.table: 0 is out of range; 1 to 4294967295"),
    "table of the kernel": (changed(("vrfs.public.table", 254)), "vrfs.public.table: 254 is reserved; "),
    "MTU too small": (changed(("fabrics.A.mtu", 500)), "fabrics.A.mtu: 500 is out of range; 576 to 65535"),
    "MTU too small for IPv6": (changed(("fabrics.A.mtu", 1200)), "fabrics.A.mtu: 1200 is too small for IPv6; 1280 or more"),
    "guests' MTU too small for IPv6": (changed(("segments.guests.mtu", 1279)), "segments.guests.mtu: 1279 is too small for IPv6; 1280 or more"),
    "metric of the last resort": (changed(("segments.guests.metric", 4278198272)), "segments.guests.metric: 4278198272 is out of range; 1 to 4278198271"),
    "BFD interval": (changed(("bgp.bfd.interval_ms", 1)), "bgp.bfd.interval_ms: 1 is out of range; 10 to 60000"),
    "id 0": (changed(("hypervisors.hv2.id", 0)), "hypervisors.hv2.id: 0 is out of range; 1 to 65535"),
    # forms
    "not an address": (changed((f"{GUEST}.ipv4", "203.0.113.300")), f"{GUEST}.ipv4: '203.0.113.300' is not an IPv4 address"),
    "half an address": (changed((f"{GUEST}.ipv4", "203.0")), f"{GUEST}.ipv4: '203.0' is not an IPv4 address"),
    "other family": (changed((f"{GUEST}.ipv4", "2001:db8::1")), f"{GUEST}.ipv4: '2001:db8::1' is not an IPv4 address"),
    "prefix with host bits": (changed(("segments.guests.ipv4", "203.0.113.9/24")), "segments.guests.ipv4: '203.0.113.9/24' is not an IPv4 prefix; did you mean 203.0.113.0/24?"),
    "IPv6 prefix with host bits": (changed(("segments.guests.ipv6", "2001:db8:cb00:7100::1/64")), "segments.guests.ipv6: '2001:db8:cb00:7100::1/64' is not an IPv6 prefix; did you mean 2001:db8:cb00:7100::/64?"),
    "prefix in a list with host bits": (changed(("vrfs.private.host", ["172.22.0.1/16"])), "vrfs.private.host[0]: '172.22.0.1/16' is not a prefix; did you mean 172.22.0.0/16?"),
    "prefix of the other family with host bits": (changed(("segments.guests.ipv4", "2001:db8::1/64")), "segments.guests.ipv4: '2001:db8::1/64' is not an IPv4 prefix; for instance"),
    "prefix without length": (changed(("loopbacks.private.ipv4", "172.22.2.0")), "loopbacks.private.ipv4: '172.22.2.0' is not an IPv4 prefix"),
    "multicast MAC": (changed((f"{GUEST}.mac", "01:00:5e:00:00:01")), f"{GUEST}.mac: '01:00:5e:00:00:01' is not the MAC address of one interface"),
    # names
    "node name too long": (renamed("hypervisors.hv2.guests.vm3", "a-very-long-name"), "hypervisors.hv2.guests.a-very-long-name: 'a-very-long-name' (16 characters) is not a name for a node"),
    "VRF name too long": (changed(("vrfs.averyverylongvrf", {"table": 7, "vlan": 7})), "vrfs.averyverylongvrf: 'averyverylongvrf' (16 characters) is not a name for a VRF"),
    "uplink's name too long": (changed(("fabrics.A.interface", "sixteen-letters-")), "fabrics.A.interface: 'sixteen-letters-' (16 characters) is not an interface name"),
    "derived VLAN name too long": (changed(("fabrics.A.interface", "thirteen-long")), "fabrics.A.interface: thirteen-long.20, the VLAN interface of private on fabric A, has 16 characters; interfaces have up to 15: choose an interface name of up to 12"),
    "own VLAN name too long": (changed(("reflectors.rr1.interface", "thirteen-long")), "reflectors.rr1.interface: thirteen-long.20, the VLAN interface of private on rr1, has 16 characters"),
    "reserved interface": (changed((f"{GUEST}.port", "lo")), f"{GUEST}.port: 'lo' is not an interface name"),
    "reserved node": (renamed("hypervisors.hv2", "all"), "hypervisors.all: 'all' is not a name for a node"),
    "group as node": (renamed("hypervisors.hv2.guests.vm3", "hypervisors"), "hypervisors.hv2.guests.hypervisors: 'hypervisors' is not a name for a node"),
    "underscore": (renamed("hypervisors.hv2", "hv_2"), "hypervisors.hv_2: 'hv_2' is not a name for a node"),
    "hyphen in a VRF": (changed(("vrfs.a-b", {"table": 7, "vlan": 7})), "vrfs.a-b: 'a-b' is not a name for a VRF"),
    "names that differ in case": (renamed("hypervisors.hv2", "HV1"), "hypervisors.HV1: HV1 differs only in case from hv1, hypervisors.hv1; each node needs a name of its own"),
    "a guest called like a switch but for case": (renamed("hypervisors.hv2.guests.vm3", "switch-b"), "hypervisors.hv2.guests.switch-b: switch-b differs only in case from switch-B, fabrics.B"),
    "two guests of a name": (changed(("hypervisors.hv3.guests.vm1", {"ipv4": "203.0.113.9"})), "hypervisors.hv3.guests.vm1: the name vm1 is also given to hypervisors.hv1.guests.vm1"),
    "guest called like a router": (renamed("hypervisors.hv2.guests.vm3", "rr1"), "hypervisors.hv2.guests.rr1: the name rr1 is also given to reflectors.rr1"),
    "guest called like a VRF": (renamed("hypervisors.hv2.guests.vm3", "public"), "hypervisors.hv2.guests.public: the interface name public is also given to vrfs.public"),
    "guest called like a loopback": (renamed("hypervisors.hv2.guests.vm3", "loopback"), "hypervisors.hv2.guests.loopback: the interface name loopback is also given to loopbacks.private.interface"),
    "two uplinks of a name": (changed(("fabrics.B.interface", "fabric-A")), "fabrics.B.interface: the interface name fabric-A is also given to fabrics.A.interface"),
    "port called like an uplink": (changed((f"{GUEST}.port", "fabric-B")), f"{GUEST}.port: the interface name fabric-B is also given to fabrics.B.interface"),
    "port called like a VLAN": (changed((f"{GUEST}.port", "fabric-B.90")), f"{GUEST}.port: the interface name fabric-B.90 is also given to fabrics.B.interface"),
    # references
    "VRF that no one defined": (changed(("segments.guests.vrf", "pubic")), "segments.guests.vrf: no VRF is called pubic; did you mean public?"),
    "border's VRF": (changed(("borders.internet.vrf", "dmz")), "borders.internet.vrf: no VRF is called dmz; define it under vrfs, or use one of: private, public"),
    "network's VRF": (changed(("fabrics.A.networks.dmz", {"ipv4": "10.0.0.0/24"})), "fabrics.A.networks.dmz: no VRF is called dmz"),
    "loopback's VRF": (changed(("loopbacks.dmz", {"ipv4": "10.0.0.0/24", "interface": "dmz0"})), "loopbacks.dmz: no VRF is called dmz"),
    "reflector's fabric": (changed(("reflectors.rr2.fabric", "C")), "reflectors.rr2.fabric: no fabric is called C; define it under fabrics, or use one of: A, B"),
    "hypervisor's fabric": (changed(("hypervisors.hv2.fabrics", {"A": {}, "C": {}})), "hypervisors.hv2.fabrics.C: no fabric is called C"),
    "border's fabric": (changed(("borders.internet.fabrics.C", {"ipv4": "198.51.100.9"})), "borders.internet.fabrics.C: no fabric is called C"),
    "guest's segment": (changed((f"{GUEST}.segment", "gusts")), f"{GUEST}.segment: no segment is called gusts; did you mean guests?"),
    "guests without segment": (changed(("segments", {})), "segments: there are guests, but no segment; define one"),
    "reflector's VRF": (changed(("reflectors.rr1.addresses.dmz", {"ipv4": "198.51.100.9"})), "reflectors.rr1.addresses.dmz: no VRF is called dmz"),
    "segment not said": (changed(("hypervisors.pier.guests.blog.segment", REMOVE), start=other), "hypervisors.pier.guests.blog.segment: missing, and there are several segments; one of: web, disks"),
    "border's VRF not on the fabric": (changed(("borders.south.vrf", "storage_net"), ("borders.south.fabrics", {"third": {"ipv4": "10.3.0.1"}}), start=other), "borders.south.fabrics.third: storage_net has no network on fabric third"),
    "fabric without reflector": (changed(("reflectors.rr2", REMOVE)), "fabrics.B: no reflector is on this fabric; add one under reflectors with fabric: B"),
    "family without reflector": (changed(("reflectors.rr2.addresses.public.ipv6", REMOVE)), "fabrics.B.networks.public.ipv6: no reflector on B has an IPv6 address in public; give a reflector of B addresses.public.ipv6"),
    # numbers that are given once
    "table given twice": (changed(("vrfs.public.table", 20)), "vrfs.public.table: table 20 is also given to vrfs.private.table"),
    "VLAN given twice": (changed(("vrfs.public.vlan", 20)), "vrfs.public.vlan: VLAN 20 is also given to vrfs.private.vlan"),
    "id given twice": (changed(("hypervisors.hv3.id", 1)), "hypervisors.hv3.id: id 1 is also given to hypervisors.hv1.id"),
    "router id given twice": (changed(("hypervisors.hv3.router_id", "192.0.2.5"), ("reflectors.rr1.router_id", "192.0.2.5")), "hypervisors.hv3.router_id: router id 192.0.2.5 is also given to reflectors.rr1.router_id"),
    # prefixes
    "prefix given twice": (changed(("segments.more", {"vrf": "public", "ipv4": "203.0.113.0/24", "gateway4": "203.0.113.253"}), ("hypervisors", {"hv1": {"id": 1}})), "segments.more.ipv4: 203.0.113.0/24 overlaps segments.guests.ipv4 (203.0.113.0/24)"),
    "prefix in another": (changed(("loopbacks.private.ipv4", "203.0.113.128/25")), "segments.guests.ipv4: 203.0.113.0/24 overlaps loopbacks.private.ipv4 (203.0.113.128/25)"),
    "host prefix twice": (changed(("vrfs.private.host", ["172.22.0.0/16", "172.22.2.0/24"])), "vrfs.private.host[1]: 172.22.2.0/24 overlaps vrfs.private.host[0] (172.22.0.0/16)"),
    "host prefix of another VRF": (changed(("vrfs.private.host", ["203.0.112.0/20"])), "vrfs.private.host[0]: 203.0.112.0/20 overlaps segments.guests.ipv4 (203.0.113.0/24), which is in public"),
    "not a /64": (changed(("segments.guests.ipv6", "2001:db8:cb00:7100::/80")), "segments.guests.ipv6: 2001:db8:cb00:7100::/80 is not a /64"),
    # addresses
    "guest's address given twice": (changed((f"{GUEST}.ipv4", "203.0.113.1")), f"{GUEST}.ipv4: 203.0.113.1 is also given to hypervisors.hv1.guests.vm1.ipv4"),
    "guest outside its subnet": (changed((f"{GUEST}.ipv4", "203.0.114.3")), f"{GUEST}.ipv4: 203.0.114.3 is not in 203.0.113.0/24, the prefix of segment guests; 203.0.113.1 to 203.0.113.254"),
    "guest has the gateway's address": (changed((f"{GUEST}.ipv4", "203.0.113.254")), f"{GUEST}.ipv4: 203.0.113.254 is the gateway of segment guests; another address than its gateway4"),
    "guest has the network's address": (changed((f"{GUEST}.ipv4", "203.0.113.0")), f"{GUEST}.ipv4: 203.0.113.0 is the network or broadcast address of 203.0.113.0/24"),
    "guest has the broadcast address": (changed((f"{GUEST}.ipv4", "203.0.113.255")), f"{GUEST}.ipv4: 203.0.113.255 is the network or broadcast address of 203.0.113.0/24"),
    "guest without address": (changed((GUEST, {})), f"{GUEST}.ipv4: missing; an address in 203.0.113.0/24"),
    "guest's IPv6 outside": (changed((f"{GUEST}.ipv6", "2001:db8::3")), f"{GUEST}.ipv6: 2001:db8::3 is not in 2001:db8:cb00:7100::/64, the prefix of segment guests"),
    "guest's IPv6 is another's": (changed((f"{GUEST}.ipv6", "2001:db8:cb00:7100:0:cbff:fe00:7101")), f"{GUEST}.ipv6: 2001:db8:cb00:7100:0:cbff:fe00:7101 is also given to hypervisors.hv1.guests.vm1.ipv4"),
    "MAC given twice": (changed(("segments.guests.ipv6", REMOVE), ("segments.guests.gateway6", REMOVE), (f"{GUEST}.mac", "02:00:CB:00:71:01")), f"{GUEST}.mac: the MAC 02:00:cb:00:71:01 is also given to hypervisors.hv1.guests.vm1.ipv4"),
    "gateway outside": (changed(("segments.guests.gateway4", "203.0.114.1")), "segments.guests.gateway4: 203.0.114.1 cannot be a host in 203.0.113.0/24; 203.0.113.1 to 203.0.113.254"),
    "gateway is the broadcast address": (changed(("segments.guests.gateway4", "203.0.113.255")), "segments.guests.gateway4: 203.0.113.255 cannot be a host in 203.0.113.0/24"),
    "gateway not link-local": (changed(("segments.guests.gateway6", "2001:db8:cb00:7100::1")), "segments.guests.gateway6: 2001:db8:cb00:7100::1 is not link-local"),
    "DHCP without IPv4": (changed(("segments.v6", {"vrf": "public", "ipv6": "2001:db8:77::/64", "dhcp": {}}), ("hypervisors", {"hv1": {"id": 1}})), "segments.v6.dhcp: DHCP without an IPv4 prefix"),
    "reflector on another fabric": (changed(("reflectors.rr2.addresses.public.ipv4", "198.51.100.26")), "reflectors.rr2.addresses.public.ipv4: 198.51.100.26 is not in 198.51.100.128/25, so rr2 is not on fabric B in public; it is in fabrics.A.networks.public"),
    "router has the broadcast address": (changed(("borders.internet.fabrics.A.ipv4", "198.51.100.127")), "borders.internet.fabrics.A.ipv4: 198.51.100.127 is the network or broadcast address of 198.51.100.0/25"),
    "two routers with an address": (changed(("borders.internet.fabrics.A.ipv4", "198.51.100.126")), "borders.internet.fabrics.A.ipv4: 198.51.100.126 is also given to reflectors.rr1.addresses.public.ipv4"),
    "id that makes a reflector's address": (changed(("hypervisors.hv3.id", 26)), "hypervisors.hv3.id: gives 172.22.15.126, which is also given to reflectors.rr1.addresses.private.ipv4"),
    "id beyond the prefix": (changed(("hypervisors.hv3.id", 60)), "hypervisors.hv3.id: gives 172.22.15.160, which is not in 172.22.15.0/25, so hv3 is not on fabric A in private"),
    "base outside the prefix": (changed(("fabrics.A.networks.public.hypervisors.ipv4", "198.51.200.100")), "fabrics.A.networks.public.hypervisors.ipv4: 198.51.200.100 is not in 198.51.100.0/25"),
    "base of a family without prefix": (changed(("fabrics.A.networks.private.hypervisors.ipv6", "2001:db8::")), "fabrics.A.networks.private.hypervisors.ipv6: private has no ipv6 prefix on A"),
    "family that the network has not": (changed(("reflectors.rr1.addresses.private.ipv6", "2001:db8::1")), "reflectors.rr1.addresses.private.ipv6: private has no ipv6 prefix on fabric A"),
    "world inside the fabric": (changed(("borders.internet.world", ["203.0.113.77"])), "borders.internet.world[0]: 203.0.113.77 is in segments.guests"),
    "impaired fabric that does not exist": (changed(("lab.impair", {"C": {"delay_ms": 5}})), "lab.impair.C: no fabric is called C; define it under fabrics, or use one of: A, B"),
    "impaired by another word": (changed(("lab.impair", {"A": {"delay": 5}})), "lab.impair.A.delay: unknown key; did you mean delay_ms?"),
    "impairment with a unit": (changed(("lab.impair", {"A": {"delay_ms": "5ms"}})), "lab.impair.A.delay_ms: text ('5ms') where a whole number is expected"),
    "more lost than sent": (changed(("lab.impair", {"A": {"loss_percent": 101}})), "lab.impair.A.loss_percent: 101 is out of range; 0 to 100"),
    "impaired node that does not exist": (changed(("lab.nodes", {"hv9": {"impair": {"A": {"delay_ms": 5}}}})), "lab.nodes.hv9: no node is called hv9"),
    "impaired node without that uplink": (changed(("lab.nodes", {"rr1": {"impair": {"B": {"delay_ms": 5}}}})), "lab.nodes.rr1.impair.B: rr1 has no uplink to fabric B; use one of: A"),
    "impaired guest": (changed(("lab.nodes", {"vm1": {"impair": {"A": {"delay_ms": 5}}}})), "lab.nodes.vm1.impair.A: vm1 has no uplink to fabric A; remove this"),
    "own loopback outside": (changed(("hypervisors.hv1.loopbacks", {"private": {"ipv4": "172.22.9.1"}})), "hypervisors.hv1.loopbacks.private.ipv4: 172.22.9.1 is not in loopbacks.private.ipv4 (172.22.2.0/24)"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_MISTAKE)
def test_one_mistake_is_one_line_without_consequences(case):
    data, expected = ONE_MISTAKE[case]
    found = only_mistake_in(data)
    assert found.startswith(expected), found


def test_both_samples_have_no_mistake():
    assert mistakes_in(default()) == []
    assert mistakes_in(other()) == []


TEN = [
    ("bgp.as", 0),
    ("vrfs.public.vlan", 20),
    ("vrfs.private.host", ["203.0.113.0/24"]),
    ("fabrics.A.mtu", 1000),
    ("segments.guests.gateway6", "2001:db8::1"),
    ("reflectors.rr2.addresses.private.ipv4", "172.22.15.26"),
    ("borders.internet.world", ["192.0.2.1", "nowhere"]),
    ("hypervisors.hv1.guests.vm2.ipv4", "203.0.113.254"),
    ("hypervisors.hv2.guests.vm3.ipv5", "203.0.113.9"),
    ("hypervisors.hv3.id", 1),
]


def test_ten_mistakes_are_ten_lines():
    found = mistakes_in(changed(*TEN))
    starts = sorted(line.split(":")[0] for line in found)
    assert starts == sorted(
        [path for path, _value in TEN if path not in ("vrfs.private.host", "borders.internet.world")]
        + ["vrfs.private.host[0]", "borders.internet.world[1]"]
    )


def refused(tmp_path, text: str | bytes) -> str:
    (tmp_path / "fabric.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(mistakes_of.IntentError) as caught:
        read(str(tmp_path / "fabric.yml"))
    return str(caught.value)


FILES = {
    "empty": (b"", "the file is empty"),
    "a list": (b"- a\n", "the file is a list, not a map"),
    "only a comment": (b"# nothing\n", "the file is empty"),
    "not closed": (b"plugin: x\nname: [1, 2\nlab: {}\n", "line 3, column 4: invalid YAML"),
    "tab": (b"plugin: x\n\tname: y\n", "line 2, column 1: invalid YAML"),
    "key given twice": (
        b"plugin: x\nname: a\nlab: {}\nname: b\n",
        "line 4, column 1: invalid YAML: the key 'name' is already defined in line 2",
    ),
    "not UTF-8": (b"plugin: x\nname: caf\xe9\n", "line 2: byte 0xe9 is not UTF-8"),
    "control character": (
        b"plugin: x\nname: \x07\n",
        "line 2, column 7: invalid YAML: character U+0007 is not allowed",
    ),
    "unknown tag": (b"plugin: x\nname: !python/object:os.system x\n", "line 2, column 7: invalid YAML"),
    "refers to itself": (b"name: &a {b: *a}\n", "line 1, column 14: invalid YAML"),
    "unknown alias": (b"name: *nobody\n", "line 1, column 7: invalid YAML"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(case, tmp_path):
    text, expected = FILES[case]
    message = refused(tmp_path, text)
    assert expected in message
    assert message.startswith(f"1 mistake in {tmp_path / 'fabric.yml'}; nothing was touched.")


def test_mistakes_come_in_the_order_of_the_file_with_their_lines(tmp_path):
    text = DEFAULT_FILE.read_text().replace("203.0.113.3}", "203.0.113.1}").replace("vlan: 90", "vlan: 20")
    lines = text.splitlines()
    vlan = max(number for number, line in enumerate(lines, 1) if "vlan: 20" in line)
    guest = next(number for number, line in enumerate(lines, 1) if "vm3" in line)
    message = refused(tmp_path, text).splitlines()
    assert message[0] == f"2 mistakes in {tmp_path / 'fabric.yml'}; nothing was touched."
    assert message[1].startswith(f"  line {vlan}, vrfs.public.vlan: ")
    assert message[2].startswith(
        f"  line {guest}, hypervisors.hv2.guests.vm3.ipv4: 203.0.113.1 is also given to hypervisors.hv1.guests.vm1.ipv4"
    )


def test_numbers_with_colons_are_addresses(tmp_path):
    data = changed((f"{GUEST}.mac", "MAC"))
    text = yaml.safe_dump(data).replace("mac: MAC", "mac: 52:54:00:12:34:56")
    (tmp_path / "fabric.yml").write_text(text)
    assert read(str(tmp_path / "fabric.yml")).hypervisors["hv2"].guests[0].mac == "52:54:00:12:34:56"


@pytest.fixture
def inventory(tmp_path):
    (tmp_path / "inventory").mkdir()

    def run(command: str, *arguments: str, path: str = ""):
        """What a person at the project's directory sees, who has the project's settings and none of their own."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": path, "LANG": "C.UTF-8"}
        argv = [sys.executable, "-m", f"ansible.cli.{command}", "-i", str(tmp_path / "inventory"), *arguments]
        return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False, cwd=PROJECT)

    run.path = tmp_path / "inventory"
    return run


def assert_refused(result) -> None:
    assert result.returncode != 0
    assert "Traceback" not in result.stderr + result.stdout
    assert "PLAY" not in result.stdout


@pytest.mark.parametrize("command", [("inventory", "--list"), ("playbook", "site.yml")])
def test_ansible_refuses_the_inventory_and_says_everything_once(inventory, command):
    data = changed(*TEN)
    (inventory.path / "fabric.yml").write_text(yaml.safe_dump(data))
    result = inventory(*command)
    assert_refused(result)
    assert result.stderr.count("10 mistakes in ") == 1
    for line in mistakes_in(data):
        assert result.stderr.count(line) == 1, line


@pytest.mark.parametrize("library", ["jsonschema", "netaddr"])
def test_a_missing_library_is_one_sentence(inventory, tmp_path, library):
    (inventory.path / "fabric.yml").write_text(yaml.safe_dump(default()))
    (tmp_path / f"{library}.py").write_text("raise ImportError\n")
    result = inventory("inventory", "--list", path=str(tmp_path))
    assert_refused(result)
    said = " ".join(result.stderr.split())  # Ansible breaks long lines
    assert said.count(f"Failed to import the required Python library ({library})") == 1, said


def test_an_inventory_directory_can_have_more_beside_the_intent(inventory):
    (inventory.path / "fabric.yaml").write_text(yaml.safe_dump(default()))
    (inventory.path / "hosts.yml").write_text("all: {hosts: {extra: {greeting: hello}}}\n")
    (inventory.path / "more").write_text("[old]\nancient\n")
    for name in ("group_vars", "host_vars"):
        (inventory.path / name).mkdir()
    (inventory.path / "group_vars" / "hypervisors.yml").write_text("site: here\n")
    (inventory.path / "host_vars" / "hv2.yml").write_text("site: there\n")
    result = inventory("inventory", "--list")
    assert result.returncode == 0, result.stderr
    hosts = yaml.safe_load(result.stdout)["_meta"]["hostvars"]
    assert hosts["extra"]["greeting"] == "hello"
    assert "ancient" in hosts or "ancient" in result.stdout
    assert (hosts["hv1"]["site"], hosts["hv2"]["site"]) == ("here", "there")
    assert hosts["lab_host"]["lab"]["owner"] == str(inventory.path)


def test_a_second_intent_in_a_directory_is_refused(inventory):
    for name in ("fabric.yml", "other.yml"):
        (inventory.path / name).write_text(yaml.safe_dump(default()))
    result = inventory("inventory", "--list")
    assert result.returncode != 0
    message = " ".join(result.stderr.split())
    assert f"{inventory.path}/other.yml is a second intent beside {inventory.path}/fabric.yml" in message


def test_a_yaml_error_beside_the_intent_has_its_line(inventory):
    (inventory.path / "fabric.yml").write_text(yaml.safe_dump(default()))
    (inventory.path / "hosts.yml").write_text("all:\n  hosts:\n    a: {}\n   b: {}\n")
    result = inventory("inventory", "--list")
    assert result.returncode != 0
    assert f"1 mistake in {inventory.path}/hosts.yml; nothing was touched." in result.stderr
    assert result.stderr.count("line 4, column 4: invalid YAML: did not find expected key") == 1
    assert result.stderr.count("did not find expected key") == 1


def test_a_file_of_hosts_that_is_no_map_is_refused_with_the_remedy(inventory):
    (inventory.path / "fabric.yml").write_text(yaml.safe_dump(default()))
    (inventory.path / "hosts.yml").write_text("hv1 ansible_host=192.0.2.1\n")
    result = inventory("inventory", "--list")
    assert result.returncode != 0 and "AnsibleTagged" not in result.stderr
    assert "must be a map of groups, such as all: {hosts: {hv1: {ansible_host: 192.0.2.1}}}" in result.stderr


# Accepted by Ansible, which prints a warning at most: refused with the line of each mistake.
IGNORED = {
    "a host at the top": ("hv1: {ansible_host: 192.0.2.1}", "line 1, hv1: a host where Ansible expects a group; write it as all.hosts.hv1"),
    "a host in the place of a section": ("hypervisors:\n  hv2: {ansible_host: 192.0.2.2}", "line 2, hypervisors.hv2: not a key of a group; put a host under hosts"),
    "a variable in the place of a section": ("all:\n  ansible_user: admin", "line 2, all.ansible_user: not a key of a group; put a variable under vars"),
    "a misspelled section": ("all:\n  host: {hv1: {}}", "line 2, all.host: unknown key; did you mean hosts?"),
    "hosts in a list": ("all:\n  hosts: [hv1]", "line 2, all.hosts: a list where a map is expected; write each host as a key"),
    "text for a group": ("all: {}\nhv1: 192.0.2.1", "line 2, hv1: neither a group nor a host"),
    "a child that is a host": ("all:\n  children:\n    hv1: {ansible_host: 192.0.2.1}", "line 3, all.children.hv1: a host where Ansible expects a group"),
}  # fmt: skip


@pytest.mark.parametrize("case", IGNORED)
def test_what_ansible_would_ignore_in_a_file_of_hosts_is_refused(case, tmp_path):
    text, expected = IGNORED[case]
    (tmp_path / "hosts.yml").write_text(f"{text}\n")
    with pytest.raises(mistakes_of.IntentError) as refusal:
        check_groups(str(tmp_path / "hosts.yml"))
    [line] = refusal.value.lines
    assert line.startswith(expected)


def test_everything_that_ansible_understands_is_accepted(tmp_path):
    text = "all: {vars: {a: {b: c}}, hosts: hv1, children: {x: , y: {}, z: {hosts: {hv2: , hv3: {a: !vault b}}}}}\n"
    (tmp_path / "hosts.yml").write_text(text)
    check_groups(str(tmp_path / "hosts.yml"))


MISPLACED = {
    "a host at the top": ("hv1: {ansible_host: 192.0.2.1}", "line 1, hv1: a host where Ansible expects a group"),
    "an empty host at the top": ("all: {}\nhv1:", "line 2, hv1: a node of the intent in the place of a group; write it as all.hosts.hv1"),
    "an unknown host in a group of the intent": ("hypervisors:\n  hosts:\n    hv11: {}", "line 3, hv11: no node of the intent, but in its group hypervisors; did you mean hv1?"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISPLACED)
def test_a_misplaced_host_beside_the_intent_is_refused(inventory, case):
    text, expected = MISPLACED[case]
    (inventory.path / "fabric.yml").write_text(yaml.safe_dump(default()))
    (inventory.path / "hosts.yml").write_text(f"{text}\n")
    result = inventory("inventory", "--list")
    assert result.returncode != 0
    assert f"1 mistake in {inventory.path}/hosts.yml; nothing was touched.\n  {expected}" in result.stderr


@pytest.mark.parametrize("hosts", ["hosts.yml", "a.yml"])
def test_mistakes_in_the_intent_and_beside_it_are_reported_together(inventory, hosts):
    data = changed(("vrfs.public.tabel", 90), ("hypervisors.hv2.guests.vm3.ipv4", "203.0.114.3"))
    (inventory.path / "fabric.yml").write_text(yaml.safe_dump(data))
    beside = [
        "hv3: {ansible_host: 192.0.2.3}",
        "reflectors:",
        "  host: {rr1: {}}",
        "hypervisors:",
        "  hosts: {hv7: {}}",
    ]
    (inventory.path / hosts).write_text("\n".join(beside))
    (inventory.path / "more.yml").write_text("hv1:\n")
    result = inventory("inventory", "--list")
    assert_refused(result)
    for expected in (
        f"2 mistakes in {inventory.path}/fabric.yml; nothing was touched.",
        "vrfs.public.tabel: unknown key",
        "hypervisors.hv2.guests.vm3.ipv4: 203.0.114.3 is not in",
        f"3 mistakes in {inventory.path}/{hosts}; nothing was touched.\n  line 1, hv3: a host where Ansible expects a group",
        "line 3, reflectors.host: unknown key; did you mean hosts?",
        "line 5, hv7: no node of the intent, but in its group hypervisors; did you mean hv1?",
        f"1 mistake in {inventory.path}/more.yml; nothing was touched.\n  line 1, hv1: a node of the intent in the place",
    ):
        assert result.stderr.count(expected) == 1, (expected, result.stderr)


def test_nodes_of_a_refused_intent_are_known_beside_it(inventory):
    data = changed(("hypervisors.hv2.id", "two"), ("bgp.as", 0))
    (inventory.path / "fabric.yml").write_text(yaml.safe_dump(data))
    (inventory.path / "hosts.yml").write_text("hypervisors: {hosts: {hv1: {}, hv2: {}}}\nguests: {hosts: {vm1: {}}}\n")
    result = inventory("inventory", "--list")
    assert_refused(result)
    assert "fabric.yml; nothing was touched." in result.stderr and "hosts.yml" not in result.stderr, result.stderr


# Also where a file of hosts is read before the intent.
@pytest.mark.parametrize("hosts", ["hosts.yml", "a.yml"])
def test_names_that_the_intent_does_not_have_are_warned_about(inventory, hosts):
    (inventory.path / "fabric.yml").write_text(yaml.safe_dump(default()))
    text = (
        "all:\n  hosts: {hv1: {}, hv11: {}, extra: {}}\n  children: {others: {hosts: {graphs: {}}}, hypervisor: {}}\n"
    )
    (inventory.path / hosts).write_text(text)
    for name in ("group_vars", "host_vars"):
        (inventory.path / name).mkdir()
    for name in ("group_vars/all.yml", "group_vars/others", "group_vars/hypervisors.yml", "group_vars/reflector.yml"):
        (inventory.path / name).write_text("a: b\n")
    for name in ("host_vars/hv2.yml", "host_vars/localhost.yml", "host_vars/graphs.json", "host_vars/HV2"):
        (inventory.path / name).write_text("{}\n")
    result = inventory("inventory", "--list")
    assert result.returncode == 0, result.stderr
    warnings = " ".join(result.stderr.split()).split("[WARNING]: ")[1:]
    assert [warning.strip().removeprefix(f"{inventory.path}/") for warning in warnings] == [
        f"{hosts}: line 2, no node of the intent is called hv11; did you mean hv1?",
        f"{hosts}: line 2, no node of the intent is called extra; put another machine in a group of your own",
        f"{hosts}: line 3, the group hypervisor has no hosts; did you mean hypervisors?",
        "group_vars: reflector.yml: no group is called reflector, so nothing uses it; did you mean reflectors?",
        "host_vars: HV2: no host is called HV2, so nothing uses it; did you mean hv2?",
    ]


def test_an_empty_intent_is_not_an_empty_inventory(inventory):
    (inventory.path / "fabric.yml").write_text("")
    result = inventory("inventory", "--list")
    assert result.returncode != 0
    assert "the file is empty; begin with plugin: routed.hypervisor.fabric" in result.stderr
