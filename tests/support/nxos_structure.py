"""What is wrong with a leaf's configuration, as far as that can be seen without a switch."""

from __future__ import annotations

import re

from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.tree import Line, parse

# (where, line): what it refers to, or what it defines. The first group is the name.
REFERENCES = [
    (r"router bgp .*", r"redistribute \S+ route-map (\S+)$", "route-map"),
    (r"router bgp .*", r"route-map (\S+) (?:in|out)$", "route-map"),
    (r"router bgp .*", r"update-source (\S+)$", "interface"),
    (r"router (?:bgp|ospf|ospfv3) \S+", r"vrf (\S+)$", "vrf"),
    (r"route-map .*", r"match ip address prefix-list (\S+)$", "ip prefix-list"),
    (r"route-map .*", r"match ipv6 address prefix-list (\S+)$", "ipv6 prefix-list"),
    (r"interface .*", r"vrf member (\S+)$", "vrf"),
    (r"interface .*", r"switchport access vlan (\d+)$", "vlan"),
    (r"interface .*", r"ip access-group (\S+) (?:in|out)$", "ip access-list"),
    (r"interface .*", r"ipv6 traffic-filter (\S+) (?:in|out)$", "ipv6 access-list"),
    (r"interface .*", r"ip router ospf (\S+) area \S+$", "router ospf"),
    (r"interface .*", r"ipv6 router ospfv3 (\S+) area \S+$", "router ospfv3"),
    (r"", r"interface Vlan(\d+)$", "vlan"),
]
DEFINITIONS = [
    (r"vrf context (\S+)$", "vrf"),
    (r"vlan (\d+)$", "vlan"),
    (r"interface (\S+)$", "interface"),
    (r"route-map (\S+) (?:permit|deny) \d+$", "route-map"),
    (r"(ip|ipv6) (prefix-list|access-list) (\S+)", None),
    (r"router (ospf|ospfv3) (\S+)$", None),
]
FEATURES = [
    (r"router bgp ", "bgp"),
    (r"router ospf |ip router ospf |ip ospf ", "ospf"),
    (r"router ospfv3 |ipv6 router ospfv3 |ospfv3 ", "ospfv3"),
    (r"interface Vlan", "interface-vlan"),
    (r"bfd$|bfd interval ", "bfd"),
]
# Several lines may begin these definitions: an entry or a family each.
MANY = {"ip prefix-list", "ipv6 prefix-list", "route-map"}
# Of entries the number counts, whatever they say.
NUMBERED = re.compile(r"(?:(\d+) .*|(.* prefix-list \S+ seq \d+) .*|(route-map \S+) (?:permit|deny) (\d+))$")
# What must have lines below it, and what may; nothing else may.
FULL = re.compile(r"(vlan (?!1$)\d|ip access-list|ipv6 access-list|route-map \S+ permit|interface |router |neighbor )")
MAY_BE_FULL = re.compile(r"(address-family|vrf) ")
INTERFACES = re.compile(r"(loopback\d{1,4}|Vlan\d{1,4}|Ethernet\d{1,3}(/\d{1,3}){1,2}|port-channel\d{1,4}|mgmt0)$")


def mistakes(text: str) -> list[str]:
    try:
        lines = parse(text)
    except ValueError as error:
        return [str(error)]
    found = indentation(text)
    paths = list(walk(lines))
    found += references(paths) + features(paths) + twice(lines) + blocks(paths) + interfaces(paths) + neighbors(paths)
    return found


def walk(lines: list[Line], above: tuple[str, ...] = ()):
    """(the lines above it, the line) from top to bottom."""
    for line in lines:
        yield above, line
        yield from walk(line.children, (*above, line.text))


def indentation(text: str) -> list[str]:
    found, before = [], 0
    for number, line in enumerate(text.splitlines(), 1):
        depth = len(line) - len(line.lstrip(" "))
        if not line.strip() or line != line.rstrip() or "\t" in line:
            found.append(f"line {number}: an empty line, a tab, or a blank at the end")
        if depth % 2 or depth > before + 2:
            found.append(f"line {number}: indented by {depth} after {before}")
        before = depth
    return found


def definition(line: Line) -> tuple[str, str] | None:
    for pattern, kind in DEFINITIONS:
        if match := re.match(pattern, line.text):
            if kind:
                return kind, match[1]
            head = line.text.split(maxsplit=2)
            return " ".join(head[:2]), head[2].split(maxsplit=1)[0]
    return None


