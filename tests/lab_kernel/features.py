"""Inside the lab kernel: tries what a lab may need, and prints what works as a JSON object: features.py IMAGE

IMAGE is a root with nft. Modules are loaded by nobody: this asks for what is built in.
"""

from __future__ import annotations

import ctypes
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
LINKS = {
    "veth": "add veth9 type veth peer name veth8",
    "dummy": "add dummy9 type dummy",
    "vrf": "add vrf9 type vrf table 10",
    "ipvlan l2": "add link veth9 name ipvlan9 type ipvlan mode l2",
    "macvlan": "add link dummy9 name macvlan9 type macvlan mode bridge",
    "bridge with vlan filtering": "add bridge9 type bridge vlan_filtering 1",
    "802.1q": "add link dummy9 name vlan9 type vlan id 5",
    "vxlan": "add vxlan9 type vxlan id 5 dstport 4789 local 192.0.2.1",
    "bond": "add bond9 type bond mode 802.3ad",
    "team": "add team9 type team",
    "ifb": "add ifb9 type ifb",
}
COMMANDS = {
    "ipvlan l3s": "ip link add dummy8 type dummy && ip link add link dummy8 name ipvlan8 type ipvlan mode l3s",
    "tap": "ip tuntap add tap9 mode tap",
    "tun": "ip tuntap add tun9 mode tun",
    "netem": "tc qdisc add dev dummy9 root netem delay 10ms",
    "tbf": "tc qdisc replace dev dummy9 root tbf rate 1mbit burst 10k latency 50ms",
    "htb": "tc qdisc replace dev dummy9 root handle 1: htb && "
    "tc class add dev dummy9 parent 1: classid 1:1 htb rate 1mbit",
    "prio": "tc qdisc replace dev dummy9 root prio",
    "fq_codel": "tc qdisc replace dev dummy9 root fq_codel",
    "ingress, flower and mirred": "tc qdisc add dev dummy9 clsact && "
    "tc filter add dev dummy9 ingress protocol ip flower dst_ip 192.0.2.9 action mirred egress redirect dev ifb9",
    "multipath routes": "ip link set dummy9 up && ip link set veth9 up && ip link set veth8 up && "
    "ip route add 198.51.100.0/24 nexthop dev dummy9 nexthop dev veth9",
    "next hop objects": "ip nexthop add id 1 dev dummy9 && "
    "ip nexthop add id 2 dev veth9 && ip nexthop add id 9 group 1/2",
    "IPv6 source routes": "ip -6 address add 2001:db8::1/64 dev dummy9 nodad && "
    "ip -6 route add 2001:db8:2::/64 from 2001:db8::/64 dev dummy9",
    "policy rules": "ip rule add iif dummy9 table 77 && ip -6 rule add iif dummy9 table 77",
    "ip vrf exec": "ip link set vrf9 up && mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && "
    "ip vrf exec vrf9 true",
    "cgroup controllers": "for c in cpu memory pids; do grep -qw $c /sys/fs/cgroup/cgroup.controllers || exit 1; done",
    "socket diagnosis": "ss -tuxwan0 >/dev/null && ss -K dst 192.0.2.77",
    "user namespaces": "unshare --user --map-root-user --net --mount --pid --ipc --uts --cgroup --fork true",
    "message queues": "mount -t mqueue none /mnt",
    "loop devices": "test -e /dev/loop-control",
    "magic sysrq": "test -w /proc/sysrq-trigger",
}
TABLES = {
    "nftables inet": """
        table inet t {
          set s { type ipv4_addr . inet_service; flags interval; counter; elements = { 192.0.2.0/24 . 80-90 } }
          quota q { over 10 mbytes }
          chain i { type filter hook input priority 0; ct state established accept; ip saddr . tcp dport @s accept
            limit rate 5/second log prefix "x" level info; meta nfproto ipv6 reject; socket transparent 1 accept
            numgen inc mod 2 1 counter; quota name "q" drop; ct mark set 1; meta l4proto tcp log group 3
            reject with tcp reset; jhash ip saddr mod 4 == 1 accept; ct count over 9 drop; queue num 1 }
          chain p { type filter hook prerouting priority -150; fib saddr . iif oif missing drop
            meta l4proto tcp tproxy to :1234 }
          chain n { type nat hook postrouting priority 100; masquerade }
          chain d { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; dnat ip to 192.0.2.1 } }""",
    "nftables ip": "table ip t { chain c { type filter hook forward priority 0; fib daddr type local reject } }",
    "nftables ip6": "table ip6 t { chain c { type filter hook forward priority 0; fib daddr type local reject } }",
    "nftables arp": "table arp t { chain c { type filter hook input priority 0; arp operation request drop } }",
    "nftables bridge": """
        table bridge t { chain c { type filter hook input priority 0; ether type ip reject
          meta ibrname "x" accept } }""",
    "nftables netdev": "table netdev t { chain c { type filter hook ingress device dummy9 priority 0; fwd to ifb9 } }",
}
IPTABLES = {"ip_tables": (socket.AF_INET, socket.SOL_IP), "ip6_tables": (socket.AF_INET6, socket.IPPROTO_IPV6)}


