# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services as they were before a change: which ran. That they are enabled or masked is in files. Private to this
collection."""

from __future__ import annotations

from ..._daemon import service
from ..units import DAEMONS, ENGINES, FOLLOWER, REPLACED, SERVICE

PATTERNS = [*(f"{name}.service" for name in (*DAEMONS, *ENGINES, SERVICE, FOLLOWER, REPLACED)), "gobgpd-*.service"]
SYSTEMCTL_S = 60
# What a service reads: by the beginning of a path, the beginning of its name.
READS = {
    "/etc/bird/": "bird",
    "/etc/frr/": "frr",
    "/etc/gobgp/": "gobgpd-",
    "/etc/default/gobgpd": "gobgpd-",
    "/etc/dnsmasq": "dnsmasq",
    "/etc/radvd.conf": "radvd",
    "/etc/ndppd.conf": "ndppd",
    "/etc/routed-hypervisor/": REPLACED,
    "/etc/docker/": "docker",
    "/usr/local/sbin/routed-hypervisor": FOLLOWER,
}
UNITS = "/etc/systemd/system/"
RELOADS = {  # as in install.py
    "/etc/systemd/network/": ["networkctl", "reload"],
    "/etc/NetworkManager/": ["systemctl", "try-reload-or-restart", "NetworkManager"],
}
# These read a new configuration without ending sessions.
BIRD = "bird.service"
RELOADED = (BIRD,)
FRR = ("11", "186", "187", "188", "189", "192")
PROTOCOLS = {"12": BIRD, **dict.fromkeys(FRR, "frr.service")}  # whose routes carry it
States = dict[str, bool]


def read() -> States:
    """Whether each loaded unit is active."""
    if not service.has_systemd():
        return {}
    output = _systemctl("list-units", "--all", "--plain", "--no-legend", "--no-pager", *PATTERNS).output
    rows = [line.split() for line in output.splitlines()]
    return {row[0]: row[2] in ("active", "reloading", "activating") for row in rows if len(row) > 3}


def read_again(files: list[str]) -> list[str]:
    """Has systemd and managers of interfaces read the files that were restored, and returns problems."""
    if not service.has_systemd():
        return []
    problems = []
    if any(path.startswith((UNITS, "/etc/init.d/", "/etc/rc")) for path in files):
        problems += _problem(_systemctl("daemon-reload"), "systemctl daemon-reload")
    for directory, command in RELOADS.items():
        if any(path.startswith(directory) for path in files):
            service.run(command, SYSTEMCTL_S)
    return problems


def restore(stored: States, files: list[str]) -> list[str]:
    """Stops what did not run, starts what did, and has what ran with other files read the former ones."""
    problems: list[str] = []
    for name, active in read().items():
        ran = stored.get(name, False)
        if active and not ran:
            problems += _problem(_systemctl("stop", name), f"systemctl stop {name}")
            _systemctl("reset-failed", name)  # it may have ended badly
        elif active and name != f"{SERVICE}.service" and _concerns(name, files):
            reload_only = name in RELOADED and not any(UNITS in path for path in files)
            verb = "reload-or-restart" if reload_only else "restart"
            problems += _problem(_systemctl(verb, name), f"systemctl {verb} {name}")
    now = read()
    for name, ran in stored.items():
        if ran and not now.get(name):
            _systemctl("reset-failed", name)
            problems += _problem(_systemctl("start", name), f"systemctl start {name}")
    return problems


def add_routes_again(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """The kernel drops a daemon's routes with a link or an address, and not every daemon notices."""
    problems = []
    missing = {
        PROTOCOLS[number] for number, count in before.items() if number in PROTOCOLS and now.get(number, 0) < count
    }
    for name in sorted(name for name, active in read().items() if active and name in missing):
        result = service.run(["birdc", "reload", "out", "all"], SYSTEMCTL_S) if name == BIRD else None
        if result is None or result.code:
            result = _systemctl("restart", name)
        problems += _problem(result, f"restarting {name}")
    return problems


def _concerns(name: str, files: list[str]) -> bool:
    beginnings = [start for start, service_name in READS.items() if name.startswith(service_name)]
    unit = f"{UNITS}{name}"
    return any(path.startswith((*beginnings, unit)) for path in files)


def _systemctl(*words: str) -> service.Result:
    return service.run(["systemctl", *words], SYSTEMCTL_S)


def _problem(result: service.Result, what: str) -> list[str]:
    return [f"{what} failed: {' '.join(result.short().split())}"] if result.code else []
