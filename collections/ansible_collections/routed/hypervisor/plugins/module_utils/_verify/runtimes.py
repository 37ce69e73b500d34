# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies a container network of runtimes: what is declared, and the links and addresses of its containers."""

from __future__ import annotations

import ipaddress

from .._daemon.plan import is_ours
from .._engine.printable import counted
from .._runtimes import calls, cni, dhcp, leases, owners, slaves
from .command import run

DIRECTORY = "/etc/cni/net.d"
MOST_CHECKED = 4  # containers of each network: CHECK of one takes up to a second


def verify_runtimes(expected):
    """Passes if the network is declared for its runtimes, all links on its master have its mode and an address that no
    other container has, no engine has left one behind, the plugin has recorded just these addresses, and CHECK finds
    containers as they were added. Returns these addresses with their owners, for a comparison of hosts."""
    found = slaves.survey()
    problems = _undeclared(expected)
    on_master = [slave for slave in found.slaves.get(expected["master"], []) if slave.kind.startswith("ipv")]
    several = {
        address: among
        for address, among in found.addresses.items()
        if len(among) > 1 and any(slave in on_master for slave in among)
    }
    asked = owners.ask([*on_master, *(slave for among in several.values() for slave in among)])
    wrong = [f"{asked.label(slave)} ({slave.mode})" for slave in on_master if slave.mode != expected["mode"]]
    if wrong:
        problems.append(f"links in another mode: {', '.join(wrong)}")
    empty = [asked.label(slave) for slave in on_master if slave.where and not slave.addresses]
    if empty:
        problems.append(f"links without an address: {', '.join(empty)}")
    left = [
        f"{asked.label(slave)} ({', '.join(slave.addresses)})"
        for slave in on_master
        if slave.is_left and slave.addresses
    ]
    if left:
        problems.append(f"addresses without a process: {', '.join(left)}")
    if several:
        twice = [
            f"{address} ({', '.join(asked.label(slave) for slave in among)})" for address, among in several.items()
        ]
        problems.append(f"addresses of several containers: {', '.join(twice)}")
    file = _file_of(expected["network"]) if expected["cni"] else None
    if file is not None:
        problems += _link(file, expected) + (_plugins(file) or _recorded(file, found, on_master, asked))
    if expected.get("dhcp"):
        problems += dhcp.problems()
    inside = [slave for slave in on_master if slave.where]
    addresses = {address: asked.label(slave) for slave in inside for address in slave.addresses}
    right = [counted(len(inside), "container(s)"), *(_versions(file) if file is not None and not problems else [])]
    return not problems, "; ".join(problems or right), {"containers": {"vrf": expected["vrf"], "addresses": addresses}}


def _undeclared(expected):
    problems = []
    if expected["cni"] and _file_of(expected["network"]) is None:
        problems.append(f"no file of ours in {DIRECTORY}")
    for engine, verb in (("podman", "exists"), ("docker", "inspect")):
        if expected[engine]:
            code, _output, errors = run([engine, "network", verb, expected["network"]])
            reason = f" ({errors.strip()})" if errors.strip() else ""
            problems += [f"{engine} does not have the network{reason}"] if code else []
    return problems


def _file_of(network):
    seen, files = cni.existing(DIRECTORY)
    return next((file for file in files if file.name == network and is_ours(seen[file.path].content)), None)


def _link(file, expected):
    """Somebody may have edited it: the next container would change the mode of all links."""
    has, wanted = (file.link or ((None, None, None),))[0][1:], (expected["master"], expected["mode"])
    return [f"{file.path} has mode {has[1]} on {has[0]}, not {wanted[1]} on {wanted[0]}"] if has != wanted else []


def _plugins(file):
    missing = [plugin for plugin in sorted(file.types) if calls.installed(plugin) is None]
    if missing:
        return [f"the CNI plugins {', '.join(missing)} are missing"]
    version = file.document.get("cniVersion")
    old = [plugin for plugin in sorted(file.types) if version not in (cni.supported(plugin, calls.DIRECTORIES) or ())]
    return [f"the CNI plugins {', '.join(old)} do not support version {version} of the specification"] if old else []


def _versions(file):
    """Of the package, where dpkg knows it, as Debian's plugins themselves print "version unknown"; and of the
    specification."""
    name = run(["dpkg-query", "--search", calls.installed("ipvlan")])[1].partition(":")[0]
    package = run(["dpkg-query", "--show", name])[1].split() if name else []
    return [*([" ".join(package)] if package else []), f"CNI {file.document['cniVersion']}"]


def _recorded(file, found, on_master, asked):
    problems = []
    recorded = leases.read(file.data_directory, file.name)
    gone = [lease for lease in recorded if lease.address not in found.addresses and not leases.is_new(lease)]
    if gone:
        problems.append(f"addresses of containers that have gone: {leases.named(gone)}")
    known = {lease.address for lease in recorded}
    unknown = [
        f"{address} ({asked.label(slave)})"
        for slave in on_master
        for address in slave.addresses
        if slave.where and address not in known and _is_in(address, file.ranges)
    ]
    if unknown:
        problems.append(f"addresses that the plugin would give to others, too: {', '.join(unknown)}")
    # With DHCP, CHECK asks for another lease.
    wrong = calls.check_results(file.name, MOST_CHECKED) if file.ranges else []
    return problems + [f"CHECK fails: {'; '.join(wrong)}"] * bool(wrong)


def _is_in(address, ranges):
    number = ipaddress.ip_address(address)
    spans = [(ipaddress.ip_address(first), ipaddress.ip_address(last)) for first, last in ranges]
    return any(number.version == first.version and first <= number <= last for first, last in spans)


def verify_probe(expected):
    """Passes if a container is added to the network, found as it was added, and removed. A link in another mode than
    those on the master would change theirs, even if it is not added in the end, so these are compared first."""
    file = _file_of(expected["network"])
    if file is None:
        return False, f"no file of ours in {DIRECTORY}"
    found = slaves.survey()
    [plugin, *_others] = file.plugins
    wrong = slaves.refusals(found, str(plugin["master"]), plugin["mode"], plugin.get("mtu"), check_mode=False)
    if wrong:
        return False, f"not tried: {'; '.join(wrong)}"
    taken = {*found.addresses, *(lease.address for lease in leases.read(file.data_directory, file.name))}
    free = [_last_free(ranges, taken) for ranges in _by_family(file.ranges)]
    if None in free:
        return False, "not tried: no address is left"
    problem = calls.probe(file.document, free)
    return problem is None, problem or f"added with {', '.join(free)}, found and removed"


def _by_family(ranges):
    versions = {ipaddress.ip_address(first).version for first, _last in ranges}
    return [[one for one in ranges if ipaddress.ip_address(one[0]).version == version] for version in sorted(versions)]


def _last_free(ranges, taken):
    """The plugin comes to it last."""
    for first, last in ((ipaddress.ip_address(first), ipaddress.ip_address(last)) for first, last in reversed(ranges)):
        for number in range(int(last), int(first) - 1, -1):
            address = str(type(last)(number))
            if address not in taken:
                return address
    return None