def shell(script: str) -> bool:
    return subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False).returncode == 0


def call(number: int, *arguments: object) -> bool:
    """Whether there is such a system call, whatever it says of the arguments."""
    return LIBC.syscall(number, *arguments) >= 0 or ctypes.get_errno() != 38


def accepts(family: int, kind: int, level: int, option: int, value: bytes) -> bool:
    with socket.socket(family, kind) as tcp:
        try:
            tcp.setsockopt(level, option, value)
        except OSError:
            return False
    return True


def has_table(family: int, level: int, name: str) -> bool:
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        buffer = ctypes.create_string_buffer(name.encode(), 84)
        size = ctypes.c_uint(84)
        return LIBC.getsockopt(raw.fileno(), level, 64, buffer, ctypes.byref(size)) == 0


def address(text: str) -> bytes:
    return struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(text)).ljust(128, b"\0")


def main() -> None:
    works = {"nothing but lo at first": not shell("ip -o link | grep -v ' lo:'")}
    works |= {name: shell(f"ip link {command}") for name, command in LINKS.items()}
    works |= {name: shell(command) for name, command in COMMANDS.items()}
    for name, text in TABLES.items():
        result = subprocess.run(
            ["chroot", sys.argv[1], "nft", "-f", "-"],
            input=text.replace(" }", "\n}"),
            text=True,
            capture_output=True,
            check=False,
        )
        works[name] = result.returncode == 0
        sys.stderr.write(result.stderr)
    for name, (family, level) in IPTABLES.items():
        for table in ("filter", "nat", "mangle", "raw"):
            works[f"{name} {table}"] = has_table(family, level, table)
    systems = Path("/proc/filesystems").read_text(encoding="ascii").split()
    for system in ("overlay", "ext4", "squashfs", "autofs", "hostfs", "devtmpfs", "bpf"):
        works[system] = system in systems
    tcp = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    peer, key = address("192.0.2.1"), b"key".ljust(80, b"\0")
    works["TCP MD5"] = accepts(*tcp, 14, peer + struct.pack("=BBHi", 0, 0, 3, 0) + key)
    ao = peer + b"hmac(sha1)".ljust(64, b"\0") + struct.pack("=iIBBBBBBBB", 0, 0, 0, 0, 32, 1, 1, 12, 0, 3) + key
    works["TCP-AO"] = accepts(*tcp, 38, ao.ljust(288, b"\0"))
    works["io_uring"] = call(425, 0, 0)
    works["keyrings"] = call(250, 0, -3, 0)
    works["BPF"] = call(321, 0, 0, 0)
    works["seccomp"] = "Seccomp_filters" in Path("/proc/self/status").read_text(encoding="ascii")
    works["namespaces without links of the kernel's own"] = not shell("unshare --net ip -o link | grep -v ' lo:'")
    print(json.dumps(works))


if __name__ == "__main__":
    main()
