"""Changes that cut the path to a host, and that undo themselves because nobody confirms them.

n1 runs systemd and BIRD; n2 is the way to it. The lab's own way into n1 is not a path that a change could cut.
"""

from __future__ import annotations

import base64
import json
import re
import time

import pytest
from support.lab_nodes import made
from support.waiting import until

from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp

N1 = {"name": "n1", "init": "systemd"}
CABLES = [
    {"a": {"node": "n1", "interface": f"eth{n}"}, "b": {"node": "n2", "interface": f"port{n}"}, "mtu": 1500}
    for n in range(3)
]
BIRD = """router id 192.0.2.1;
protocol device {}
protocol static guests { ipv4; route 198.18.0.0/24 via 192.0.2.2; }
protocol kernel main { ipv4 { export all; }; }
"""
# What an administrator, a manager of interfaces and earlier runs have made.
FORMER = """
ip address add 192.0.2.1/24 dev eth0
ip address add 192.0.2.11/24 dev eth0 noprefixroute
ip address add 2001:db8::1/64 dev eth0 nodad
ip link set eth0 up
ip link set eth1 up
ip link property add dev eth0 altname uplink0 2>/dev/null || true
ip route add default via 192.0.2.2 metric 100 proto static
ip -6 route add default via fe80::2 dev eth0 proto ra expires 1700
ip route add 198.51.100.0/24 nexthop via 192.0.2.2 weight 2 nexthop via 192.0.2.3
ip route add 203.0.113.7/32 dev eth0 proto 82
ip neighbour add proxy 192.0.2.77 dev eth0
ip -6 neighbour add proxy 2001:db8::77 dev eth0
ip rule add priority 500 from 10.0.0.0/8 table 77 protocol 82
ip rule add priority 600 to 10.0.0.0/8 table 78
ip route add 10.9.0.0/16 via 192.0.2.2 table 77 proto 82
ip link add own0 address 02:00:00:00:00:10 type bridge
ip link set own0 up alias routed.hypervisor
ip link set eth1 master own0
mkdir -p -m 700 /var/lib/routed-hypervisor
ip link add bridge0 address 02:00:00:00:00:20 type bridge
ip link set bridge0 up
ip link set eth2 up master bridge0
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.eth0.proxy_arp=1
sysctl -qw net.ipv6.conf.eth0.accept_ra=2
"""
TABLE = "table inet routed_hypervisor { chain input { type filter hook input priority filter; %s } }"

