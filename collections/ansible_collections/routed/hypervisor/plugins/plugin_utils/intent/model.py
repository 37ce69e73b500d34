# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of an intent that passed all checks: a complete draft. Only this is resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from . import draft
from .draft import (
    FAMILIES,
    LENGTH,
    LOOPBACK,
    MAIN,
    MAIN_TABLE,
    Container,
    Fabric,
    Lab,
    Loopback,
    Metrics,
    Part,
    Rule,
    RuntimePool,
    Static,
    Uplink,
)

if TYPE_CHECKING:
    from netaddr import IPAddress, IPNetwork

__all__ = [
    "FAMILIES",
    "LENGTH",
    "LOOPBACK",
    "MAIN",
    "MAIN_TABLE",
    "Container",
    "Fabric",
    "Lab",
    "Loopback",
    "Metrics",
    "Part",
    "Rule",
    "RuntimePool",
    "Static",
    "Uplink",
]


@dataclass(kw_only=True)
class Vrf(draft.Vrf):
    table: int
    host: list[IPNetwork]


@dataclass(kw_only=True)
class Segment(draft.Segment):
    vrf: str
    dns: Sequence[IPAddress]


@dataclass(kw_only=True)
class ContainerNetwork(draft.ContainerNetwork):
    vrf: str


@dataclass(kw_only=True)
class Guest(draft.Guest):
    segment: str
    mac: str


@dataclass(kw_only=True)
class Router(draft.Router):
    asn: int

    @property
    def bgp_id(self) -> str:
        return present(super().bgp_id)


@dataclass(kw_only=True)
class Hypervisor(Router, draft.Hypervisor):
    id: int
    guests: list[Guest]


@dataclass(kw_only=True)
class Reflector(Router, draft.Reflector):
    fabric: str


@dataclass
class Leaf(Router, draft.Leaf):
    pass


@dataclass(kw_only=True)
class Border(Router, draft.Border):
    vrf: str
    world: Sequence[IPAddress]


@dataclass(kw_only=True)
class Intent(draft.Intent):
    asn: int
    vrfs: Mapping[str, Vrf]
    segments: Mapping[str, Segment]
    guests: Sequence[Guest]
    reflectors: Mapping[str, Reflector]
    borders: Mapping[str, Border]
    leaves: Mapping[str, Leaf]
    container_networks: Mapping[str, ContainerNetwork]
    hypervisors: Mapping[str, Hypervisor]

    # The same routers as in the draft, which have more complete types here.

    @property
    def clients(self) -> list[Router]:
        return cast("list[Router]", super().clients)

    @property
    def routers(self) -> list[Router]:
        return cast("list[Router]", super().routers)

    def router(self, name: str) -> Router | None:
        return cast("Router | None", super().router(name))


def present(value: Any) -> Any:
    """VALUE, which a check has found to be present."""
    if value is None:
        raise AssertionError("a check let a missing value pass")
    return value


def complete(intent: draft.Intent) -> Intent:
    """The model of a draft that passed all checks."""

    def each(kind, section):
        return {name: kind(**vars(one)) for name, one in section.items()}

    hypervisors = {
        name: Hypervisor(**{**vars(node), "guests": [Guest(**vars(guest)) for guest in node.guests]})
        for name, node in intent.hypervisors.items()
    }
    return Intent(
        **{
            **vars(intent),
            "vrfs": each(Vrf, intent.vrfs),
            "segments": each(Segment, intent.segments),
            "guests": [Guest(**vars(guest)) for guest in intent.guests],
            "reflectors": each(Reflector, intent.reflectors),
            "borders": each(Border, intent.borders),
            "leaves": each(Leaf, intent.leaves),
            "container_networks": each(ContainerNetwork, intent.container_networks),
            "hypervisors": hypervisors,
        }
    )
