# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host needs before anything is touched on it, and what on it may interfere. Private to this collection.

Programs and features are tried, whatever the distribution; the names of packages in messages are Debian's.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import os
import re
import shutil
import subprocess

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# By what needs them: programs and their packages. docs/real_hosts.md has the same packages.
PROGRAMS: dict[str, dict[str, str]] = {
    "all": {"ip": "iproute2", "unshare": "util-linux"},
    "bird": {"bird": "bird2", "birdc": "bird2"},
    "gobgp": {"gobgpd": "gobgpd", "gobgp": "gobgpd"},
    "frr": {"vtysh": "frr", "/usr/lib/frr/frr-reload.py": "frr-pythontools"},
    "ndppd": {"ndppd": "ndppd"},
    "radvd": {"radvd": "radvd"},
    "dnsmasq": {"dnsmasq": "dnsmasq"},
    "dhcrelay": {"dhcrelay": "isc-dhcp-relay"},
    "nftables": {"nft": "nftables"},
    "prometheus-node-exporter": {"prometheus-node-exporter": "prometheus-node-exporter"},
    "prometheus-bird-exporter": {"prometheus-bird-exporter": "prometheus-bird-exporter"},
    "cni": {"/usr/lib/cni/ipvlan": "containernetworking-plugins"},
    "podman": {"podman": "podman"},
    "docker": {"docker": "docker.io", "dockerd": "docker.io"},
    "verify": {"ping": "iputils-ping", "arping": "iputils-arping"},
}
# Of programs whose older versions, or newer ones, cannot do what we need: the first that can, and the first that cannot
# any more.
VERSIONS = {
    "bird": (["bird", "--version"], (2, 0), None),
    "podman": (["podman", "--version"], (4, 0), (5, 0)),  # the last with CNI
}
PYROUTE2 = (0, 7)
# What the kernel must be able to do, each with a command that tries it in a network namespace of its own.
FEATURES = {
    "vrf": "ip link add probe type vrf table 4711",
    "802.1q": "ip link add probe type dummy && ip link add link probe name probe.1 type vlan id 1",
    "ipvlan": "ip link add probe type dummy && ip link add link probe name slave type ipvlan mode l2",
    "nftables": "nft 'add table inet probe; add chain inet probe input { type filter hook input priority 0; }'",
}
OUR_TABLES = "routed_hypervisor"
LOST = {  # by the hook of a chain that drops
    "input": "BGP and BFD of neighbours, and DHCP and neighbour discovery of guests, are lost",
    "forward": "guests' packets are lost",
}
DAEMONS = {
    "bird": "bird",
    "gobgpd": "gobgp",
    "watchfrr": "frr",
    "dnsmasq": "dnsmasq",
    "dhcrelay": "dhcrelay",
    "radvd": "radvd",
    "ndppd": "ndppd",
}


@dataclasses.dataclass
class Findings:
    mistakes: list[str] = dataclasses.field(default_factory=list)
    packages: list[str] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)


