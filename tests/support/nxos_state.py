"""What the configuration of an emulated switch (nxos_device.py) means, as facts, and a check of every line sent.

A switch applies each line at once. So between any two lines nothing may be open that is open neither before all of them
nor after (a session without its password, a route that no list of ours admits, a packet, an adjacency with hosts), and
nothing may be lost that is held before and after (a session, a route that it admits, an adjacency, an address).
"""

from __future__ import annotations

import copy
import functools
import ipaddress
import re
from collections.abc import Iterator

from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.tree import MARK

from .nxos_device import ADDRESS, Device, Refused

# Nobody announces these, and only a list that permits everything admits them.
OUTSIDERS = ("203.0.113.0/24", "0.0.0.0/0", "2001:db8:dead::/48", "::/0")
ENTRY = re.compile(r"(ip|ipv6) prefix-list (\S+) seq (\d+) (permit|deny) (\S+)(?: le (\d+))?")
RULE = re.compile(r"(\d+) (permit|deny) (\S+) (\S+)(?: eq (\S+))? (\S+)(?: eq (\S+))?")
OSPF = (("ip router ospf", "ip ospf", "router ospf"), ("ipv6 router ospfv3", "ospfv3", "router ospfv3"))


def send_checked(device: Device, lines: list[str]) -> None:
    """Sends the lines, and checks what is true after each."""
    goal = copy.deepcopy(device)
    goal.send(lines)
    probes = tuple(sorted({*_prefixes(device.tree), *_prefixes(goal.tree)}))
    packets = tuple(sorted({*_packets(device.tree), *_packets(goal.tree)}))
    (held_before, open_before), (held_after, open_after) = (facts(one, probes, packets) for one in (device, goal))
    stack: list[str] = []
    for number, line in enumerate(lines):
        try:
            stack = device.configure(stack, line.strip())
        except Refused as refused:
            raise Refused(f"{line.strip()}: {refused}") from refused
        held, opened = facts(device, probes, packets)
        context = "\n".join(lines[max(0, number - 9) : number + 1])
        opened -= open_before | open_after
        assert not opened, f"{sorted(opened)[:5]} in passing, after\n{context}"
        lost = (held_before & held_after) - held
        assert not lost, f"{sorted(lost)[:5]} are lost for a moment, after\n{context}"


def facts(device: Device, probes: tuple = (), packets: tuple = ()) -> tuple[set[tuple], set[tuple]]:
    """(what is held, what is open)."""
    found: dict[str, set] = {"held": set(), "open": set()}
    for part in (_interfaces(device, packets), _sessions(device.tree, probes), _routes(device.tree)):
        for kind, *fact in part:
            found[kind].add(tuple(fact))
    return found["held"], found["open"]


# Interfaces.


def _interfaces(device: Device, packets: tuple) -> Iterator[tuple]:
    for head, below in device.tree.items():
        if not head.startswith("interface "):
            continue
        name, vrf, is_switched = head.split()[1], device.vrf(head), device.is_switched(head)
        if "shutdown" not in below if name.startswith("Ethernet") else "no shutdown" in below:
            yield ("held", "up", name)
        yield from (
            ("held", name, is_switched, line) for line in below if re.match("mtu |switchport access vlan ", line)
        )
        for line in below:
            if found := ADDRESS.fullmatch(line):
                yield ("held", "address", name, vrf, line)
                if "no ipv6 redirects" not in below or "no ip redirects" not in below:
                    yield ("open", "redirects", name)
                yield from _passing(device.tree, (name, vrf, line), below, found[1] is not None, packets)
                if found[1] and "ipv6 nd suppress-ra" not in below:
                    yield ("open", "advertises itself as router", name)
        for join, start, router in OSPF:
            for line in below:
                if line.startswith(f"{join} "):
                    yield ("held", "announced", name, vrf, line)
                    process = device.tree.get(f"{router} {line.split()[3]}", {})
                    process = process if vrf == "default" else process.get(f"vrf {vrf}", {})
                    if not is_passive(name, below, start, process):
                        yield ("held", "adjacent", name, vrf, line)
                        yield ("open", "adjacent", name, join)


def is_passive(name: str, below: dict, start: str, process: dict) -> bool:
    if f"{start} passive-interface" in below or name.startswith("loopback"):
        return True
    return f"no {start} passive-interface" not in below and "passive-interface default" in process


def _passing(tree: dict, where: tuple, below: dict, is_ipv6: bool, packets: tuple) -> Iterator[tuple]:
    word = r"ipv6 traffic-filter (\S+) in" if is_ipv6 else r"ip access-group (\S+) in"
    applied = next((found[1] for line in below if (found := re.fullmatch(word, line))), None)
    rules = tuple(tree.get(f"{'ipv6' if is_ipv6 else 'ip'} access-list {applied}", {})) if applied else ()
    for packet in packets:
        if (":" in packet[1]) == is_ipv6 and _permits(rules, packet):
            yield ("held", "passes", *where, packet)
            yield ("open", "passes", where[0], packet)


