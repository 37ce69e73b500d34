# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies a container network of runtimes: what is declared, and the links and addresses of its containers."""

from __future__ import annotations

from .._daemon.plan import is_ours
from .._runtimes import cni, dhcp, leases, owners, slaves
from .command import run

DIRECTORY = "/etc/cni/net.d"


def verify_runtimes(expected):
    """Passes if the network is declared for its runtimes, all links on its master have its mode and an address that no
    other container has, no engine has left one behind, and no address is recorded for a container that has gone."""
    found = slaves.survey()
    problems = _undeclared(expected)
    on_master = [slave for slave in found.slaves.get(expected["master"], []) if slave.kind.startswith("ipv")]
    wrong = [f"{slave.label} ({slave.mode})" for slave in on_master if slave.mode != expected["mode"]]
    if wrong:
        problems.append(f"links in another mode: {', '.join(wrong)}")
    empty = [slave.label for slave in on_master if slave.where and not slave.addresses]
    if empty:
        problems.append(f"links without an address: {', '.join(empty)}")
    left = [f"{slave.label} ({', '.join(slave.addresses)})" for slave in on_master if slave.is_left and slave.addresses]
    if left:
        problems.append(f"addresses without a process: {', '.join(left)}")
    several = {
        address: among
        for address, among in found.addresses.items()
        if len(among) > 1 and any(slave in on_master for slave in among)
    }
    if several:
        asked = owners.ask([slave for among in several.values() for slave in among])
        twice = [
            f"{address} ({', '.join(asked.label(slave) for slave in among)})" for address, among in several.items()
        ]
        problems.append(f"addresses of several containers: {', '.join(twice)}")
    problems += _gone(expected, found)
    if expected["dhcp"]:
        problems += dhcp.problems()
    return not problems, "; ".join(problems) or f"{sum(bool(slave.where) for slave in on_master)} containers"


def _undeclared(expected):
    problems = []
    if expected["cni"] and _file_of(expected["network"]) is None:
        problems.append(f"no file of ours in {DIRECTORY}")
    if expected["docker"] and run(["docker", "network", "inspect", expected["network"]])[0]:
        problems.append("docker has no such network")
    return problems


def _file_of(network):
    seen, files = cni.existing(DIRECTORY)
    return next((file for file in files if file.name == network and is_ours(seen[file.path].content)), None)


def _gone(expected, found):
    file = _file_of(expected["network"]) if expected["cni"] else None
    if file is None:
        return []
    recorded = leases.read(file.data_directory, file.name)
    gone = [lease for lease in recorded if lease.address not in found.addresses and not leases.is_new(lease)]
    return [f"addresses of containers that have gone: {leases.named(gone)}"] if gone else []