CUTS = {
    "the uplink is down": "ip link set eth0 down",
    "the uplink is moved into another master": "ip link set eth0 master bridge0",
    "the default routes are gone": "ip route del default; ip -6 route del default",
    "all routes are gone": "ip route flush table main; ip -6 route flush table main",
    "the addresses are gone": "ip address flush dev eth0",
    "the address is another one": "ip address del 192.0.2.1/24 dev eth0; ip address add 192.0.2.99/24 dev eth0",
    "the MTU is too small": "ip link set eth0 mtu 576",
    "the MAC address is another one": "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:99 up",
    "nothing is forwarded": "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
    "IPv6 is disabled": "sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
    "sources are filtered": "sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.arp_ignore=8",
    "a rule diverts all packets": "ip rule add priority 10 blackhole protocol 82",
    "the rules are gone": "ip rule del priority 500; ip rule del priority 600",
    "a route of ours takes the packets": "ip route add 192.0.2.0/25 dev own0 proto 82",
    "a link of ours takes the packets": (
        "ip link add own1 type bridge; ip link set own1 up alias routed.hypervisor; "
        "ip route add 0.0.0.0/1 dev own1 proto 82"
    ),
    "a link of ours is gone": "ip link del own0",
    "a link of ours is another one": (
        "ip link del own0; ip link add own0 type veth peer name own2; "
        "ip link set own0 alias routed.hypervisor; ip link set own2 alias routed.hypervisor"
    ),
    "proxy entries are gone": (
        "ip neighbour del proxy 192.0.2.77 dev eth0; ip -6 neighbour del proxy 2001:db8::77 dev eth0"
    ),
    "the other name of the uplink is gone": "ip link property del dev eth0 altname uplink0",
    "the firewall drops SSH": f"nft '{TABLE % 'policy accept; tcp dport 22 drop;'}'",
    "the firewall is gone": "nft delete table inet routed_hypervisor",
    "BIRD withdraws everything": "sed -i '/static/d' /etc/bird/bird.conf; birdc configure",
    "BIRD is stopped and disabled": "systemctl disable --now bird",
    "BIRD is masked": "systemctl stop bird; systemctl mask bird",
    "another daemon runs": "systemctl start dnsmasq",
    "the configuration is empty": "truncate -s 0 /etc/bird/bird.conf; chmod 644 /etc/bird/bird.conf",
    "files are new": "mkdir -p /etc/gobgp; echo x >/etc/gobgp/new.toml; echo y >/etc/radvd.conf",
    "the agent is broken": "mkdir -p /usr/local/sbin; head -c 5000 /dev/urandom >/usr/local/sbin/routed-hypervisor",
    "the agent's unit is broken": "echo x >/etc/systemd/system/routed-hypervisor.service; systemctl daemon-reload",
}
# All of these at once are also a change.
TOGETHER = (
    "the firewall drops SSH",
    "all routes are gone",
    "the rules are gone",
    "nothing is forwarded",
    "a link of ours is gone",
    "a link of ours takes the packets",
    "BIRD withdraws everything",
    "the agent is broken",
    "the uplink is down",
)


class Host:
    def __init__(self, lab):
        self.lab = lab
        self.built = zipapp.build()

    def run(self, script: str) -> str:
        return self.lab.run("n1", "sh", "-ec", script)

    def arming(self, check: bool = False, **options) -> dict:
        program = {"program": base64.b64encode(self.built.encode()).decode(), "program_digest": self.built.digest()}
        return self.lab.module("n1", "arming", check, **{"by": "a test", **program, **options})

    def arm(self, confirm_s: float = 600) -> None:
        result = self.arming(confirm_s=confirm_s)
        assert not result.get("failed") and not result["changed"], result["raw"]

    def command(self, *words: str):
        """Of the program itself, which this host has only while a change is armed."""
        return self.lab.enter("n1", "/usr/bin/python3", "-I", "/var/lib/routed-hypervisor/armed/program", *words)

    def is_armed(self) -> bool:
        return self.lab.enter("n1", "test", "-d", "/var/lib/routed-hypervisor/armed").returncode == 0

    def state(self) -> dict:
        """What is on the host, by `ip`, `nft`, `find` and systemctl, not by the program under test."""
        found: dict = {}
        for what in ("address", "route show table all", "rule", "neighbour show proxy", "neighbour show nud permanent"):
            for family in ("-4", "-6"):
                shown = self.run(f"ip -details -json {family} {what}")
                found[f"{family} {what}"] = sorted(json.dumps(plain(one)) for one in json.loads(shown or "[]"))
        found["link"] = sorted(json.dumps(plain(one)) for one in json.loads(self.run("ip -details -json link")))
        found["nft"] = self.run("nft -j list ruleset 2>/dev/null | sed 's/\"handle\": [0-9]*//g' || true")
        trees = "/etc /usr/local /var/lib/routed-hypervisor /var/lib/cni"
        names = (
            f"find {trees} -not -path '*/applied*' -not -name adjtime -printf '%p %m %u %g %y %l\\n' 2>/dev/null | sort"
        )
        found["files"] = self.run(
            f"{names}; find {trees} -type f -exec sha256sum {{}} + 2>/dev/null | sort"
        ).splitlines()
        found["files"] = [line for line in found["files"] if "/rolled-back" not in line and "motd.d" not in line]
        found["sysctls"] = [
            line
            for line in self.run(
                "sysctl -a 2>/dev/null | grep -E '^net.ipv[46].(conf|neigh|ip_forward)' || true"
            ).splitlines()
            if "stable_secret" not in line
        ]
        units = "bird dnsmasq radvd routed-hypervisor-rollback.timer routed-hypervisor-rollback.service"
        found["units"] = self.run(f"systemctl is-active {units} || true; systemctl is-enabled {units} 2>&1 || true")
        return found