def _packets(tree: dict) -> Iterator[tuple]:
    """For each rule, a packet that it matches: (protocol, source, its port, destination, its port)."""
    for head, below in tree.items():
        if " access-list " in head:
            for line in below:
                found = RULE.fullmatch(line)
                other = "2001:db8:dead::" if head.startswith("ipv6") else "203.0.113."
                source, target = (
                    f"{other}{end}" if given == "any" else given.split("/")[0]
                    for given, end in ((found[4], 1), (found[6], 2))
                )
                yield (
                    "89" if found[3] in ("ip", "ipv6") else found[3],
                    source,
                    found[5] or "9",
                    target,
                    found[7] or "9",
                )


@functools.cache
def _permits(rules: tuple, packet: tuple) -> bool:
    """A list without rules, and none, lets everything pass."""
    for rule in sorted(rules, key=lambda rule: int(rule.split()[0])):
        found = RULE.fullmatch(rule)
        protocol, source, port, target, target_port = packet
        if (
            found[3] in ("ip", "ipv6", protocol)
            and all(
                given == "any" or ipaddress.ip_address(address) in ipaddress.ip_network(given)
                for given, address in ((found[4], source), (found[6], target))
            )
            and found[5] in (None, port)
            and found[7] in (None, target_port)
        ):
            return found[2] == "permit"
    return not rules


# BGP.


def _sessions(tree: dict, probes: tuple) -> Iterator[tuple]:
    for head, below in tree.items():
        if head.startswith("router bgp "):
            yield from _instance(tree, (head, "default"), below, probes)
            for line, inside in below.items():
                if line.startswith("vrf "):
                    yield from _instance(tree, (head, line), inside, probes)


def _instance(tree: dict, where: tuple, below: dict, probes: tuple) -> Iterator[tuple]:
    for line, inside in below.items():
        if line.startswith("address-family "):
            for text in inside:
                if text.startswith("redistribute "):
                    source = text.split()[1]
                    for probe in _admitted(tree, text.split()[-1], line.split()[1], probes):
                        yield ("held", "redistributes", *where, line, source, probe)
                        if probe in OUTSIDERS:
                            yield ("open", "redistributes", source, probe)
        remote = next((text for text in inside if text.startswith("remote-as ")), None)
        if not line.startswith("neighbor ") or remote is None or "shutdown" in inside:
            continue
        is_others = any(text.startswith("description ") and not text.endswith(MARK) for text in inside)
        families = tuple(sorted(text for text in inside if text.startswith("address-family ")))
        session = (*where, line, remote, families)  # one with other families is another
        yield ("held", "session", *session)
        yield ("open", "session", *where, line)
        if not any(text.startswith("password ") for text in inside):
            yield ("open", "without a password", *where, line)
        for text, deep in inside.items():
            for way in ("in", "out") if text.startswith("address-family ") else ():
                name = next((other.split()[1] for other in deep if re.fullmatch(rf"route-map \S+ {way}", other)), None)
                for probe in _admitted(tree, name, text.split()[1], probes):
                    yield ("held", "admits", *session, text, way, probe)
                    if probe in OUTSIDERS and not is_others:
                        yield ("open", "admits", way, probe)


def _admitted(tree: dict, name: str | None, family: str, probes: tuple) -> list[str]:
    clauses = (
        [] if name is None else [line for line in tree if re.fullmatch(rf"route-map {name} (permit|deny) \d+", line)]
    )
    matches = tuple(
        (line.split()[2], tuple(_list(tree, match) for match in tree[line]))
        for line in sorted(clauses, key=lambda line: int(line.split()[3]))
    )
    return [probe for probe in probes if (":" in probe) == (family == "ipv6") and _admits(matches, probe)]


def _list(tree: dict, match: str) -> tuple:
    word, name = match.split()[1], match.split()[4]
    return (word, tuple(sorted(
        (int(found[3]), found[4], found[5], found[6]) for line in tree
        if (found := ENTRY.fullmatch(line)) and found[1] == word and found[2] == name
    )))  # fmt: skip


@functools.cache
def _admits(clauses: tuple, probe: str) -> bool:
    """A route map that is not defined, a clause without a match, and an empty prefix list admit everything."""
    for action, matches in clauses:
        if all(_matches(match, probe) for match in matches):
            return action == "permit"
    return not clauses


def _matches(match: tuple, probe: str) -> bool:
    word, entries = match
    network = ipaddress.ip_network(probe)
    if not entries:
        return True
    if (word == "ipv6") != (network.version == 6):
        return False
    for _number, action, prefix, longest in entries:
        own = ipaddress.ip_network(prefix)
        if network.subnet_of(own) and network.prefixlen <= int(longest or own.prefixlen):
            return action == "permit"
    return False


def _prefixes(tree: dict) -> Iterator[str]:
    """Of each entry the prefix and a single address in it."""
    yield from OUTSIDERS
    for line in tree:
        if found := ENTRY.fullmatch(line):
            yield found[5]
            yield f"{found[5].split('/')[0]}/{128 if ':' in line else 32}"


def _routes(tree: dict) -> Iterator[tuple]:
    for head, below in tree.items():
        for vrf, line in [(None, head), *((head, line) for line in below if head.startswith("vrf context "))]:
            if re.match(r"ip(v6)? route ", line):
                yield ("held", "route", vrf or "default", line.split()[2])
