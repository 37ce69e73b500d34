# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of a hypervisor's own guests. A run configures them; the agent only answers neighbor solicitations there.
Private to this collection."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..._netlink import codec
from ..._netlink.codec import packed
from .guests import Guest, PortKind


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a port answers for, and as whom. All addresses are IPv6."""

    answered: frozenset[bytes]
    own: frozenset[bytes]  # the guest's, for which it does not: detection of duplicates would find one
    gateway: bytes
    mac: bytes


@dataclasses.dataclass(frozen=True)
class OwnPort:
    segment: str
    own: frozenset[str]

    @functools.cached_property
    def packed(self) -> frozenset[bytes]:
        return frozenset(map(packed, self.own))


class OwnPorts:
    """`given` is the variable `proxy_ndp`."""

    def __init__(self, given: dict[str, t.Any]) -> None:
        segments = given.get("segments") or {}
        self._neighbors: dict[str, list[str]] = {name: entry["neighbors"] for name, entry in segments.items()}
        self._answered = {name: frozenset(map(packed, found)) for name, found in self._neighbors.items()}
        self._gateways = {name: packed(entry["gateway"]) for name, entry in segments.items()}
        self.all = {
            name: OwnPort(entry["segment"], frozenset(entry["own"]))
            for name, entry in (given.get("ports") or {}).items()
        }

    def entries(self, port: OwnPort) -> list[str]:
        """The addresses for which the kernel answers there."""
        return [address for address in self._neighbors[port.segment] if address not in port.own]

    def number(self, port: OwnPort) -> int:
        """Of neighbors, its own guest's addresses included."""
        return len(self._neighbors[port.segment])

    def answers(self, port: OwnPort, link: codec.Link) -> Answers:
        segment = port.segment
        return Answers(self._answered[segment], port.packed, self._gateways[segment], raw(link.mac))

    def here(self, links: t.Mapping[int, codec.Link]) -> dict[int, OwnPort]:
        """Those that can have proxy entries, by link: the kernel drops them when one goes down."""
        return {index: self.all[link.name] for index, link in links.items() if link.name in self.all and link.up}


def of_guest(guest: Guest, kind: PortKind) -> Answers | None:
    """None if its port answers for nobody."""
    gateway = next((address for address in kind.gateways if len(address) == 16), None)
    if gateway is None or not kind.answered:
        return None
    return Answers(kind.answered, frozenset((*guest.addresses, *guest.anycast)), gateway, raw(guest.port_mac))


def raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
