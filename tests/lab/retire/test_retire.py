"""playbooks/retire.yml gives a host back as it was, which is proven by comparing everything before and after."""

from __future__ import annotations

import json

import pytest
from support.waiting import until

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
OTHERS = "! -name '*.leases' ! -path '*/dpkg/*' ! -path '*/lib/systemd/*'"
FILES = rf"find /etc /usr/local /var/lib -xdev {OTHERS} -printf '%p %m %u %g %l\n' | sort"
SERVICES = """
for s in bird dnsmasq radvd ndppd; do
  ls /etc/rc?.d | grep $s; pgrep -x $s >/dev/null && echo $s runs
  if [ -d /run/systemd/system ]; then echo $s $(systemctl is-enabled $s) $(systemctl is-active $s); fi
done; true
"""
HOSTS = ("hv2", "hv3")  # hv3 runs systemd


def state(lab, host) -> dict[str, list[str]]:
    def text(command: str) -> list[str]:
        return lab.run(host, "sh", "-c", command).splitlines()

    def shown(*words: str) -> list[str]:
        found = [entry for entry in json.loads(lab.run(host, "ip", "-d", "-json", *words) or "[]") if entry]
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


def settled(lab) -> dict[str, dict[str, list[str]]]:
    """The state of each host, once its addresses are usable."""
    for host in HOSTS:
        until(lambda host=host: "tentative" not in lab.run(host, "ip", "-6", "address"), 20, "addresses are settled")
    return {host: state(lab, host) for host in HOSTS}


def changes(run) -> dict[str, list[str]]:
    """What each host has changed, or would change."""
    found: dict[str, list[str]] = {}
    for task in run.tasks:
        found.setdefault(task["host"], []).extend(f"{c['kind']}: {c['op']} {c['name']}" for c in task["changes"])
    return {host: sorted(lines) for host, lines in found.items() if lines}


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
    before = settled(lab)
    for host in HOSTS:
        assert "bird runs" in before[host]["services"]
    assert "bird enabled active" in before["hv3"]["services"]
    run = ("--skip-tags", "verify", "--limit", "lab_host,rr1,hv2,hv3,vm4")
    foreseen = lab.play(*run, "--check")
    assert foreseen.code == 0, foreseen.output
    first = lab.play(*run)
    assert first.code == 0, first.output
    assert changes(foreseen) == changes(first)
    for host in HOSTS:
        assert lab.run(host, "birdc", "show", "protocols").count("BGP") > 2
    services = {host: lab.run(host, "sh", "-c", SERVICES).splitlines() for host in HOSTS}
    for service in ("bird", "dnsmasq", "radvd", "ndppd"):
        assert f"{service} enabled active" in services["hv3"]
        assert any(f"S01{service}" in line for line in services["hv2"]), service

    retire = ("--limit", "hv2,hv3", "-e", "force=true")

    everybody = lab.play("-e", "force=true", playbook="playbooks/retire.yml")
    assert everybody.code != 0 and "--limit HOST" in everybody.output
    refused = lab.play("--limit", "hv3", playbook="playbooks/retire.yml")
    assert refused.code != 0 and "these guests are running" in refused.output and "vm4" in refused.output

    predicted = lab.play(*retire, "--check", playbook="playbooks/retire.yml")
    assert predicted.code == 0, predicted.output
    done = lab.play(*retire, playbook="playbooks/retire.yml")
    assert done.code == 0, done.output
    assert changes(predicted) == changes(done)
    assert not lab.run("rr1", "ip", "route", "show", "vrf", "public", "203.0.113.4")
    assert "203.0.113.4" not in lab.run("rr1", "birdc", "show", "route")
    after = settled(lab)
    difference = {
        f"{host}: {kind}": (sorted(set(was) - set(after[host][kind])), sorted(set(after[host][kind]) - set(was)))
        for host in HOSTS
        for kind, was in before[host].items()
        if sorted(was) != sorted(after[host][kind])
    }
    assert not difference, json.dumps(difference, indent=1)

    second = lab.play(*retire, playbook="playbooks/retire.yml")
    assert second.code == 0 and second.changed == set(), second.output