def run(command: list[str]) -> tuple[int, str]:
    environment = {"PATH": PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout + done.stderr


def check(needs: list[str], features: list[str]) -> Findings:
    found = Findings()
    for need in ["all", *needs]:
        for program, package in PROGRAMS[need].items():
            if shutil.which(program, path=PATH) is None:
                found.mistakes.append(f"{program} is missing (package {package})")
                found.packages.append(package)
    for program in needs:
        if program in VERSIONS and shutil.which(program, path=PATH):
            _check_version(program, found)
    _check_pyroute2(found)
    if "iproute2" not in found.packages and os.geteuid() == 0:
        for feature in features:
            _check_feature(feature, found)
    found.packages = sorted(set(found.packages))
    found.remarks = [*managers(), *daemons(needs), *drop_policies()]
    return found


def _check_version(program: str, found: Findings) -> None:
    command, least, end = VERSIONS[program]
    text = run(command)[1]
    seen = re.search(r"(\d+)\.(\d+)", text)
    numbers = (int(seen[1]), int(seen[2])) if seen else None
    if numbers is None or numbers < least or (end is not None and numbers >= end):
        wanted = f"{'.'.join(map(str, least))} or newer"
        if end is not None:
            wanted += f", and older than {'.'.join(map(str, end))}"
        found.mistakes.append(f"{program} must be version {wanted}, not {text.strip() or 'unknown'}")


def _check_pyroute2(found: Findings) -> None:
    try:
        from importlib.metadata import version  # noqa: PLC0415

        text = version("pyroute2")
    except ImportError:
        found.mistakes.append("the Python library pyroute2 is missing (package python3-pyroute2)")
        found.packages.append("python3-pyroute2")
        return
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers < PYROUTE2:
        found.mistakes.append(f"pyroute2 must be version {'.'.join(map(str, PYROUTE2))} or newer, not {text}")


def _check_feature(feature: str, found: Findings) -> None:
    if feature == "nftables" and shutil.which("nft", path=PATH) is None:
        return  # reported already
    code, output = run(["unshare", "--net", "--", "sh", "-c", FEATURES[feature]])
    if code:
        reason = output.strip().splitlines()[:1] or ["no reason given"]
        found.mistakes.append(f"this kernel lacks {feature}: {reason[0]}")


def _names() -> dict[str, str]:
    """The names of interfaces by index."""
    names = {}
    for path in glob.glob("/sys/class/net/*/ifindex"):
        with open(path, encoding="ascii") as file:
            names[file.read().strip()] = path.split("/")[-2]
    return names


def managers() -> list[str]:
    """Programs that manage interfaces, and which."""
    names, remarks = _names(), []
    states = {
        "systemd-networkd": ("/run/systemd/netif/links/*", r"^ADMIN_STATE=(configur|degraded|failed)"),
        "NetworkManager": ("/run/NetworkManager/devices/*", "^managed=true"),
    }
    for manager, (pattern, mark) in states.items():
        managed = []
        for path in glob.glob(pattern):
            with open(path, encoding="utf-8", errors="replace") as file:
                if re.search(mark, file.read(), re.MULTILINE):
                    managed.append(names.get(os.path.basename(path), os.path.basename(path)))
        if managed:
            remarks.append(f"{manager} manages {', '.join(sorted(managed))}")
    for manager, managed in {"ifupdown": _of_ifupdown(), "ifupdown2": _of_ifupdown2()}.items():
        if managed:
            remarks.append(f"{manager} manages {', '.join(sorted(managed))}")
    return remarks


def _of_ifupdown() -> set[str]:
    try:
        with open("/run/network/ifstate", encoding="utf-8") as file:
            return {line.split("=")[0].strip() for line in file} - {"lo", ""}
    except OSError:
        return set()


def _of_ifupdown2() -> set[str]:
    """It has no state file that others can read."""
    if not os.path.isdir("/usr/share/ifupdown2"):
        return set()
    code, output = run(["ifquery", "--list"])
    return set(output.split()) - {"lo"} if code == 0 else set()


def daemons(needs: list[str]) -> list[str]:
    """Running daemons that the host does not need, and that would interfere."""
    running = set()
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                running.add(file.read().strip())
        except OSError:
            continue
    return [
        f"{program} is running, and the intent does not need it on this host"
        for program, need in DAEMONS.items()
        if program in running and need not in needs
    ]


def drop_policies() -> list[str]:
    """Chains of others, such as Docker's, whose policy also concerns what we receive and forward."""
    code, output = run(["nft", "-j", "list", "chains"])
    try:
        chains = [entry["chain"] for entry in json.loads(output)["nftables"] if "chain" in entry] if code == 0 else []
    except (ValueError, KeyError, TypeError):
        return []
    return [
        f"the chain {chain['name']} of the table {chain['family']} {chain['table']} drops by default: "
        f"{LOST[chain['hook']]} unless a rule in it accepts them"
        for chain in chains
        if chain.get("policy") == "drop" and chain.get("hook") in LOST and chain["family"] in ("ip", "ip6", "inet")
        if not chain["table"].startswith(OUR_TABLES)
    ]
