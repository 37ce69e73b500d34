"""Changes of the default lab's intent, drawn at random. Each leaves an intent that is right, whatever came before."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Intent = dict[str, Any]
Draw = Callable[[random.Random, Intent], None]
DRAWS: dict[str, Draw] = {}


def drawn(draw: Draw) -> Draw:
    DRAWS[draw.__name__.replace("_", " ")] = draw
    return draw


def draw_changes(r: random.Random, intent: Intent, count: int) -> list[str]:
    """Makes so many changes, each of another kind, and returns their names."""
    names = r.sample(list(DRAWS), count)
    for name in names:
        DRAWS[name](r, intent)
    return names


def _toggle(where: Intent, key: str, value: Any) -> None:
    """Sets a key that has another value, or removes it."""
    if where.get(key) == value:
        del where[key]
    else:
        where[key] = value


def _hypervisor(r: random.Random, intent: Intent) -> tuple[int, Intent]:
    name = r.choice(list(intent["hypervisors"]))
    return int(name[2:]), intent["hypervisors"][name]


def _guest(r: random.Random, intent: Intent) -> tuple[int, Intent]:
    guests = {name: one for node in intent["hypervisors"].values() for name, one in node["guests"].items()}
    name = r.choice(list(guests))
    return int(name[2:]), guests[name]


@drawn
def lease(r: random.Random, intent: Intent) -> None:
    intent["segments"]["guests"]["dhcp"] = {"lease_s": r.randint(200, 9000)}


@drawn
def name_servers(r: random.Random, intent: Intent) -> None:
    servers = ["192.0.2.53", "192.0.2.54", "2001:db8:ffff::53"]
    intent["segments"]["guests"]["dns"] = r.sample(servers, r.randint(0, 3))


@drawn
def metric_of_guests_routes(r: random.Random, intent: Intent) -> None:
    intent["segments"]["guests"]["metric"] = r.randint(1, 900)


@drawn
def mtu_of_guests(r: random.Random, intent: Intent) -> None:
    intent["segments"]["guests"]["mtu"] = r.choice([1280, 1300, 1400])


@drawn
def mtu_of_a_fabric(r: random.Random, intent: Intent) -> None:
    intent["fabrics"][r.choice("AB")]["mtu"] = r.choice([1420, 1450, 1500])


@drawn
def gateway_of_guests(r: random.Random, intent: Intent) -> None:
    intent["segments"]["guests"]["gateway4"] = f"203.0.113.{r.choice([252, 253, 254])}"


@drawn
def address_of_a_guest(r: random.Random, intent: Intent) -> None:
    number, guest = _guest(r, intent)
    guest["ipv4"] = f"203.0.113.{number + r.choice([0, 10, 20, 30])}"


@drawn
def ipv6_of_a_guest(r: random.Random, intent: Intent) -> None:
    number, guest = _guest(r, intent)
    guest["ipv6"] = r.choice(["slaac", "none", f"2001:db8:cb00:7100::{number}"])


@drawn
def bfd(r: random.Random, intent: Intent) -> None:
    intent["bgp"]["bfd"] = {"interval_ms": r.choice([300, 400, 500]), "multiplier": r.randint(4, 8)}


@drawn
def timers(r: random.Random, intent: Intent) -> None:
    intent["bgp"]["timers"] = {"hold_s": r.randint(9, 30), "keepalive_s": 3, "connect_retry_s": r.randint(1, 9)}


@drawn
def autonomous_system(r: random.Random, intent: Intent) -> None:
    intent["bgp"]["as"] = r.randint(65000, 65009)


@drawn
def ttl_security(_r: random.Random, intent: Intent) -> None:
    _toggle(intent["bgp"], "ttl_security", False)


@drawn
def additional_paths(_r: random.Random, intent: Intent) -> None:
    _toggle(intent["bgp"], "add_path", False)


@drawn
def password(r: random.Random, intent: Intent) -> None:
    _toggle(intent["vrfs"][r.choice(["private", "public"])], "password", True)


@drawn
def prefixes_of_the_host(r: random.Random, intent: Intent) -> None:
    prefixes = ["172.22.0.0/16", "172.30.0.0/16", "172.31.4.0/24", "10.64.0.0/10"]
    intent["vrfs"]["private"]["host"] = r.sample(prefixes, r.randint(1, 4))


@drawn
def table_of_a_vrf(r: random.Random, intent: Intent) -> None:
    name, first = r.choice([("private", 20), ("public", 90)])
    intent["vrfs"][name]["table"] = first + r.randint(0, 5)


@drawn
def vlan_of_a_vrf(r: random.Random, intent: Intent) -> None:
    name, first = r.choice([("private", 20), ("public", 90)])
    intent["vrfs"][name]["vlan"] = first + r.randint(0, 5)


@drawn
def loopbacks(r: random.Random, intent: Intent) -> None:
    intent["loopbacks"]["private"] = {
        "ipv4": f"172.22.{r.randint(2, 9)}.0/24",
        "interface": r.choice(["loopback", "lo-private"]),
    }


@drawn
def number_of_a_hypervisor(r: random.Random, intent: Intent) -> None:
    """From which its addresses are derived."""
    number, hypervisor = _hypervisor(r, intent)
    hypervisor["id"] = number + r.choice([0, 3, 6, 9])


@drawn
def router_id(r: random.Random, intent: Intent) -> None:
    number, hypervisor = _hypervisor(r, intent)
    _toggle(hypervisor, "router_id", f"10.255.0.{number}")


@drawn
def address_of_a_reflector(r: random.Random, intent: Intent) -> None:
    name, first = r.choice([("rr1", 120), ("rr2", 220)])
    intent["reflectors"][name]["addresses"]["private"]["ipv4"] = f"172.22.15.{first + r.randint(0, 6)}"


@drawn
def address_of_the_border(r: random.Random, intent: Intent) -> None:
    intent["borders"]["internet"]["fabrics"]["A"]["ipv4"] = f"198.51.100.{r.randint(1, 9)}"


@drawn
def address_of_the_world(r: random.Random, intent: Intent) -> None:
    intent["borders"]["internet"]["world"] = [f"192.0.2.{r.randint(1, 9)}", "2001:db8:ffff::1"]
