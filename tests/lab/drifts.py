"""Changes that people and programs make by hand on the nodes of the default lab, drawn at random."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

HYPERVISORS = ("hv1", "hv2", "hv3")
NDP = {"hv1": "routed-hypervisor-run", "hv2": "routed-hypervisor-run", "hv3": "ndppd"}
WITH_NDPPD = [node for node, name in NDP.items() if name == "ndppd"]
DAEMONS = [(node, name) for node in HYPERVISORS for name in ("bird", "dnsmasq", "radvd")]
DAEMONS += [(node, "ndppd") for node in WITH_NDPPD]
GUESTS = {"vm1": "hv1", "vm2": "hv1", "vm3": "hv2", "vm4": "hv3"}
FABRICS = ("A", "B")
VRFS = {"private": 20, "public": 90}


@dataclasses.dataclass(frozen=True)
class Drift:
    node: str
    command: str
    touches: str  # what on the node it changes: two changes of a round touch different things
    survives: str | None = None  # succeeds as long as a foreign object is there as it was made
    undo: str | None = None
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.kind} on {self.node}: {self.command}"


Draw = Callable[[random.Random, int], Drift]
DRAWS: dict[str, Draw] = {}


def drawn(draw: Draw) -> Draw:
    kind = draw.__name__.replace("_", " ")
    DRAWS[kind] = lambda r, n: dataclasses.replace(draw(r, n), kind=kind)
    return draw


def _guest(r: random.Random) -> tuple[str, str, str]:
    """The port of a guest, the hypervisor that it is on, and the last part of the guest's addresses."""
    port = r.choice(list(GUESTS))
    return port, GUESTS[port], port[2:]


def _vlan(r: random.Random) -> str:
    return f"fabric-{r.choice(FABRICS)}.{r.choice(list(VRFS.values()))}"


# Ours: what a run repairs


@drawn
def vrf_deleted(r: random.Random, _n: int) -> Drift:
    vrf = r.choice(list(VRFS))
    return Drift(r.choice(HYPERVISORS), f"ip link del {vrf}", "links")


@drawn
def link_deleted(r: random.Random, _n: int) -> Drift:
    name = r.choice([_vlan(r), "loopback"])
    return Drift(r.choice(HYPERVISORS), f"ip link del {name}", "links")


@drawn
def link_down(r: random.Random, _n: int) -> Drift:
    port, host, _last = _guest(r)
    node, name = r.choice([(host, port), (r.choice(HYPERVISORS), _vlan(r)), (r.choice(HYPERVISORS), "loopback")])
    return Drift(node, f"ip link set {name} down", "links")


@drawn
def out_of_its_vrf(r: random.Random, _n: int) -> Drift:
    port, host, _last = _guest(r)
    node, name = r.choice([(host, port), (r.choice(HYPERVISORS), _vlan(r))])
    return Drift(node, f"ip link set {name} nomaster", "links")


@drawn
def in_the_wrong_vrf(r: random.Random, _n: int) -> Drift:
    port, host, _last = _guest(r)
    return Drift(host, f"ip link set {port} master private", "links")


@drawn
def address_removed(r: random.Random, _n: int) -> Drift:
    port, host, _last = _guest(r)
    address = r.choice(["203.0.113.254/32", "fe80::1/64"])
    return Drift(host, f"ip address del {address} dev {port}", "links")


@drawn
def uplink_address_removed(r: random.Random, _n: int) -> Drift:
    number = r.choice("123")
    fabric, part, third = r.choice([("A", "10", "0"), ("B", "20", "1")])
    address = r.choice([f"198.51.100.{part}{number}/25", f"2001:db8:c633:640{third}::{number}/120"])
    command = f"ip address del {address} dev fabric-{fabric}.90"
    return Drift(f"hv{number}", command, "links")


@drawn
def guest_route_removed(r: random.Random, _n: int) -> Drift:
    _port, host, last = _guest(r)
    address = r.choice([f"203.0.113.{last}", f"2001:db8:cb00:7100:0:cbff:fe00:710{last}"])
    table = r.choice(["90", "main"])
    return Drift(host, f"ip route del {address} table {table}", "routes")


@drawn
def guest_route_elsewhere(r: random.Random, _n: int) -> Drift:
    _port, host, last = _guest(r)
    command = f"ip route replace 203.0.113.{last} dev lo table 90 protocol 82 scope link"
    return Drift(host, command, "routes")


@drawn
def default_of_the_vrf_removed(r: random.Random, _n: int) -> Drift:
    family, table = r.choice("46"), r.choice(list(VRFS.values()))
    command = f"ip -{family} route del unreachable default metric 4278198272 table {table}"
    return Drift(r.choice(HYPERVISORS), command, "routes")


@drawn
def rule_removed(r: random.Random, _n: int) -> Drift:
    return Drift(r.choice(HYPERVISORS), "ip rule del priority 2000", "rules")


@drawn
def rule_of_vrfs_removed(r: random.Random, _n: int) -> Drift:
    command = f"ip -{r.choice('46')} rule del l3mdev priority 1000"
    return Drift(r.choice(HYPERVISORS), command, "rules")