TIMES = (
    "expires",
    "valid_life_time",
    "preferred_life_time",
    "ifindex",
    "promiscuity",
    "allmulti",
    "tentative",
    "operstate",
)


def plain(one: dict) -> dict:
    """Without what passes by itself."""
    kept = {key: value for key, value in one.items() if key not in TIMES}
    info = kept.get("linkinfo") or {}
    if info.get("info_kind") == "bridge" or info.get("info_slave_kind") == "bridge":
        kept["linkinfo"] = info.get("info_kind")  # without timers
    for key, value in kept.items():
        if isinstance(value, list):
            kept[key] = [plain(item) if isinstance(item, dict) else item for item in value]
    return kept


def differences(before: dict, after: dict) -> dict:
    found = {}
    for key, value in before.items():
        if value != after[key]:
            old, new = (set(one if isinstance(one, list) else one.splitlines()) for one in (value, after[key]))
            found[key] = {"gone": sorted(old - new), "new": sorted(new - old)}
    return found


@pytest.fixture(scope="module")
def host(run_module_once, systemd_image):
    with made(run_module_once, systemd_image) as lab:
        for result in (lab.nodes(N1, "n2"), lab.cables(*CABLES)):
            assert not result.get("failed"), result["msg"]
        up = "for n in 0 1 2; do ip link set port$n up; done"
        lab.run("n2", "sh", "-ec", f"ip address add 192.0.2.2/24 dev port0; {up}")
        host = Host(lab)
        lab.run("n1", "tee", "/etc/bird/bird.conf", text=BIRD)
        set_up(host)
        yield host


def set_up(host: Host) -> None:
    """What a boot does not bring back by itself here."""
    host.run(FORMER)
    if host.lab.enter("n1", "nft", TABLE % "policy accept;").returncode:
        host.run("true")  # this kernel has no tables of family inet
    host.run("systemctl restart bird || { journalctl -u bird; bird -p; false; }; systemctl enable bird")
    until(lambda: "198.18.0.0/24" in host.run("ip route"), what="BIRD has added its route")
    until(lambda: "tentative" not in host.run("ip -6 address"), what="addresses can be used")


@pytest.fixture
def settled(host):
    """The host, and nothing armed after the test."""
    yield host
    print(host.run("journalctl -q -u 'routed-hypervisor-rollback*' -o cat | tail -40"))  # if the test failed
    if host.is_armed():
        host.arming(state="rolled_back")
    host.arming(state="unarmed")


def is_back(host: Host, before: dict, seconds: float = 10) -> None:
    last = {}

    def same() -> bool:
        last["found"] = differences(before, host.state())
        return not last["found"]

    try:
        until(same, seconds, what="the former state is back")
    except AssertionError:
        pytest.fail(json.dumps(last["found"], indent=1))


def verified(host: Host) -> dict:
    """Whether the last change was kept."""
    result = host.lab.module("n1", "verify", config=[{"kind": "rollback", "title": "of n1"}], deadline=0)
    assert "results" in result, result["raw"]
    return result["results"][0]


def cut(host: Host, *names: str) -> None:
    for name in names:
        host.lab.enter("n1", "sh", "-c", CUTS[name])


@pytest.mark.long
@pytest.mark.parametrize("name", CUTS)
def test_a_cut_is_undone(settled, name):
    before = settled.state()
    settled.arm()
    cut(settled, name)
    result = settled.arming(state="rolled_back")
    assert not result.get("failed") and result["problems"] == [], result["raw"]
    is_back(settled, before)


