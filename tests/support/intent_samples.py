"""Intents for the tests: the default lab, and another one in which everything is different."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import copy

import yaml

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check

from .modules import PROJECT

REMOVE = object()  # in place of a value: takes the key away
DEFAULT_FILE = PROJECT / "inventories" / "l3_hypervisor" / "fabric.yml"
DEFAULT = yaml.safe_load(DEFAULT_FILE.read_text())

# Three fabrics, two reflectors on one of them, VRFs with and without IPv6, segments in two VRFs, a hypervisor on a
# single fabric, two borders, static addresses, names and numbers unlike the default lab's.
OTHER = yaml.safe_load("""
plugin: routed.hypervisor.fabric
name: harbour
lab: {packages: [iperf3]}
bgp: {as: 4200000001, ttl_security: false, add_path: false}
vrfs:
  blue: {table: 1001, vlan: 301}
  storage_net: {table: 1002, vlan: 302, password: true, host: [10.32.0.0/16, 10.33.0.0/24]}
fabrics:
  east: {interface: east0, mtu: 9000, networks: {blue: {ipv4: 10.1.0.0/24, ipv6: "2001:db8:1::/64"}, storage_net: {ipv4: 10.32.1.0/24}}}
  west: {interface: west0, mtu: 9000, networks: {blue: {ipv4: 10.2.0.0/24, ipv6: "2001:db8:2::/64"}, storage_net: {ipv4: 10.32.2.0/24}}}
  third: {interface: third0, networks: {blue: {ipv4: 10.3.0.0/24}}}
loopbacks:
  storage_net: {ipv4: 10.33.0.0/24, interface: lo-storage}
segments:
  web: {vrf: blue, ipv4: 10.200.0.0/16, gateway4: 10.200.0.1, ipv6: "2001:db8:200::/64", gateway6: fe80::42, mtu: 1400, dhcp: {}, dns: [10.200.0.53, "2001:db8:200::53"]}
  disks: {vrf: storage_net, ipv4: 10.32.128.0/24, gateway4: 10.32.128.254}
reflectors:
  east-a: {fabric: east, addresses: {blue: {ipv4: 10.1.0.250, ipv6: "2001:db8:1::fa"}, storage_net: {ipv4: 10.32.1.250}}}
  east-b: {fabric: east, addresses: {blue: {ipv4: 10.1.0.251, ipv6: "2001:db8:1::fb"}, storage_net: {ipv4: 10.32.1.251}}}
  west-a: {fabric: west, addresses: {blue: {ipv4: 10.2.0.250, ipv6: "2001:db8:2::fa"}, storage_net: {ipv4: 10.32.2.250}}}
  third-a: {fabric: third, addresses: {blue: {ipv4: 10.3.0.250}}}
borders:
  north: {vrf: blue, fabrics: {east: {ipv4: 10.1.0.1, ipv6: "2001:db8:1::ffff"}}, world: [192.0.2.9, "2001:db8:ffff::9"]}
  south: {vrf: blue, fabrics: {west: {ipv4: 10.2.0.1}, third: {ipv4: 10.3.0.1}}, world: [192.0.2.10]}
hypervisors:
  quay:
    id: 17
    guests:
      shop: {segment: web, ipv4: 10.200.3.4}
      cache: {segment: web, ipv4: 10.200.3.5, ipv6: none, mac: "52:54:00:12:34:56", port: tap7}
      disk1: {segment: disks, ipv4: 10.32.128.1}
  pier:
    id: 18
    fabrics: {west: {interface: eno1, addresses: {blue: {ipv4: 10.2.0.99}}}}
    guests:
      blog: {segment: web, ipv4: 10.200.3.6, ipv6: "2001:db8:200::6"}
  jetty: {id: 19}
""")

# Containers in every way there is: on a dummy in a VRF with two uplinks, in prefixes of the hosts' own and in one that
# spans them; in l3 on an uplink in the main table; in l2 on a fabric's own network.
CONTAINERS = yaml.safe_load("""
plugin: routed.hypervisor.fabric
name: quayside
lab: {}
bgp: {as: 65010, daemon: gobgp, peering: automatic}
vrfs:
  main: {}
  blue: {table: 1001, vlan: 301}
fabrics:
  east: {networks: {main: {ipv4: 10.1.0.0/24, gateway4: 10.1.0.254}, blue: {ipv4: 10.3.0.0/24, ipv6: "2001:db8:3::/64"}}}
  west: {networks: {blue: {ipv4: 10.4.0.0/24, ipv6: "2001:db8:4::/64"}}}