@drawn
def own_rule_added(r: random.Random, n: int) -> Drift:
    command = f"ip rule add priority {2100 + n} to 10.{n % 200}.0.0/16 table 90 protocol 82"
    return Drift(r.choice(HYPERVISORS), command, "rules")


@drawn
def setting_of_a_port(r: random.Random, _n: int) -> Drift:
    port, host, _last = _guest(r)
    path, value = r.choice(
        [
            *[("ipv4/conf/{}/forwarding", 0), ("ipv4/conf/{}/rp_filter", 0), ("ipv4/conf/{}/proxy_arp", 0)],
            *[("ipv4/neigh/{}/proxy_delay", 80), ("ipv6/conf/{}/accept_ra", 2), ("ipv6/conf/{}/addr_gen_mode", 0)],
            *[("ipv4/conf/{}/accept_redirects", 1), ("ipv6/conf/{}/accept_redirects", 1)],
        ]
    )
    return Drift(host, f"echo {value} >/proc/sys/net/{path.format(port)}", f"sysctls {port}")


@drawn
def ipv6_disabled_on_a_port(r: random.Random, _n: int) -> Drift:
    port, host, _last = _guest(r)
    command = f"echo 1 >/proc/sys/net/ipv6/conf/{port}/disable_ipv6"
    return Drift(host, command, "links")


@drawn
def setting_of_the_host(r: random.Random, _n: int) -> Drift:
    path, value = r.choice(
        [
            *[("ipv4/tcp_l3mdev_accept", 0), ("ipv4/udp_l3mdev_accept", 0), ("ipv6/conf/all/forwarding", 0)],
            *[("ipv4/conf/all/rp_filter", 1), ("ipv4/conf/all/send_redirects", 1), ("ipv4/conf/all/forwarding", 0)],
            ("ipv4/conf/all/forwarding", 1),
        ]
    )
    command = f"echo {value} >/proc/sys/net/{path}"
    return Drift(r.choice(HYPERVISORS), command, "sysctls all")


@drawn
def mtu(r: random.Random, _n: int) -> Drift:
    port, host, _last = _guest(r)
    node, name = r.choice([(host, port), (r.choice(HYPERVISORS), _vlan(r)), (port, "eth0")])
    return Drift(node, f"ip link set {name} mtu {r.choice([1000, 1300, 1400])}", "links")


@drawn
def port_out_of_the_switch(r: random.Random, _n: int) -> Drift:
    node = f"switch-{r.choice(FABRICS)}"
    return Drift(node, f"ip link set {r.choice(HYPERVISORS)} nomaster", "links")


@drawn
def switch_down(r: random.Random, _n: int) -> Drift:
    return Drift(f"switch-{r.choice(FABRICS)}", "ip link set bridge down", "links")


@drawn
def spanning_tree_on(r: random.Random, _n: int) -> Drift:
    return Drift(f"switch-{r.choice(FABRICS)}", "ip link set bridge type bridge stp_state 1", "links")


@drawn
def firewall(r: random.Random, _n: int) -> Drift:
    command = r.choice(["delete table inet routed_hypervisor", "flush table inet routed_hypervisor"])
    return Drift(r.choice(HYPERVISORS), f"nft {command}", "firewall")


@drawn
def daemon_gone(r: random.Random, _n: int) -> Drift:
    node = r.choice([*HYPERVISORS, "rr1", "rr2", "internet"])
    name = r.choice(["bird", "dnsmasq", "radvd", NDP[node]]) if node in HYPERVISORS else "bird"
    command = r.choice([f"service {name} stop", f"pkill -KILL -x {name}"])
    return Drift(node, command, f"daemon {name}")


@drawn
def daemon_stopped_by_a_signal(r: random.Random, _n: int) -> Drift:
    node, name = r.choice(DAEMONS)
    return Drift(node, f"pkill -STOP -x {name}", f"daemon {name}")


@drawn
def daemon_restarted(r: random.Random, _n: int) -> Drift:
    node, name = r.choice(DAEMONS)
    return Drift(node, f"service {name} restart", f"daemon {name}")


FILES = {
    **{"bird": "/etc/bird/bird.conf", "dnsmasq": "/etc/dnsmasq.conf", "dnsmasq hosts": "/etc/dnsmasq.hosts"},
    **{"radvd": "/etc/radvd.conf", "ndppd": "/etc/ndppd.conf", "secrets": "/etc/bird/secrets.conf"},
}


@drawn
def file_changed(r: random.Random, _n: int) -> Drift:
    name, path = r.choice(list(FILES.items()))
    command = r.choice([f"echo '# by hand' >>{path}", f"rm {path}", f"chmod 600 {path}", f"chown daemon {path}"])
    node = r.choice(WITH_NDPPD if name == "ndppd" else HYPERVISORS)
    return Drift(node, command, f"daemon {name.split()[0]}")


# Of others: what a run must leave alone


