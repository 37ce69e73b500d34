"""A hypervisor, two guests, and a router on its fabric, and packets between them.

The hypervisor is the network namespace that this program is started in, configured by the module network with the
variables of hv1 of the default lab; the others are separate namespaces. Everything is tried without the firewall and
with it. The last line of the output is a JSON object: what got through each time, the values of the counters, and what
was logged; or only `lacking`, the reason why this kernel does not support it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

from packets import Listeners, inside, opened, redirect, target, tcp

from ansible_collections.routed.hypervisor.plugins.module_utils._daemon import nftables

GATEWAY4, GATEWAY6 = "203.0.113.254", "fe80::1"
PREFIX6 = "2001:db8:cb00:7100:0:cbff:fe00:71"
UPLINK4, UPLINK6 = "198.51.100.101", "2001:db8:c633:6400::1"
ROUTER4, ROUTER6 = "198.51.100.126", "2001:db8:c633:6400::26"
WORLD4, WORLD6 = "192.0.2.1", "2001:db8:ffff::1"
PRIVATE4 = "172.22.99.1"  # in VRF private, behind the router; among the prefixes that the host uses (`host`)
STRANGER4, STRANGER6 = "198.51.100.77", "2001:db8:c633:6400::99"  # on the fabric, without a session
OUTSIDE4 = "100.64.9.9"  # in VRF private, behind the router; not among the host's prefixes
LOOPBACK4 = "172.22.2.1"  # of the hypervisor, in VRF private
OWN_OFFICE6 = "2001:db8:0ff1::1"
OFFICE6 = "2001:db8:0ff1::2"  # in no VRF
DETOUR6 = "2001:db8:0ff1::9"  # on the same network, but only the hypervisor has a route to it
FABRIC_DETOUR6 = "2001:db8:c633:6400::77"  # the same on the fabric

TOPOLOGY = """
link add vm1 type veth peer name eth0 netns vm1
link add vm2 type veth peer name eth0 netns vm2
link add fabric-A type veth peer name up0 netns router
link add fabric-B type veth peer name up1 netns router
link add office type veth peer name eth0 netns office
"""
GUEST = """
link set lo up
link set eth0 up
addr add 203.0.113.{n}/24 dev eth0
addr add {prefix}0{n}/128 dev eth0 nodad
route replace default via {gateway4}
route replace default via {gateway6} dev eth0
"""
ROUTER = f"""
link set lo up
link set up0 up
link set up1 up
link add link up0 name up0.90 type vlan id 90
link add link up0 name up0.20 type vlan id 20
link set up0.90 up
link set up0.20 up
addr add {ROUTER4}/25 dev up0.90
addr add {ROUTER6}/120 dev up0.90 nodad
addr add 172.22.15.126/25 dev up0.20
addr add {WORLD4}/32 dev lo
addr add {WORLD6}/128 dev lo nodad
addr add {PRIVATE4}/32 dev lo
addr add {OUTSIDE4}/32 dev lo
addr add {STRANGER4}/32 dev lo
addr add {STRANGER6}/128 dev lo nodad
route add {LOOPBACK4}/32 via 172.22.15.101
addr add 203.0.113.3/32 dev lo
route add {FABRIC_DETOUR6} via {UPLINK6}
route add 203.0.113.0/24 via {UPLINK4}
route add 2001:db8:cb00:7100::/64 via {UPLINK6}
"""
OFFICE = f"""
link set lo up
link set eth0 up
addr add {OFFICE6}/128 dev eth0 nodad
route add 2001:db8:0ff1::1 dev eth0
route add default via 2001:db8:0ff1::1
"""
# In place of BGP: the outgoing routes. The last is the mistake that the firewall is for: from one VRF into another.
AFTERWARDS = f"""
link set office up
addr add 2001:db8:0ff1::1/64 dev office nodad
route add default via {ROUTER4} dev fabric-A.90 table 90
route add default via {ROUTER6} dev fabric-A.90 table 90
route add {PRIVATE4}/32 via 172.22.15.126 dev fabric-A.20 table 90
route add {PRIVATE4}/32 via 172.22.15.126 dev fabric-A.20 table 20
route add {OUTSIDE4}/32 via 172.22.15.126 dev fabric-A.20 table 20
route add {STRANGER4}/32 via {ROUTER4} dev fabric-A.90 table 90
route add {STRANGER6}/128 via {ROUTER6} dev fabric-A.90 table 90
"""


def ip(lines: str, netns: str | None = None) -> None:
    batch = subprocess.run(
        ["ip", *(["-n", netns] if netns else []), "-batch", "-"], input=lines.strip() + "\n", text=True, check=False
    )
    if batch.returncode:
        sys.exit(f"ip failed in {netns or 'the hypervisor'}")


def ping(netns: str | None, address: str) -> bool:
    where = ["ip", "netns", "exec", netns] if netns else []
    return subprocess.run([*where, "ping", "-c1", "-W1", address], capture_output=True, check=False).returncode == 0


def by_link_local() -> bool:
    """Whether the router reaches SSH at the link-local address of the hypervisor's uplink in a VRF."""
    shown = subprocess.run(
        ["ip", "-json", "-6", "address", "show", "dev", "fabric-A.90", "scope", "link"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    [own] = [
        address["local"] for link in json.loads(shown) for address in link.get("addr_info", []) if "local" in address
    ]
    with inside("router"):
        scope = socket.if_nametoindex("up0.90")
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with sock:
        sock.settimeout(0.9)
        return sock.connect_ex((own, 22, 0, scope)) == 0


def guest(number: int) -> str:
    return GUEST.format(n=number, prefix=PREFIX6, gateway4=GATEWAY4, gateway6=GATEWAY6)


class Net:
    """All listening sockets, and the packets that can be sent."""

    def __init__(self):
        self.listeners, self.counted = Listeners(), 0
        self.servers = []
        for any_address in ("0.0.0.0", "::"):
            for netns, ports in ((None, (22, 179)), ("vm1", (8080,))):
                for port in ports:
                    sock = opened(netns, socket.SOCK_STREAM, any_address, (any_address, port))
                    sock.listen(64)
                    self.servers.append(sock)
            for netns, ports in (
                (None, (67, 514, 3784, 3785, 4784)),
                ("router", (5000,)),
                ("vm1", (5000,)),
                ("vm2", (5000,)),
            ):
                for port in ports:
                    sock = opened(netns, socket.SOCK_DGRAM, any_address, (any_address, port))
                    self.listeners.add(f"{netns}:{port}", sock)
        for netns in (None, "vm2", "router", "office"):
            for address, protocol in (("0.0.0.0", socket.IPPROTO_ICMP), ("::", socket.IPPROTO_ICMPV6)):
                self.listeners.add(f"{netns}:redirect", opened(netns, socket.SOCK_RAW, address, None, protocol))

    def udp(self, netns, address, port, at, source=None, source_port=0) -> bool:
        """Whether a datagram arrives at the node AT."""
        self.counted += 1
        words = b"datagram %d." % self.counted
        with opened(
            netns, socket.SOCK_DGRAM, address, (source or ("::" if ":" in address else "0.0.0.0"), source_port)
        ) as sock:
            try:
                sock.sendto(words, target(address, port))
            except OSError:
                return False
        return self.listeners.received(f"{at}:{port}", words)

    def redirect(self, netns, address, at) -> bool:
        """Whether an ICMP redirect from NETNS to ADDRESS arrives at the node AT."""
        self.counted += 1
        words = b"redirect %d." % self.counted
        number, message = redirect(address, words)
        with opened(netns, socket.SOCK_RAW, address, None, number) as sock:
            if ":" in address:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
            try:
                sock.sendto(message, target(address, 0))
            except OSError:
                return False
        return self.listeners.received(f"{at}:redirect", words)

    def own_redirect(self, netns, detour) -> bool:
        """Whether the hypervisor sends a neighbour a redirect for DETOUR, which is on the same link."""
        with opened(netns, socket.SOCK_DGRAM, detour) as sock:
            sock.sendto(b"detour", (detour, 5000))
        return self.listeners.received(f"{netns}:redirect", bytes([137, 0]))

    def dhcp(self) -> bool:
        """Whether the broadcast of a guest without an address arrives, sent from 0.0.0.0."""
        ip("addr flush dev eth0 scope global", "vm2")
        self.counted += 1
        words = b"discover %d." % self.counted
        with opened("vm2", socket.SOCK_DGRAM, "0.0.0.0", ("0.0.0.0", 68)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            sock.sendto(words, ("255.255.255.255", 67))
        arrived = self.listeners.received("None:67", words)
        ip(guest(2), "vm2")
        return arrived


def build() -> None:
    for name in ("vm1", "vm2", "router", "office"):
        subprocess.run(["ip", "netns", "add", name], check=True)
    ip(TOPOLOGY)
    with open("network.json", encoding="utf-8") as file:
        configure(json.load(file))
    for netns in ("vm1", "vm2", "router"):
        for setting in ("ipv4/conf/all/accept_redirects", "ipv6/conf/all/accept_dad", "ipv4/conf/all/rp_filter"):
            with inside(netns), open(f"/proc/sys/net/{setting}", "w", encoding="ascii") as file:
                file.write("0")
    for netns, lines in (("vm1", guest(1)), ("vm2", guest(2)), ("router", ROUTER), ("office", OFFICE)):
        ip(lines, netns)
    ip(AFTERWARDS)
    settle()


def settle() -> None:
    """Waits until no address of the hypervisor is tentative."""
    deadline = time.monotonic() + 30
    while tentative := run(["ip", "-6", "address", "show", "tentative"])[1]:
        if time.monotonic() > deadline:
            sys.exit(f"still tentative: {tentative}")
        time.sleep(0.1)


def configure(config: dict) -> None:
    arguments = {"config": config, "state": "overridden", "_ansible_remote_tmp": "/tmp"}
    name = "ansible_collections.routed.hypervisor.plugins.modules.network"
    done = subprocess.run(
        [sys.executable, "-m", name],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"module network failed: {done.stdout}{done.stderr}")


def attempts(net: Net) -> dict:
    """All attempts; each returns whether it got through."""
    own4, own6, other6 = "203.0.113.1", f"{PREFIX6}01", f"{PREFIX6}02"
    return {
        "a guest pings its gateway": lambda: ping("vm1", GATEWAY4),
        "a guest pings its IPv6 gateway": lambda: ping("vm1", f"{GATEWAY6}%eth0"),
        "a guest pings another": lambda: ping("vm1", "203.0.113.2"),
        "a guest pings another by IPv6": lambda: ping("vm1", other6),
        "a guest pings the world": lambda: ping("vm1", WORLD4),
        "a guest pings the world by IPv6": lambda: ping("vm1", WORLD6),
        "a guest pings an uplink of its hypervisor": lambda: ping("vm1", UPLINK4),
        "a guest asks for an address": net.dhcp,
        "the hypervisor pings a guest": lambda: ping(None, own4),
        "the hypervisor pings a guest by IPv6": lambda: ping(None, own6),
        "the hypervisor connects to a guest": lambda: tcp(None, own4, 8080),
        "the hypervisor connects to a guest by IPv6": lambda: tcp(None, own6, 8080),
        "the world connects to a guest": lambda: tcp("router", own4, 8080, WORLD4),
        "the router connects to BGP": lambda: tcp("router", UPLINK4, 179),
        "the router connects to BGP by IPv6": lambda: tcp("router", UPLINK6, 179),
        "the router sends BFD": lambda: net.udp("router", UPLINK4, 3784, None),
        "the router sends BFD by IPv6": lambda: net.udp("router", UPLINK6, 3784, None),
        "the router pings the hypervisor": lambda: ping("router", UPLINK4),
        "the router pings the hypervisor by IPv6": lambda: ping("router", UPLINK6),
        "the router connects to SSH": lambda: tcp("router", UPLINK4, 22),
        "the router connects to SSH by IPv6": lambda: tcp("router", UPLINK6, 22),
        "the router connects to SSH by link-local address": by_link_local,
        "the router sends to another service": lambda: net.udp("router", UPLINK4, 514, None),
        "a stranger connects to BGP": lambda: tcp("router", UPLINK4, 179, STRANGER4),
        "a stranger connects to BGP by IPv6": lambda: tcp("router", UPLINK6, 179, STRANGER6),
        "a stranger sends BFD": lambda: net.udp("router", UPLINK4, 3784, None, STRANGER4),
        "a client connects to SSH at the loopback": lambda: tcp("router", LOOPBACK4, 22, PRIVATE4),
        "a client answers by UDP": lambda: net.udp("router", LOOPBACK4, 514, None, PRIVATE4),
        "a client connects to BGP": lambda: tcp("router", LOOPBACK4, 179, PRIVATE4),
        "others connect to SSH at the loopback": lambda: tcp("router", LOOPBACK4, 22, OUTSIDE4),
        "a network in no VRF connects to SSH": lambda: tcp("office", OWN_OFFICE6, 22),
        "a guest connects to BGP": lambda: tcp("vm1", UPLINK4, 179),
        "a guest connects to BGP by IPv6": lambda: tcp("vm1", UPLINK6, 179),
        "a guest connects to BGP at its gateway": lambda: tcp("vm1", GATEWAY4, 179),
        "a guest connects to BGP at its IPv6 gateway": lambda: tcp("vm1", GATEWAY6, 179),
        "a guest connects to SSH": lambda: tcp("vm1", UPLINK4, 22),
        "a guest connects to SSH at its IPv6 gateway": lambda: tcp("vm1", GATEWAY6, 22),
        "a guest sends BFD": lambda: net.udp("vm1", UPLINK4, 3784, None),
        "a guest sends BFD by IPv6": lambda: net.udp("vm1", UPLINK6, 3784, None),
        "a guest sends BFD echo": lambda: net.udp("vm1", UPLINK4, 3785, None),
        "a guest sends BFD over several hops": lambda: net.udp("vm1", UPLINK4, 4784, None),
        "a guest sends to another service": lambda: net.udp("vm1", GATEWAY4, 514, None),
        "a guest elsewhere connects to BGP": lambda: tcp("router", UPLINK4, 179, "203.0.113.3"),
        "a guest elsewhere sends BFD": lambda: net.udp("router", UPLINK4, 3784, None, "203.0.113.3"),
        "a guest sends from its address": lambda: net.udp("vm1", WORLD4, 5000, "router", own4),
        "a guest sends from its IPv6 address": lambda: net.udp("vm1", WORLD6, 5000, "router", own6),
        "a guest sends from another's address": lambda: net.udp("vm1", WORLD4, 5000, "router", "203.0.113.2"),
        "a guest sends from another's IPv6 address": lambda: net.udp("vm1", WORLD6, 5000, "router", other6),
        "a guest sends from any IPv6 address": lambda: net.udp("vm1", WORLD6, 5000, "router", "2001:db8:bad::1"),
        "a guest sends from another's IPv6 address to a guest": lambda: net.udp(
            "vm1", other6, 5000, "vm2", f"{PREFIX6}05"
        ),
        "a guest sends into another VRF": lambda: net.udp("vm1", PRIVATE4, 5000, "router", own4),
        "a network in no VRF sends to a guest": lambda: net.udp("office", own6, 5000, "vm1"),
        "a guest redirects its hypervisor": lambda: net.redirect("vm1", GATEWAY4, None),
        "a guest redirects its hypervisor by IPv6": lambda: net.redirect("vm1", GATEWAY6, None),
        "a guest redirects another": lambda: net.redirect("vm1", "203.0.113.2", "vm2"),
        "the router redirects a guest": lambda: net.redirect("router", "203.0.113.2", "vm2"),
        "the hypervisor redirects a network in no VRF": lambda: net.own_redirect("office", DETOUR6),
        "the hypervisor redirects the router": lambda: net.own_redirect("router", FABRIC_DETOUR6),
    }


# Packets on purpose without an answer, and without what a closed port does besides: only the firewall is tested.
LEFT = """
addr add 10.7.7.1/32 dev lo
route add 203.0.113.1/32 dev vm1
"""


def leave() -> None:
    """Takes vm1 out of the configuration, while it runs."""
    with open("network.json", encoding="utf-8") as file:
        config = json.load(file)
    kept = {
        "interfaces": [entry for entry in config["interfaces"] if entry["name"] != "vm1"],
        "proxy_arp": [entry for entry in config["proxy_arp"] if entry["interface"] != "vm1"],
        "routes": [entry for entry in config["routes"] if entry.get("interface") != "vm1"],
    }
    configure({**config, **kept})
    ip(LEFT)
    for setting in ("conf/all/rp_filter", "conf/vm1/rp_filter"):
        with open(f"/proc/sys/net/ipv4/{setting}", "w", encoding="ascii") as file:
            file.write("0")
    [port] = json.loads(run(["ip", "-json", "link", "show", "dev", "vm1"])[1])
    ip(f"neigh replace {GATEWAY4} lladdr {port['address']} dev eth0 nud permanent", "vm1")
    [far] = json.loads(run(["ip", "-n", "vm1", "-json", "link", "show", "dev", "eth0"])[1])
    ip(f"neigh replace 203.0.113.1 lladdr {far['address']} dev vm1 nud permanent")


def attempts_after_leaving(net: Net) -> dict:
    return {
        "a guest that left sends to the hypervisor": lambda: net.udp("vm1", "10.7.7.1", 514, None),
        "a guest that left sends from another's address": lambda: net.udp("vm1", "10.7.7.1", 514, None, "203.0.113.2"),
        "the hypervisor sends to a guest that left": lambda: net.udp(None, "203.0.113.1", 5000, "vm1"),
    }


def nft(*words: str) -> str:
    return subprocess.run(["nft", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def counters() -> dict[str, int]:
    listing = json.loads(nft("-j", "list", "counters", "table", "inet", "routed_hypervisor"))["nftables"]
    named = [item["counter"] for item in listing if "counter" in item]
    # Router solicitations and the like arrive at any time.
    return {counter["name"]: counter["packets"] for counter in named if counter["name"] != "multicast"}


def tried(attempts: dict, with_counters: bool) -> dict:
    found = {}
    for name, attempt in attempts.items():
        before = counters() if with_counters else {}
        # On a busy machine an answer may take longer than the timeout; the firewall counts what it drops.
        for _time in range(3):
            through, after = attempt(), counters() if with_counters else {}
            if through or after != before:
                break
        found[name] = {
            "through": through,
            "counted": {key: after[key] - before[key] for key in after if after[key] != before[key]},
        }
    return found


def logged(earlier: int) -> list[str]:
    """What the firewall logged, without the given number of earlier lines."""
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    lines = [line.partition("routed-hypervisor ")[2] for line in log.splitlines() if "routed-hypervisor " in line]
    return lines[earlier:]


def flood(net: Net, packets: int) -> None:
    with opened("vm1", socket.SOCK_DGRAM, WORLD6, ("2001:db8:bad::1", 0)) as sock:
        for _packet in range(packets):
            sock.sendto(b"flood", (WORLD6, 5000))


def run(command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def main() -> None:
    if lacking := nftables.lacking(run):
        print(json.dumps({"lacking": lacking}))
        return
    earlier = len(logged(0))
    build()
    net = Net()
    result = {"without": tried(attempts(net), False)}
    nft("--file", "hypervisor.nft")
    start = time.monotonic()
    result["with"] = tried(attempts(net), True)
    result["minutes"] = (time.monotonic() - start) / 60
    result["logged"] = logged(earlier)
    before = counters()["forged_source"]
    flood(net, 200)
    deadline = time.monotonic() + 10  # the kernel may handle them a moment later
    while counters()["forged_source"] < before + 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    result["flood"] = {
        "counted": counters()["forged_source"] - before,
        "logged": len(logged(earlier)) - len(result["logged"]),
    }
    leave()
    result["left"] = {"with": tried(attempts_after_leaving(net), True)}
    nft("delete", "table", "inet", "routed_hypervisor")
    result["left"]["without"] = tried(attempts_after_leaving(net), False)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