def test_a_change_that_is_not_confirmed_undoes_itself_in_time(settled):
    before = settled.state()
    settled.arm(confirm_s=5)
    start = time.monotonic()
    cut(settled, *TOGETHER)
    assert settled.is_armed()
    until(lambda: not settled.is_armed(), 15, what="the change is undone")
    assert time.monotonic() - start < 15
    is_back(settled, before)
    assert "ROLLED BACK" in settled.run("cat /etc/motd.d/routed-hypervisor")
    assert verified(settled)["state"] == "failed" and "because it was not confirmed" in verified(settled)["seen"]
    # The run that was cut off cannot go on with it.
    late = settled.arming(extend=True)
    assert "nothing is armed: ROLLED BACK" in late["msg"], late
    late = settled.lab.module(
        "n1", "network", state="merged", config={"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]}
    )
    assert "was rolled back" in late["msg"], late


def test_a_confirmed_change_stays(settled):
    settled.arm(confirm_s=6)
    settled.run("ip address add 192.0.2.50/24 dev eth1")
    again = settled.arming()
    assert re.fullmatch(r"another change is armed: armed by a test at .*, \d+ s left; .*", again["msg"]), again
    assert not settled.arming(extend=True, confirm_s=20).get("failed")
    result = settled.arming(state="confirmed")
    assert not result.get("failed") and result["changed"] is False, result["raw"]
    assert not settled.is_armed() and "192.0.2.50" in settled.run("ip address")
    assert settled.arming(state="confirmed")["msg"].startswith("nothing is armed")
    assert verified(settled)["state"] == "passed"
    settled.run("ip address del 192.0.2.50/24 dev eth1")
    left = settled.run("find /etc /run/systemd -name '*rollback*'; ls -A /var/lib/routed-hypervisor")
    assert left.split() == [], left


def test_a_damaged_record_is_refused_with_the_remedy(settled):
    settled.run("mkdir -p -m 700 /var/lib/routed-hypervisor/armed")
    try:
        for content in ("", "x", "{}", "[]", '{"version": 1}'):
            settled.lab.run("n1", "tee", "/var/lib/routed-hypervisor/armed/record", text=content)
            message = settled.arming()["msg"]
            assert message.startswith("/var/lib/routed-hypervisor/armed/record cannot be used ("), message
            assert message.endswith("then remove /var/lib/routed-hypervisor/armed"), message
    finally:
        settled.run("rm -r /var/lib/routed-hypervisor/armed")


def test_a_host_without_an_enabled_service_is_armed(settled):
    wants = "/etc/systemd/system/multi-user.target.wants"
    settled.run(f"mv {wants} /root/wants")
    try:
        settled.arm()
        result = settled.arming(state="confirmed")
        assert not result.get("failed"), result["raw"]
    finally:
        settled.run(f"rm -rf {wants}; mv /root/wants {wants}")


def test_a_disk_that_is_full_arms_nothing(settled):
    settled.run("mkdir -p /var/lib/routed-hypervisor; mount -t tmpfs -o size=64k none /var/lib/routed-hypervisor")
    try:
        result = settled.arming(confirm_s=5)
        assert "cannot be stored: No space left on device; nothing was changed" in result["msg"], result["raw"]
        assert settled.run("ls -A /var/lib/routed-hypervisor") == ""
    finally:
        settled.run("umount /var/lib/routed-hypervisor")


def test_a_reboot_while_armed_brings_back_files_and_services(settled):
    before = settled.state()
    settled.arm()
    cut(settled, "BIRD withdraws everything", "the agent is broken", "files are new", "BIRD is stopped and disabled")
    result = settled.lab.nodes("n1", state="rebooted", grace=1)
    assert not result.get("failed"), result["msg"]
    until(lambda: not settled.is_armed(), 15, what="the change is undone")
    set_up(settled)
    after = settled.state()
    assert [differences(before, after).get(key) for key in ("files", "units")] == [None, None]
    assert "rebooted" in settled.run("cat /etc/motd.d/routed-hypervisor")
