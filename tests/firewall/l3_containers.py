"""A hypervisor with a container in l3 or l3s on its uplink, and packets between it and a container elsewhere.

The hypervisor is the network namespace that this program is started in, configured by the module network with the
variables of host1 of the inventory cni. The last line of the output is a JSON object: what got through without the
firewall and with it, and the values of the counters.
"""

from __future__ import annotations

import json
import socket
import subprocess

from packets import Listeners, opened, tcp
from scenario import configure, ip, nft, ping, settle, tried

OWN4, OWN6 = "10.20.1.77", "2001:db8:20:1::77"  # of the container
LINK4, LINK6 = "10.20.1.1", "2001:db8:20:1::1"  # of the hypervisor, among its containers
UPLINK4, UPLINK6 = "192.168.250.1", "2001:db8:250::1"
FAR4, FAR6 = "10.20.2.5", "2001:db8:20:2::5"  # a container elsewhere

ELSEWHERE = f"""
link set lo up
link set up0 up
addr add 192.168.250.254/24 dev up0
addr add 2001:db8:250::fe/64 dev up0 nodad
addr add {FAR4}/32 dev lo
addr add {FAR6}/128 dev lo nodad
route add 10.20.1.0/24 via {UPLINK4} src {FAR4}
route add 2001:db8:20:1::/64 via {UPLINK6} src {FAR6}
"""
CONTAINER = f"""
link set lo up
link set eth0 up
addr add {OWN4}/24 dev eth0
addr add {OWN6}/64 dev eth0 nodad
route add default dev eth0
route add ::/0 dev eth0
"""
# In place of BGP and the routing manager.
HYPERVISOR = f"""
link set lo up
route add 10.20.2.0/24 via 192.168.250.254
route add 2001:db8:20:2::/64 via 2001:db8:250::fe
route add {OWN4} dev host-edge src {LINK4}
route add {OWN6} dev host-edge src {LINK6}
"""


class Net:
    """All listening sockets, and the datagrams that can be sent."""

    def __init__(self):
        self.listeners, self.counted, self.servers = Listeners(), 0, []
        for netns in (None, "own", "far"):
            for any_address in ("0.0.0.0", "::"):
                server = opened(netns, socket.SOCK_STREAM, any_address, (any_address, 8080))
                server.listen(64)
                self.servers.append(server)
                for port in (514, 3784):
                    sock = opened(netns, socket.SOCK_DGRAM, any_address, (any_address, port))
                    self.listeners.add(f"{netns}:{port}", sock)

    def udp(self, netns, address, port, at) -> bool:
        """Whether a datagram arrives at the node AT."""
        self.counted += 1
        words = b"datagram %d." % self.counted
        with opened(netns, socket.SOCK_DGRAM, address) as sock:
            sock.sendto(words, (address, port))
        return self.listeners.received(f"{at}:{port}", words)


def attempts(net: Net) -> dict:
    return {
        "a container elsewhere pings a container": lambda: ping("far", OWN4),
        "a container elsewhere pings a container by IPv6": lambda: ping("far", OWN6),
        "a container elsewhere connects to a container": lambda: tcp("far", OWN4, 8080),
        "a container elsewhere connects to a container by IPv6": lambda: tcp("far", OWN6, 8080),
        "a container elsewhere sends to a container": lambda: net.udp("far", OWN4, 514, "own"),
        "a container elsewhere sends to a container by IPv6": lambda: net.udp("far", OWN6, 514, "own"),
        "a container connects to one elsewhere": lambda: tcp("own", FAR4, 8080),
        "a container connects to one elsewhere by IPv6": lambda: tcp("own", FAR6, 8080),
        "a container pings the host's link": lambda: ping("own", LINK4),
        "a container pings the host's link by IPv6": lambda: ping("own", LINK6),
        "the hypervisor connects to a container": lambda: tcp(None, OWN4, 8080),
        "the hypervisor connects to a container by IPv6": lambda: tcp(None, OWN6, 8080),
        "the hypervisor connects to its own link": lambda: tcp(None, LINK4, 8080),
        "a container connects to the host's link": lambda: tcp("own", LINK4, 8080),
        "a container connects to the host's link by IPv6": lambda: tcp("own", LINK6, 8080),
        "a container connects to the uplink": lambda: tcp("own", UPLINK4, 8080),
        "a container connects to the uplink by IPv6": lambda: tcp("own", UPLINK6, 8080),
        "a container sends BFD": lambda: net.udp("own", UPLINK4, 3784, None),
        "a container sends BFD by IPv6": lambda: net.udp("own", UPLINK6, 3784, None),
        "a container elsewhere connects to the host's link": lambda: tcp("far", LINK4, 8080),
        "a container elsewhere connects to the host's link by IPv6": lambda: tcp("far", LINK6, 8080),
    }


def build() -> None:
    for name in ("own", "far"):
        subprocess.run(["ip", "netns", "add", name], check=True)
    ip("link add fabric-left type veth peer name up0 netns far")
    with open("network.json", encoding="utf-8") as file:
        network = json.load(file)
    configure(network)
    mode = next(link["mode"] for link in network["ipvlan_links"] if link["name"] == "host-edge")
    ip(f"link add link fabric-left name eth0 netns own type ipvlan mode {mode}")
    ip(ELSEWHERE, "far")
    ip(CONTAINER, "own")
    ip(HYPERVISOR)
    settle()


def main() -> None:
    build()
    net = Net()
    result = {"without": tried(attempts(net), False)}
    nft("--file", "hypervisor.nft")
    result["with"] = tried(attempts(net), True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