leaves:
  spur: {as: 65020, fabrics: {east: {addresses: {main: {ipv4: 10.1.0.254}}}}}
container_networks:
  own: {vrf: blue}
  span: {vrf: blue, ipv4: 10.20.0.0/24, gateway4: 10.20.0.254, ipv6: "2001:db8:20::/64", gateway6: fe80::1, pool: 10.20.0.100-10.20.0.109}
  deep: {vrf: main, mode: l3, fabric: east}
  flat: {vrf: blue, fabric: west, pool: 10.4.0.200-10.4.0.209, host_link: true}
hypervisors:
  quay:
    id: 1
    container_networks:
      own: {ipv4: 10.21.1.0/24, ipv6: "2001:db8:21:1::/64", containers: {q1: {}, q2: {ipv4: 10.21.1.77}}}
      span: {containers: {q3: {}, q4: {ipv4: 10.20.0.9}}}
      deep: {ipv4: 10.22.1.0/24, containers: {q5: {}}}
      flat: {containers: {q6: {}}}
  pier:
    id: 2
    container_networks:
      own: {ipv4: 10.21.2.0/24, containers: {p1: {}}}
      span: {containers: {p3: {}}}
      deep: {ipv4: 10.22.2.0/24, containers: {p5: {}}}
""")


def containers() -> dict:
    return copy.deepcopy(CONTAINERS)


def default() -> dict:
    return copy.deepcopy(DEFAULT)


def other() -> dict:
    return copy.deepcopy(OTHER)


def run_gobgp_on_hv2(given: dict) -> None:
    """The default lab without what GoBGP lacks, and without hv3."""
    given["bgp"]["ttl_security"] = False
    del given["bgp"]["bfd"], given["hypervisors"]["hv3"]
    for vrf in given["vrfs"].values():
        vrf.pop("password", None)
    given["hypervisors"]["hv2"]["daemon"] = "gobgp"
    del given["loopbacks"]  # which GoBGP does not announce


def mistakes_in(data) -> list[str]:
    found = Mistakes()
    check(data, found)
    return found.lines()


def only_mistake_in(data) -> str:
    """The line of the one mistake: a mistake has no consequences that are reported, too."""
    found = mistakes_in(data)
    assert len(found) == 1, "\n".join(found)
    return found[0]


def changed(*changes, start=default) -> dict:
    """The default lab, or another, with values put at paths ("a.b.c", value)."""
    data = start()
    for path, value in changes:
        *parents, last = path.split(".")
        place = data
        for part in parents:
            place = place[part] if part in place else place.setdefault(part, {})
        if value is REMOVE:
            del place[last]
        elif isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    return data


def many(hypervisors: int, guests: int) -> dict:
    """The default lab's networks, made large enough, with so many hypervisors and guests on each."""
    intent = default()
    for number, fabric in enumerate(("A", "B")):
        intent["fabrics"][fabric]["networks"] = {
            "private": {"ipv4": f"10.{number}.0.0/16"},
            "public": {"ipv4": f"10.{16 + number}.0.0/16", "ipv6": f"2001:db8:{number}::/64"},
        }
    intent["vrfs"]["private"]["host"] = ["10.64.0.0/16"]
    intent["loopbacks"]["private"]["ipv4"] = "10.64.0.0/16"
    intent["segments"]["guests"].update(ipv4="100.64.0.0/10", gateway4="100.64.0.1")
    for number, reflector in enumerate(("rr1", "rr2")):
        intent["reflectors"][reflector]["addresses"] = {
            "private": {"ipv4": f"10.{number}.255.1"},
            "public": {"ipv4": f"10.{16 + number}.255.1", "ipv6": f"2001:db8:{number}::ffff:1"},
        }
        place = {"ipv4": f"10.{16 + number}.255.2", "ipv6": f"2001:db8:{number}::ffff:2"}
        intent["borders"]["internet"]["fabrics"]["AB"[number]] = place
    intent["hypervisors"] = {
        f"hv{node}": {
            "id": node,
            "guests": {
                f"vm{node}-{guest}": {"ipv4": f"100.{64 + node // 256}.{node % 256}.{guest + 1}"}
                for guest in range(1, guests + 1)
            },
        }
        for node in range(1, hypervisors + 1)
    }
    return intent
