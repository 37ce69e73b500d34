"""playbooks/retire.yml gives a host back as it was, which is proven by comparing everything before and after."""

from __future__ import annotations

import pytest
from support.host_state import SERVICES, differences, mispredicted, settled
from support.waiting import until, until_equal

# What an administrator had on the host: a BIRD that runs, a strict rp_filter, an interface that is down, and more.
BEFORE = """
printf 'router id 10.9.9.9;\\nprotocol device { }\\n' >/etc/bird/bird.conf
if [ -d /run/systemd/system ]; then systemctl enable --now bird
else update-rc.d bird defaults; update-rc.d bird enable; service bird start; fi
printf '# mine\\n' >/etc/radvd.conf
printf '# mine\\n' >/etc/dnsmasq.conf
ip link add mgmt type dummy
ip link set mgmt up
ip address add 192.0.2.7/24 dev mgmt
ip route add 198.18.0.0/15 via 192.0.2.1
ip rule add priority 5000 to 198.18.0.0/15 table 77
ip link set fabric-B mtu 1500 down
echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter
echo 1 >/proc/sys/net/ipv6/conf/mgmt/forwarding
! nft list tables >/dev/null 2>&1 || nft 'add table inet mine; add chain inet mine input'
"""
HOSTS = ("hv2", "hv3")  # hv3 runs systemd


@pytest.fixture(scope="module")
def lab(bring_up):
    """Only the nodes, which have everything installed."""
    return bring_up(
        "l3_hypervisor",
        *("--tags", "preflight,nodes"),
        name="retired",
        edit=lambda text: text.replace("lab: {}\n", "lab: {nodes: {hv3: {init: systemd}}}\n"),
    )


def test_hosts_are_given_back_as_they_were(lab):
    for host in HOSTS:
        lab.run(host, "sh", "-ec", BEFORE)
    for host in HOSTS:
        until(lambda host=host: lab.tried(host, "pgrep", "-x", "bird")[0] == 0, 20, f"BIRD runs on {host}")
    before = settled(lab, HOSTS)
    for host in HOSTS:
        assert "bird runs" in before[host]["services"]
    assert "bird enabled active" in before["hv3"]["services"]
    run = ("--skip-tags", "verify", "--limit", "lab_host,rr1,hv2,hv3,vm4")
    foreseen = lab.play(*run, "--check")
    assert foreseen.code == 0, foreseen.output
    first = lab.play(*run)
    assert first.code == 0, first.output
    assert mispredicted(foreseen, first) == {}
    for host in HOSTS:
        assert lab.run(host, "birdc", "show", "protocols").count("BGP") > 2
    services = {host: lab.run(host, "sh", "-c", SERVICES).splitlines() for host in HOSTS}
    assert "ndppd enabled active" in services["hv3"]
    assert "ndppd runs" not in services["hv2"]
    until(lambda: "2001:db8" in lab.run("hv2", "ip", "-6", "neighbor", "show", "proxy"), 20, "the agent of hv2 answers")
    for service in ("bird", "dnsmasq", "radvd"):
        assert f"{service} enabled active" in services["hv3"]
        assert any(f"S01{service}" in line for line in services["hv2"]), service

    retire = ("--limit", "hv2,hv3", "-e", "force=true")

    everybody = lab.play("-e", "force=true", playbook="playbooks/retire.yml")
    assert everybody.code != 0 and "--limit HOST" in everybody.output
    refused = lab.play("--limit", "hv3", playbook="playbooks/retire.yml")
    assert refused.code != 0 and "these guests are running" in refused.output and "vm4" in refused.output

    lab.run("hv3", "routed-hypervisor", "arm", "--seconds", "300")
    for check in ((), ("--check",)):
        refused = lab.play(*retire, *check, playbook="playbooks/retire.yml")
        assert refused.code != 0 and "another change is armed: armed by root at" in refused.output, refused.output
        assert not {one for one in refused.changed if one[0] == "hv3"}
    both = lab.play("--limit", "hv3", playbook="playbooks/retire.yml").output
    assert "these guests are running" in both and "another change is armed: armed by root at" in both, both
    lab.run("hv3", "routed-hypervisor", "rollback")  # which blocks an interrupted run, but no new one

    predicted = lab.play(*retire, "--check", playbook="playbooks/retire.yml")
    assert predicted.code == 0, predicted.output
    done = lab.play(*retire, playbook="playbooks/retire.yml")
    assert done.code == 0, done.output
    assert mispredicted(predicted, done) == {}
    until_equal(lambda: lab.run("rr1", "ip", "route", "show", "vrf", "public", "203.0.113.4"), "", 20)
    until(lambda: "203.0.113.4" not in lab.run("rr1", "birdc", "show", "route"), 20, "rr1 has no route to vm4")
    until_equal(lambda: differences(before, settled(lab, HOSTS)), {}, 20, 0.2)

    second = lab.play(*retire, playbook="playbooks/retire.yml")
    assert second.code == 0 and second.changed == set(), second.output
