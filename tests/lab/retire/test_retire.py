"""playbooks/retire.yml gives a host back as it was, which is proven by comparing everything before and after."""

from __future__ import annotations

import json

import pytest
from support.waiting import until

# What an administrator had on the host: a BIRD that runs, a strict rp_filter, an interface that is down, and more.
BEFORE = """
printf 'router id 10.9.9.9;\\nprotocol device { }\\n' >/etc/bird/bird.conf
update-rc.d bird defaults; update-rc.d bird enable; service bird start
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
FILES = r"find /etc /usr/local /var/lib -xdev ! -name '*.leases' ! -path '*/dpkg/*' -printf '%p %m %u %g %l\n' | sort"
SERVICES = (
    "for s in bird dnsmasq radvd ndppd; do ls /etc/rc?.d | grep $s; pgrep -x $s >/dev/null && echo $s runs; done; true"
)


def state(lab) -> dict[str, list[str]]:
    def text(command: str) -> list[str]:
        return lab.run("hv3", "sh", "-c", command).splitlines()

    def shown(*words: str) -> list[str]:
        found = [entry for entry in json.loads(lab.run("hv3", "ip", "-d", "-json", *words) or "[]") if entry]
        for entry in found:
            for address in entry.get("addr_info", []):
                address.pop("valid_life_time", None), address.pop("preferred_life_time", None)
        return sorted(json.dumps(entry, sort_keys=True) for entry in found)

    return {
        "links": shown("link"),
        "addresses": shown("address"),
        "routes": shown("route", "show", "table", "all"),
        "IPv6 routes": shown("-6", "route", "show", "table", "all"),
        "rules": shown("rule"),
        "IPv6 rules": shown("-6", "rule"),
        "proxies": shown("neighbor", "show", "proxy"),
        "sysctls": text("sysctl -a 2>/dev/null | grep '^net' | grep -v 'nf_conntrack_count\\|stable_secret'"),
        "nftables": text("nft -j list ruleset 2>/dev/null | sed 's/\"handle\": [0-9]*//g' || true"),
        "files": text(FILES),
        "contents": text("cat /etc/bird/bird.conf /etc/radvd.conf /etc/dnsmasq.conf /etc/ndppd.conf 2>/dev/null; true"),
        "services": text(SERVICES),
    }


@pytest.fixture(scope="module")
def lab(bring_up):
    """Only the nodes, which have everything installed."""
    return bring_up("l3_hypervisor", "--tags", "preflight,nodes", name="retired")


def test_a_host_is_given_back_as_it_was(lab):
    lab.run("hv3", "sh", "-ec", BEFORE)
    until(lambda: "tentative" not in lab.run("hv3", "ip", "-6", "address"), 20, "addresses are settled")
    before = state(lab)
    assert "bird runs" in before["services"]
    first = lab.play("--skip-tags", "verify")
    assert first.code == 0, first.output
    assert lab.run("hv3", "sh", "-c", "birdc show protocols").count("BGP") > 2
    retire = ("--limit", "hv3", "-e", "force=true")

    everybody = lab.play("-e", "force=true", playbook="playbooks/retire.yml")
    assert everybody.code != 0 and "--limit HOST" in everybody.output
    refused = lab.play("--limit", "hv3", playbook="playbooks/retire.yml")
    assert refused.code != 0 and "these guests are running" in refused.output and "vm4" in refused.output

    predicted = lab.play(*retire, "--check", playbook="playbooks/retire.yml")
    assert predicted.code == 0, predicted.output
    done = lab.play(*retire, playbook="playbooks/retire.yml")
    assert done.code == 0, done.output
    assert predicted.changed == done.changed
    assert not lab.run("rr1", "ip", "route", "show", "vrf", "public", "203.0.113.4")
    assert "203.0.113.4" not in lab.run("rr1", "birdc", "show", "route")
    until(lambda: "tentative" not in lab.run("hv3", "ip", "-6", "address"), 20, "addresses are settled")
    after = state(lab)
    difference = {
        kind: (sorted(set(before[kind]) - set(after[kind])), sorted(set(after[kind]) - set(before[kind])))
        for kind in before
        if sorted(before[kind]) != sorted(after[kind])
    }
    assert not difference, json.dumps(difference, indent=1)

    second = lab.play(*retire, playbook="playbooks/retire.yml")
    assert second.code == 0 and second.changed == set(), second.output
