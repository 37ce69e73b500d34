# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall's sets with the ports of guests, which runs leave alone. Private to this collection.

A run that loads the table keeps their elements: see _daemon/nftables.py.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import typing as t

from ..._daemon.followed_sets import PREFIX, command, elements
from ..._daemon.nftables import TABLE
from ..._daemon.service import PATH
from ..._netlink.codec import address_text
from ..firewall import run
from .guests import Guest, Guests

Elements = dict[str, set[tuple[str, ...]]]  # by set: each a tuple of words
NETLINK_NETFILTER, NFNLGRP_NFTABLES = 12, 7
SETS = tuple(f"{PREFIX}{name}" for name in ("ports", "vrf_ports", "vrfs", "sources_ipv4", "sources_ipv6"))


class Notifications:
    """That somebody has changed a table; its own changes, too."""

    def __init__(self) -> None:
        self.socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
        )
        self.socket.bind((0, 1 << (NFNLGRP_NFTABLES - 1)))

    def fileno(self) -> int:
        return self.socket.fileno()

    def drain(self) -> None:
        while True:
            try:
                self.socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:  # some were lost: a look at the table follows anyway
                continue


def wanted(guests: Guests, ports: t.Mapping[str, Guest]) -> Elements:
    made: Elements = {name: set() for name in SETS}
    for port, guest in ports.items():
        vrf = guests.kind(guest).vrf
        made["followed_ports"].add((port,))
        if vrf:
            made["followed_vrf_ports"].add((port,))
            made["followed_vrfs"].add((vrf, port))
        for address in (*guest.addresses, *guest.anycast):
            made[f"followed_sources_ipv{4 if len(address) == 4 else 6}"].add((port, address_text(address)))
    return made


def present() -> Elements | None:
    """None if there is no such table with these sets."""
    if shutil.which("nft", path=PATH) is None:
        return None
    found = elements(TABLE, run)
    return found if "followed_ports" in found else None


def differences(have: Elements, want: Elements) -> list[str]:
    """The sets that differ. Without VRFs, a table has none for them."""
    return [name for name in SETS if name in have and have[name] != want[name]]


def bring(want: Elements) -> int | None:
    """The number of commands that this took; None without the table. Under the host's lock. OSError if refused."""
    have = present()
    if have is None:
        return None
    different = differences(have, want)
    changes = [("delete", name, have[name] - want[name]) for name in different]
    changes += [("add", name, want[name] - have[name]) for name in different]
    commands = [command(verb, TABLE, name, entries) for verb, name, entries in changes if entries]
    if commands:
        done = subprocess.run(
            ["nft", "--file", "-"],
            env={"PATH": PATH, "LC_ALL": "C"},
            input="".join(commands),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(f"nft refuses the ports of guests: {' '.join(done.stderr.split())}")
    return len(commands)