def references(paths) -> list[str]:
    """Everything that is named is defined above, and everything that is defined is used."""
    found, defined, used = [], {}, set()
    for above, line in paths:
        for where, pattern, kind in REFERENCES:
            match = re.match(pattern, line.text)
            if match and re.fullmatch(where, above[0] if above else ""):
                used.add((kind, match[1]))
                if (kind, match[1]) not in defined:
                    found.append(f"line {line.number}: {kind} {match[1]} is not defined above: {line.text}")
        if not above and (name := definition(line)):
            if name in defined and name[0] not in MANY:
                found.append(f"line {line.number}: {' '.join(name)} is defined in line {defined[name]} too")
            defined.setdefault(name, line.number)
    for name, number in defined.items():
        if name not in used and name[0] not in ("interface", "vrf", "vlan", "route-map"):
            found.append(f"line {number}: {' '.join(name)} is not used")
    return found


def features(paths) -> list[str]:
    found, on = [], set()
    for _above, line in paths:
        if line.text.startswith("feature "):
            on.add(line.text.removeprefix("feature "))
        for pattern, feature in FEATURES:
            if re.match(pattern, line.text) and feature not in on:
                found.append(f"line {line.number}: needs feature {feature} above it: {line.text}")
    used = {feature for pattern, feature in FEATURES for _above, line in paths if re.match(pattern, line.text)}
    return found + [f"feature {feature} is not used" for feature in sorted(on - used)]


def twice(lines: list[Line], where: str = "") -> list[str]:
    found, seen = [], set()
    for line in lines:
        match = NUMBERED.match(line.text)
        name = " ".join(filter(None, match.groups())) if match else line.text
        if name in seen:
            found.append(f"line {line.number}: there is one already{where}: {name}")
        seen.add(name)
        found += twice(line.children, f" in {line.text}")
    return found


def blocks(paths) -> list[str]:
    found = []
    for _above, line in paths:
        if not line.children and FULL.match(line.text):
            found.append(f"line {line.number}: nothing is below it: {line.text}")
        if line.children and not (FULL.match(line.text) or MAY_BE_FULL.match(line.text)):
            found.append(f"line {line.number}: cannot have lines below it: {line.text}")
    return found


def interfaces(paths) -> list[str]:
    found = []
    for above, line in paths:
        if above or not line.text.startswith("interface "):
            continue
        name = line.text.removeprefix("interface ")
        texts = [child.text for child in line.children]
        if not INTERFACES.match(name):
            found.append(f"line {line.number}: no interface of NX-OS is called {name}")
        addresses = [place for place, text in enumerate(texts) if re.match(r"ip(v6)? address ", text)]
        member = [place for place, text in enumerate(texts) if text.startswith("vrf member ")]
        if member and addresses and member[0] > addresses[0]:
            found.append(
                f"line {line.number}: the addresses of {name} are forgotten when it moves to its VRF below them"
            )
        if name.startswith("Ethernet") and addresses and "no switchport" not in texts[: addresses[0]]:
            found.append(f"line {line.number}: {name} is a switched port, and has an address")
    return found


def neighbors(paths) -> list[str]:
    found = []
    for above, line in paths:
        if not line.text.startswith("neighbor "):
            continue
        texts = [child.text for child in line.children]
        if sum(text.startswith("remote-as ") for text in texts) != 1:
            found.append(f"line {line.number}: {line.text} must have one remote-as")
        families = [child for child in line.children if child.text.startswith("address-family ")]
        if len(families) != 1:
            found.append(f"line {line.number}: {line.text} must have one address-family")
        for family in families:
            ways = {child.text.split()[-1] for child in family.children if child.text.startswith("route-map ")}
            if ways != {"in", "out"}:
                found.append(f"line {line.number}: {line.text} must have a route-map in and one out")
            same = [other for path, other in paths if path == above and other.text == family.text]
            if not same:
                found.append(f"line {line.number}: {line.text}: there is no {family.text} in {' '.join(above)}")
        if any(text.startswith("ttl-security") for text in texts) and any("ebgp-multihop" in text for text in texts):
            found.append(f"line {line.number}: {line.text}: ttl-security and ebgp-multihop exclude each other")
    return found
