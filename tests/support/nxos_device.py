"""A device to push to: a command line with the configuration modes of NX-OS that a leaf needs (on SSH: nxos_ssh.py).

For tests only. It is as strict as a switch where that matters: it refuses a line that its mode does not have, features
that are off, names that are not defined, removing what is not there, addresses that overlap in a VRF, a second instance
of BGP, reserved VLANs, and MTUs that a switched port cannot have. What is there by default is shown by
`show running-config all` only, VLANs as ranges, passwords in another form than they were given, and the time is never
the same. What a configuration means is in nxos_state.py.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from copy import deepcopy

# mode: (line, the mode it leads to, what there can be one of).
GRAMMAR = {
    "top": [
        (r"hostname \S+", None, "hostname"),
        (r"feature (bgp|ospf|ospfv3|interface-vlan|bfd|lldp|scheduler)", None, None),
        (r"bfd interval \d+ min_rx \d+ multiplier \d+", None, "bfd interval"),
        (r"vrf context \S+", "vrf context", None),
        (r"vlan \d+", "vlan", None),
        (r"ip prefix-list \S+ seq \d+ (permit|deny) [\d./]+( le \d+)?", None, None),
        (r"ipv6 prefix-list \S+ seq \d+ (permit|deny) [\da-f:/]+( le \d+)?", None, None),
        (r"route-map \S+ (permit|deny) \d+", "route-map", None),
        (r"ip(v6)? access-list \S+", "access-list", None),
        (r"ip(v6)? route [\da-f.:/]+ [\da-f.:]+( name \S+)?", None, None),
        (r"router (ospf|ospfv3) \S+", "ospf", None),
        (r"router bgp \d+", "bgp", None),
        (r"interface (Ethernet\d+/\d+|Vlan\d+|loopback\d+|mgmt0)", "interface", None),
        (r"scheduler job name \S+", "job", None),
        (r"scheduler schedule name \S+", "schedule", None),
    ],
    "job": [(r"(rollback|copy) .+", None, None)],
    "schedule": [
        (r"job name \S+", None, None),
        (r"time start \d{4}:\d\d:\d\d:\d\d:\d\d", None, "time"),
    ],
    "vrf context": [(r"ip(v6)? route [\da-f.:/]+ [\da-f.:]+( name \S+)?", None, None)],
    "vlan": [(r"name \S+", None, "name"), (r"name", None, "name")],
    "route-map": [(r"match (ip|ipv6) address prefix-list \S+", None, None)],
    "access-list": [(r"\d+ (permit|deny) \S+ .*", None, None)],
    "ospf": [
        (r"router-id \S+", None, "router-id"),
        (r"area [\d.]+ authentication message-digest", None, None),
        (r"passive-interface default", None, None),
        (r"vrf \S+", "ospf", None),
    ],
    "interface": [
        (r"description .+", None, "description"),
        (r"(no )?switchport", None, "switchport"),
        (r"switchport mode (access|trunk)", None, "switchport mode"),
        (r"switchport access vlan \d+", None, "switchport access"),
        (r"mtu \d+", None, "mtu"),
        (r"speed \d+", None, "speed"),
        (r"vrf member \S+", None, "vrf member"),
        (r"(no )?ip redirects", None, "redirects"),
        (r"(no )?ipv6 redirects", None, "redirects of IPv6"),
        (r"ipv6 nd suppress-ra", None, None),
        (r"ip address [\d./]+", None, "ip address"),
        (r"ip address [\d./]+ secondary", None, None),
        (r"ipv6 address [\da-f:/]+", None, None),
        (r"ip router ospf \S+ area [\d.]+", None, "ip router ospf"),
        # Three states: this, its `no`, which is kept as a line, and neither.
        (r"(no )?ip ospf passive-interface", None, "passive"),
        (r"ip ospf message-digest-key \d+ md5 [03] \S+", None, None),
        (r"ip ospf message-digest-key \d+", None, None),
        (r"(ip ospf|ospfv3) network point-to-point", None, None),
        (r"ip ospf hello-interval \d+", None, "hello"),
        (r"ip ospf dead-interval \d+", None, "dead"),
        (r"ospfv3 hello-interval \d+", None, "hello of IPv6"),
        (r"ospfv3 dead-interval \d+", None, "dead of IPv6"),
        (r"ipv6 router ospfv3 \S+ area [\d.]+", None, "ipv6 router ospfv3"),
        (r"(no )?ospfv3 passive-interface", None, "passive in IPv6"),
        (r"ip access-group \S+ in", None, "ip access-group"),
        (r"ipv6 traffic-filter \S+ in", None, "ipv6 traffic-filter"),
        (r"spanning-tree port type edge", None, None),
        (r"(no )?shutdown", None, "shutdown"),
    ],
    "bgp": [
        (r"router-id \S+", None, "router-id"),
        (r"log-neighbor-changes", None, None),
        (r"reconnect-interval \d+", None, "reconnect-interval"),
        (r"(no )?graceful-restart", None, "graceful-restart"),
        (r"graceful-restart-helper", None, None),
        (r"bestpath (as-path multipath-relax|always-compare-med)", None, None),
        (r"address-family (ipv4|ipv6) unicast", "bgp af", None),
        (r"neighbor [\da-f.:]+", "neighbor", None),
        (r"vrf \S+", "bgp", None),
    ],
    "bgp af": [
        (r"redistribute direct route-map \S+", None, "redistribute direct"),
        (r"redistribute static route-map \S+", None, "redistribute static"),
        (r"maximum-paths \d+", None, "maximum-paths"),
        (r"maximum-paths ibgp \d+", None, "maximum-paths ibgp"),
    ],
    "neighbor": [
        (r"shutdown", None, None),
        (r"remote-as \d+", None, "remote-as"),
        (r"description \S.*", None, "description"),
        (r"update-source \S+", None, "update-source"),
        (r"ttl-security hops \d+", None, "ttl-security"),
        (r"ebgp-multihop \d+", None, "ebgp-multihop"),
        (r"bfd", None, None),
        (r"timers \d+ \d+", None, "timers"),
        (r"password [03] \S+", None, "password"),
        (r"password", None, "password"),
        (r"address-family (ipv4|ipv6) unicast", "neighbor af", None),
    ],
    "neighbor af": [
        (r"as-override|disable-peer-as-check|next-hop-self|send-community|soft-reconfiguration inbound", None, None),
        (r"maximum-prefix \d+", None, "maximum-prefix"),
        (r"route-map \S+ in", None, "route-map in"),
        (r"route-map \S+ out", None, "route-map out"),
    ],
}
FEATURES = {
    "router bgp": "bgp",
    "router ospf ": "ospf",
    "router ospfv3 ": "ospfv3",
    "interface Vlan": "interface-vlan",
    "bfd": "bfd",
    "scheduler ": "scheduler",
}
REFERENCES = {
    r"vrf member (\S+)": "vrf context ",
    r"switchport access vlan (\d+)": "vlan ",
    r"job name (\S+)": "scheduler job name ",
}
RESERVED_VLANS = range(3968, 4095)
ADDRESS = re.compile(r"ip(v6)? address ([\da-f.:]+/\d+)( secondary)?")
# A switched port has one of these; L2 has no other sizes.
SWITCHED_MTU = ("mtu 1500", "mtu 9216")
CLOCK = "10:05:59.123 CET Sat Nov 21 2026"
INVALID = "% Invalid command at '^' marker."


class Refused(Exception):
    """What the device answers."""


class Device:
    """refuse: a pattern of lines that are refused although they are right; vanish: of lines at which it hangs up.

    cut: of lines after which nobody can connect any more; `connections` counts those that could.
    """

    def __init__(self, running: str = "", hostname: str = "switch"):
        self.tree: dict = {"vlan 1": {}}
        self.refuse = self.vanish = self.cut = None
        self.is_cut, self.connections = False, 0
        self.log: list[str] = []
        self.checkpoints: dict[str, dict] = {}
        self.in_config, self.stack = False, []
        self.prompt = hostname
        self.clock = 0
        self.broken_rollback = False
        self.send(running.splitlines())
        self.startup = deepcopy(self.tree)

    # The configuration: a line to what is below it.

    def send(self, lines: list[str]) -> None:
        """Lines as they come from a person in configuration mode."""
        stack: list[str] = []
        for line in lines:
            if line.strip() and not line.startswith("!"):
                try:
                    stack = self.configure(stack, line.strip())
                except Refused as refused:
                    raise Refused(f"{line.strip()}: {refused}") from refused

    def modes(self, stack: list[str]):
        """The mode that a stack of lines leads to."""
        mode = "top"
        for line in stack:
            mode = next(to for pattern, to, _one in GRAMMAR[mode] if re.fullmatch(pattern, line))
        return mode

    def configure(self, stack: list[str], line: str) -> list[str]:
        """The stack after the line."""
        if found := re.fullmatch(r"(?:no|default) (interface .+)", line):
            self.take_away(self.tree, found[1])
            return []
        if line == "end-job" and stack and self.modes(stack) == "job":
            return []
        for depth in range(len(stack), -1, -1):
            above = stack[:depth]
            for pattern, to, one in GRAMMAR[self.modes(above)]:
                plain = line.removeprefix("no ")
                if re.fullmatch(pattern, line):
                    self.put(above, line, one)
                    return [*above, line] if to else above
                if (default := line.removeprefix("default ")) != line and re.fullmatch(pattern, default):
                    self.take_away(self.below(above), default, one)
                    return above
                if line != plain and re.fullmatch(pattern, plain):
                    self.take_away(self.below(above), plain, one)
                    return above
            if re.fullmatch(r"no \d+", line) and self.modes(above) == "access-list":
                entries = [entry for entry in self.below(above) if entry.startswith(line.removeprefix("no ") + " ")]
                self.take_away(self.below(above), entries[0] if entries else line)
                return above
        raise Refused(INVALID)

    def below(self, stack: list[str]) -> dict:
        place = self.tree
        for line in stack:
            place = place[line]
        return place

    def check(self, line: str) -> None:
        """Whether what the line needs is there."""
        for start, feature in FEATURES.items():
            if line.startswith(start) and f"feature {feature}" not in self.tree:
                raise Refused(INVALID)
        for pattern, start in REFERENCES.items():
            found = re.fullmatch(pattern, line)
            if found and start + found[1] not in self.tree:
                raise Refused(f"% {line}: not configured")
        found = re.fullmatch(r"vlan (\d+)|interface Vlan(\d+)", line)
        if found and int(found[1] or found[2]) in RESERVED_VLANS:
            raise Refused("% VLAN is reserved for internal use")
        if line.startswith("router bgp ") and any(other.startswith("router bgp ") for other in {*self.tree} - {line}):
            raise Refused("% BGP is already running: only one instance is allowed")

    def check_in(self, above: list[str], line: str, place: dict) -> None:
        """Whether the line is in order beside the others."""
        if line in ("name", "password") or re.fullmatch(r"ip ospf message-digest-key \d+", line):
            raise Refused("% Incomplete command")
        if above == ["vlan 1"]:
            raise Refused("% VLAN 1 has default values only")
        if above and above[0].startswith("vlan ") and line.startswith("name "):
            names = [name for other, below in self.tree.items() if other.startswith("vlan ") for name in below]
            if line in names:
                raise Refused("% VLAN with the same name exists")
        found = re.match(r"(\d+|.*prefix-list \S+ seq \d+) ", line)
        if found and any(other.startswith(found[0]) for other in place):
            raise Refused("% Duplicate sequence number")
        rule = re.match(r"(.*prefix-list \S+ seq )?\d+ (.+)", line)
        if rule and any(re.fullmatch(rf"{re.escape(rule[1] or '')}\d+ {re.escape(rule[2])}", other) for other in place):
            raise Refused("% The same entry exists")
        found = re.fullmatch(r"(route-map \S+) (?:permit|deny) (\d+)", line)
        if found and any(re.fullmatch(rf"{re.escape(found[1])} (permit|deny) {found[2]}", other) for other in place):
            raise Refused("% The same sequence has another action")
        if above and line.startswith("mtu ") and self.is_switched(above[0]) and line not in SWITCHED_MTU:
            raise Refused("% Invalid MTU: a switched port has 1500 or the system's jumbo MTU, 9216")
        if above and ADDRESS.fullmatch(line):
            self.check_address(above[0], line)

    def is_switched(self, interface: str) -> bool:
        return interface.startswith("interface Ethernet") and "no switchport" not in self.tree[interface]

    def vrf(self, interface: str) -> str:
        members = [line.removeprefix("vrf member ") for line in self.tree[interface] if line.startswith("vrf member ")]
        return "management" if interface == "interface mgmt0" else (members or ["default"])[0]

    def addresses(self) -> list[tuple[str, str, str]]:
        """(interface, VRF, line) of each."""
        return [
            (name, self.vrf(name), line)
            for name, below in self.tree.items()
            if name.startswith("interface ")
            for line in below
            if ADDRESS.fullmatch(line)
        ]

    def check_address(self, interface: str, line: str) -> None:
        if self.is_switched(interface):
            raise Refused(INVALID)
        own = ipaddress.ip_interface(ADDRESS.fullmatch(line)[2])
        for name, vrf, other in self.addresses():
            there = ipaddress.ip_interface(ADDRESS.fullmatch(other)[2])
            if vrf != self.vrf(interface) or there.version != own.version or other == line:
                continue
            if name != interface and own.network.overlaps(there.network):
                raise Refused(f"% {own} overlaps with address configured on {name.split()[1]}")
            replaces = "ip address" in line and "secondary" not in line + other
            if name == interface and own.ip == there.ip and not replaces:
                raise Refused(f"% {own} is configured on this interface already")

    def put(self, above: list[str], line: str, one: str | None) -> None:
        self.check(line)
        place = self.below(above)
        if line in place:
            return
        self.check_in(above, line, place)
        if one:
            self.replace(place, [pattern for pattern, _to, other in GRAMMAR[self.modes(above)] if other == one])
        if line.startswith("vrf member") or line.endswith("switchport"):
            self.forget(place, r"|mtu |switchport |spanning-tree" if line.endswith("switchport") else "")
        if found := re.match(r"(password|ip ospf message-digest-key \d+ md5) 0 ", line):
            self.replace(place, [re.escape(found[1]) + " .*"])
            line = f"{found[1]} 3 " + hashlib.sha256(line.encode()).hexdigest()[:16]
        if line.startswith("hostname "):
            self.prompt = line.split()[1]
        place[line] = {}

    @staticmethod
    def replace(place: dict, patterns: list[str]) -> None:
        for other in [other for other in place if any(re.fullmatch(pattern, other) for pattern in patterns)]:
            del place[other]

    def take_away(self, place: dict, line: str, one: str | None = None) -> None:
        if line in ("password", "name") or re.fullmatch(r"ip ospf message-digest-key \d+", line):
            line = next((other for other in place if other.startswith(f"{line} ")), line)
        if line not in place and f"no {line}" in place:
            line = f"no {line}"
        if line not in place:
            raise Refused(f"% {line} is not configured")
        if line.startswith("vrf member"):
            self.forget(place)
        if found := re.fullmatch(r"ip(v6)? access-list (\S+)", line):
            uses = (f"ip access-group {found[2]} ", f"ipv6 traffic-filter {found[2]} ")[found[1] is not None]
            if any(other.startswith(uses) for below in self.tree.values() for other in below):
                raise Refused("% The access list is in use")
        seconds = [other for other in place if other.endswith(" secondary")]
        if line.startswith("ip address ") and line not in seconds and seconds:
            raise Refused("% Delete the secondary addresses first")
        if line == "feature scheduler":
            self.replace(self.tree, ["scheduler .*"])
        del place[line]

    def forget(self, place: dict, more: str = "") -> None:
        """As a switch does when an interface moves to another VRF or layer."""
        for line in [line for line in place if re.match(rf"(no )?(ip |ipv6 |ospf{more})", line)]:
            del place[line]

    def show(self, complete: bool = False, tree: dict | None = None, indent: str = "", head: str = "") -> list[str]:
        tree = self.tree if tree is None else tree
        lines = []
        defaults = self.defaults(head, tree)
        vlans = [line.split()[1] for line in tree if line.startswith("vlan ")]
        lines += [f"vlan {','.join(vlans)}"] if vlans else []
        for line, below in tree.items():
            if line.startswith("vlan ") and not below:
                continue
            if complete or line not in defaults:
                lines += [indent + line, *self.show(complete, below, indent + "  ", line)]
                lines += ["", "end-job"] if line.startswith("scheduler job name ") else []
        if complete:
            lines += [indent + line for line in defaults if line not in tree]
        return lines

    def defaults(self, head: str, tree: dict) -> list[str]:
        if not head.startswith("interface "):
            return []
        lines = [] if "shutdown" in tree or head.startswith("interface Vlan") else ["no shutdown"]
        if head.startswith("interface Ethernet") and "no switchport" not in tree:
            lines += ["switchport", "switchport mode access"]
            if not any(line.startswith("switchport access vlan ") for line in tree):
                lines.append("switchport access vlan 1")
        return lines

    # The command line.

    def command(self, line: str) -> str:
        self.log.append(line)
        if self.cut and re.search(self.cut, line):
            self.is_cut = True
            raise ConnectionAbortedError
        if self.vanish and re.search(self.vanish, line):
            raise ConnectionAbortedError
        if line == "end":
            self.in_config, self.stack = False, []
            return ""
        if self.in_config and line == "exit":
            self.in_config, self.stack = bool(self.stack), self.stack[:-1]
            return ""
        if self.in_config:
            if self.refuse and re.search(self.refuse, line):
                raise Refused(INVALID)
            self.stack = self.configure(self.stack, line)
            return ""
        return self.execute(line)

    def execute(self, line: str) -> str:
        for pattern, answer in (
            (r"configure terminal", self.enter),
            (r"show (running|startup)-config(?: (all))?", self.configuration),
            (r"copy running-config startup-config", self.save),
            (r"checkpoint file (\S+)", self.checkpoint),
            (r"rollback running-config file (\S+)", self.rollback),
            (r"show clock", lambda: f"{CLOCK}\nTime source is NTP"),
            (r"terminal .+|show (?:inventory|privilege|version)", lambda: "NXOS: version 10.3(4a)"),
        ):
            if found := re.fullmatch(pattern, line):
                return answer(*found.groups())
        raise Refused(INVALID)

    def enter(self) -> str:
        self.in_config, self.stack = True, []
        return ""

    def configuration(self, which: str, complete: str | None) -> str:
        self.clock += 1
        tree = self.startup if which == "startup" else self.tree
        head = [
            f"!Command: show {which}-config",
            f"!Time: Sat Nov 21 10:00:{self.clock:02} 2026",
            "",
            "version 10.3(4a)",
        ]
        return "\n".join([*head, *self.show(complete is not None, tree)])

    def save(self) -> str:
        self.startup = deepcopy(self.tree)
        return "[########################################] 100%\nCopy complete."

    def checkpoint(self, name: str) -> str:
        self.checkpoints[name] = deepcopy(self.tree)
        return "Done"

    def schedules(self) -> dict[str, dict]:
        return {line: below for line, below in self.tree.items() if line.startswith("scheduler schedule name ")}

    def reach_deadline(self) -> None:
        """Runs the jobs of all schedules, as the switch does by itself."""
        for below in self.schedules().values():
            for job in [line.removeprefix("job name ") for line in below if line.startswith("job name ")]:
                for line in [*self.tree[f"scheduler job name {job}"]]:
                    self.execute(line)

    def rollback(self, name: str) -> str:
        if self.broken_rollback or name not in self.checkpoints:
            raise Refused("% Error: rollback failed")
        self.tree = deepcopy(self.checkpoints[name])
        return "Rollback completed successfully."
