"""A host that runs systemd and BIRD, changes that cut the path to it, and what an administrator's programs show of it.

n1 is the host; n2 is the way to it. The lab's own way into n1 is not a path that a change could cut.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp

from .lab_nodes import made
from .waiting import until

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
CONFIRM_S = 5
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
    "the default route leads elsewhere": "ip route replace default via 192.0.2.3 metric 100 proto static",
    "a route of ours is better than the default": "ip route add default dev own0 metric 1 proto 82",
    "a route of ours refuses the controller": "ip route add unreachable 192.0.2.2/32 proto 82",
    "a route of ours drops IPv6": "ip -6 route add blackhole 2001:db8::/65 proto 82",
    "a rule prohibits IPv6": "ip -6 rule add priority 10 prohibit protocol 82",
    "a rule sends packets to an empty table": (
        "ip rule add priority 10 lookup 4242 protocol 82; ip route add unreachable default table 4242 proto 82"
    ),
    "the routes of a table are gone": "ip route flush table 77",
    "the paths of a route are others": "ip route replace 198.51.100.0/24 via 192.0.2.3",
    "the IPv6 addresses are gone": "ip -6 address flush dev eth0",
    "an address of the controller is ours": "ip address add 192.0.2.2/32 dev own0 proto 82",
    "IPv6 is disabled on the uplink": "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1",
    "the default of IPv6 is not learned": ("sysctl -qw net.ipv6.conf.eth0.accept_ra=0; ip -6 route del default"),
    "nothing is forwarded on the uplink": (
        "sysctl -qw net.ipv4.conf.eth0.forwarding=0 net.ipv6.conf.eth0.forwarding=0 net.ipv4.conf.eth0.proxy_arp=0"
    ),
    "a link of ours is down": "ip link set own0 down",
    "a link of ours has lost its port": "ip link set eth1 nomaster",
    "a link of ours has another name": "ip link set own0 down; ip link set own0 name own9 up",
    "BIRD exports nothing": "sed -i 's/export all/export none/' /etc/bird/bird.conf; birdc configure",
    "BIRD does not start any more": "echo x >/etc/bird/bird.conf; systemctl restart bird",
    "BIRD is killed": "systemctl kill -s KILL bird",
    "BIRD's unit runs something else": (
        "mkdir -p /etc/systemd/system/bird.service.d; "
        "printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >/etc/systemd/system/bird.service.d/x.conf; "
        "systemctl daemon-reload; systemctl restart bird"
    ),
    "the stored state is another one": "echo x >/var/lib/routed-hypervisor/state",
    "the firewall drops what is forwarded": (
        "nft 'table inet routed_hypervisor_more { chain f { type filter hook forward priority 0; policy drop; } }'"
    ),
    "the uplink is moved into a VRF": (
        "ip link add vrf0 type vrf table 10; ip link set vrf0 up alias routed.hypervisor; ip link set eth0 master vrf0"
    ),
    "all addresses are moved into a VRF": (
        "ip link add vrf0 type vrf table 10; ip link set vrf0 up alias routed.hypervisor; ip address flush dev eth0; "
        "ip address add 192.0.2.1/24 dev vrf0; ip route add default dev vrf0 table 10 proto 82"
    ),
    "the uplink's packets have a VLAN": (
        "ip link add link eth0 name own1 type vlan id 5; ip link set own1 up alias routed.hypervisor; "
        "ip address flush dev eth0; ip address add 192.0.2.1/24 dev own1"
    ),
    "a link of ours filters the uplink's packets": (
        "ip link add link eth0 name own1 type ipvlan mode l3; ip link set own1 up alias routed.hypervisor; "
        "ip address del 192.0.2.1/24 dev eth0; ip address add 192.0.2.1/24 dev own1"
    ),
}
# Not every machine's kernel has these; the lab kernel does.
IN_LAB_KERNEL = [name for name, command in CUTS.items() if re.search("nft|type (vrf|vlan|ipvlan)", command)]
ANYWHERE = [name for name in CUTS if name not in IN_LAB_KERNEL]
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


def set_up(host: Host) -> None:
    """What a boot does not bring back by itself here."""
    host.run(FORMER)
    host.lab.enter("n1", "nft", TABLE % "policy accept;")  # not every kernel has tables of family inet
    host.run("systemctl restart bird || { journalctl -u bird; bird -p; false; }; systemctl enable bird")
    until(lambda: "198.18.0.0/24" in host.run("ip route"), what="BIRD has added its route")
    until(lambda: "NO-CARRIER" not in host.run("ip link"), what="links follow their carrier")
    until(lambda: "tentative" not in host.run("ip -6 address"), what="addresses can be used")


def is_back(host: Host, before: dict, seconds: float = 10) -> None:
    last = {}

    def same() -> bool:
        last["found"] = differences(before, host.state())
        return not last["found"]

    try:
        until(same, seconds, what="the former state is back")
    except AssertionError:
        pytest.fail(json.dumps(last["found"], indent=1))


def cut(host: Host, *names: str) -> None:
    for name in names:
        host.lab.enter("n1", "sh", "-c", CUTS[name])


@contextlib.contextmanager
def made_host(run_module, image: Path) -> Iterator[Host]:
    with made(run_module, image) as lab:
        for result in (lab.nodes(N1, "n2"), lab.cables(*CABLES)):
            assert not result.get("failed"), result["msg"]
        up = "for n in 0 1 2; do ip link set port$n up; done"
        lab.run("n2", "sh", "-ec", f"ip address add 192.0.2.2/24 dev port0; {up}")
        host = Host(lab)
        lab.run("n1", "tee", "/etc/bird/bird.conf", text=BIRD)
        set_up(host)
        yield host


def shorten(host: Host) -> None:
    """The time to confirm begins when everything is cut, however long that took."""
    assert not host.arming(extend=True, confirm_s=CONFIRM_S).get("failed")


def leave_unarmed(host: Host) -> None:
    """After a test."""
    print(host.run("journalctl -q -u 'routed-hypervisor-rollback*' -o cat | tail -40"))  # if it failed
    if host.is_armed():
        host.arming(state="rolled_back")
    host.arming(state="unarmed")


def assert_undoes_itself(host: Host, *names: str) -> None:
    """A change that nobody confirms."""
    before = host.state()
    host.arm()
    cut(host, *names)
    until(lambda: differences(before, host.state()), 10, f"{names}: something is changed")
    shorten(host)
    start = time.monotonic()
    until(lambda: not host.is_armed(), CONFIRM_S + 10, what="the change is undone")
    is_back(host, before, CONFIRM_S + 10 - (time.monotonic() - start))
    noted = json.loads(host.run("cat /var/lib/routed-hypervisor/rolled-back"))
    assert noted["problems"] == [], noted