@drawn
def foreign_link(r: random.Random, n: int) -> Drift:
    name = f"other{n}"
    command = f"ip link add {name} type dummy; ip link set {name} up; ip address add 10.99.{n % 250}.1/24 dev {name}"
    there = f"ip address show dev {name} | grep -q 10.99.{n % 250}.1/24"
    return Drift(r.choice(HYPERVISORS), command, name, there, f"ip link del {name}")


@drawn
def foreign_link_in_our_vrf(r: random.Random, n: int) -> Drift:
    name, vrf = f"other{n}", r.choice(list(VRFS))
    command = f"ip link add {name} type dummy; ip link set {name} master {vrf} up"
    there = f"ip -br link show master {vrf} | grep -q {name}"
    return Drift(r.choice(HYPERVISORS), command, "links", there, f"ip link del {name}")


@drawn
def foreign_vrf(r: random.Random, n: int) -> Drift:
    name = f"other{n}"
    command = f"ip link add {name} type vrf table {5000 + n}; ip link set {name} up"
    there = f"ip link show {name} type vrf"
    return Drift(r.choice(HYPERVISORS), command, name, there, f"ip link del {name}")


@drawn
def foreign_address(r: random.Random, n: int) -> Drift:
    node, name = r.choice([(r.choice(HYPERVISORS), _vlan(r)), _guest(r)[1::-1], (_guest(r)[0], "eth0")])
    address = r.choice([f"10.98.{n % 250}.1/24", f"2001:db8:98:{n}::1/64"])
    there = f"ip address show dev {name} | grep -q {address}"
    undo = f"ip address del {address} dev {name}"
    return Drift(node, f"ip address add {address} dev {name}", "links", there, undo)


@drawn
def foreign_route(r: random.Random, n: int) -> Drift:
    table = r.choice(["main", "90", "20"])
    prefix = r.choice([f"10.97.{n % 250}.0/24", f"2001:db8:97:{n}::/64"])
    kind = r.choice(["blackhole", "unreachable"])
    there = (
        f"ip route show table {table} {prefix} | grep -q {kind} || ip -6 route show table {table} | grep -q {prefix}"
    )
    undo = f"ip route del {kind} {prefix} table {table}"
    command = f"ip route add {kind} {prefix} table {table}"
    return Drift(r.choice(HYPERVISORS), command, f"routes {prefix}", there, undo)


@drawn
def foreign_rule(r: random.Random, n: int) -> Drift:
    family = r.choice("46")
    command = f"ip -{family} rule add priority {5000 + n} fwmark {n + 1} table 7{n}"
    there = f"ip -{family} rule show priority {5000 + n} | grep -q fwmark"
    undo = f"ip -{family} rule del priority {5000 + n}"
    return Drift(r.choice(HYPERVISORS), command, f"rules {n}", there, undo)


@drawn
def foreign_proxy(r: random.Random, n: int) -> Drift:
    port, host, _last = _guest(r)
    address = r.choice([f"10.96.{n % 250}.1", f"2001:db8:96:{n}::1"])
    there = f"ip neighbour show proxy dev {port} | grep -q {address}"
    undo = f"ip neighbour del proxy {address} dev {port}"
    return Drift(host, f"ip neighbour add proxy {address} dev {port}", "links", there, undo)


@drawn
def foreign_neighbor(r: random.Random, n: int) -> Drift:
    address, mac = f"203.0.113.{100 + n % 100}", f"02:aa:00:00:00:{n % 256:02x}"
    port, host, _last = _guest(r)
    there = f"ip neighbour show {address} dev {port} | grep -q {mac}"
    command = f"ip neighbour replace {address} lladdr {mac} nud permanent dev {port}"
    undo = f"ip neighbour del {address} dev {port}"
    return Drift(host, command, "links", there, undo)


@drawn
def foreign_table_of_nftables(r: random.Random, n: int) -> Drift:
    command = f"nft 'add table inet other{n}; add chain inet other{n} c {{ type filter hook input priority 5; }}'"
    there, undo = f"nft list chain inet other{n} c", f"nft delete table inet other{n}"
    return Drift(r.choice(HYPERVISORS), command, f"table {n}", there, undo)


@drawn
def foreign_file(r: random.Random, n: int) -> Drift:
    path = f"{r.choice(['/etc/bird', '/etc/dnsmasq.d'])}/other{n}.old"
    there, undo = f"grep -q {n} {path}", f"rm {path}"
    return Drift(r.choice(HYPERVISORS), f"echo '# {n}' >{path}", path, there, undo)


def draw_round(r: random.Random, number: int, first: int) -> list[Drift]:
    """So many changes, of as many kinds as possible, no two of which touch the same thing.

    A change takes down foreign objects on the same links or in the same VRF by itself: these are `links`, too.
    """
    taken: set[tuple[str, str]] = set()
    found: list[Drift] = []
    kinds: list[str] = []
    while len(found) < number:
        kinds = kinds or r.sample(list(DRAWS), len(DRAWS))
        drift = DRAWS[kinds.pop()](r, first + len(found))
        if (drift.node, drift.touches) not in taken:
            taken.add((drift.node, drift.touches))
            found.append(drift)
    return found
