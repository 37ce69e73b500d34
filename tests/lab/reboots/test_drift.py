"""playbooks/drift.yml lists what differs from the intent, and changes nothing."""

from __future__ import annotations

import json

import pytest
from support.host_state import differences, settled
from support.modules import PROJECT
from support.waiting import until

pytestmark = pytest.mark.long
# One of each kind, by hand. Not every kernel has nftables of family inet.
PLANTED = """
ip link del private
ip address del 203.0.113.254/32 dev vm1
ip route del 203.0.113.2 table 90
ip rule del priority 2000
echo 0 >/proc/sys/net/ipv4/udp_l3mdev_accept
echo 0 >/proc/sys/net/ipv4/conf/vm2/proxy_arp
nft flush table inet routed_hypervisor 2>/dev/null || true
echo '# by hand' >>/etc/bird/bird.conf
systemctl stop dnsmasq
"""
KINDS = {"vrfs", "interfaces", "routes", "rules", "sysctls", "proxy_arp", "files", "services"}
# Nothing listens there: a host that cannot be reached.
CLOSED = "all: {hosts: {rr2: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 9}}}\n"


def is_withdrawn(lab) -> bool:
    """Whether BIRD has followed what was planted: a guest's route, and the VRF with its sessions and its loopback."""
    learned = lab.nexthops("hv2", "4", "public", "203.0.113.2") | lab.nexthops("hv2", "4", "private", "172.22.2.1")
    installed = lab.run("hv1", "ip", "route", "show", "table", "20", "proto", "bird", check=False)
    return not learned and not installed and not any("private" in session for session in lab.established("hv1"))


def drift(lab) -> tuple[int, dict]:
    run = lab.play(playbook="playbooks/drift.yml")
    found = json.loads((PROJECT / "artifacts" / lab.name / "drift.json").read_text())
    print((PROJECT / "artifacts" / lab.name / "drift.txt").read_text())
    assert found["fabric"] == lab.name
    return run.code, found["hosts"]


def test_planted_drift_of_each_kind_is_listed_and_nothing_is_changed(lab):
    lab.run("hv1", "sh", "-ec", PLANTED)
    until(lambda: is_withdrawn(lab), 60, "BIRD has followed", 0.2)
    overlay = lab.inventory / "hosts.yml"
    overlay.write_text(CLOSED)
    before = settled(lab, ("hv1", "hv2"))
    try:
        code, found = drift(lab)
    finally:
        overlay.unlink()
    assert code != 0
    assert differences(before, settled(lab, ("hv1", "hv2"))) == {}
    assert {name: host["state"] for name, host in found.items()} == {
        **{"hv1": "differs", "hv2": "as intended", "rr1": "as intended", "rr2": "unreachable"},
    }
    has_tables = lab.tried("hv1", "nft", "list", "table", "inet", "routed_hypervisor")[0] == 0
    assert set(found["hv1"]["kinds"]) == KINDS | ({"tables"} if has_tables else set())
    names = {change["name"] for change in found["hv1"]["changes"]}
    assert {"private", "vm1", "203.0.113.2/32 in VRF public", "2000 (ipv4)", "dnsmasq"} <= names
    assert "/etc/bird/bird.conf" in names and "+# by hand" not in found["hv1"]["diff"]
    assert "-# by hand" in found["hv1"]["diff"] and "lab-public-51c7" not in json.dumps(found)
    repaired = lab.play("--skip-tags", "verify")
    assert repaired.code == 0, repaired.output
    code, found = drift(lab)
    assert code == 0 and {host["state"] for host in found.values()} == {"as intended"}, found
