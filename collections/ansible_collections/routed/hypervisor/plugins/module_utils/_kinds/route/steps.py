# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes routes. Private to this collection."""

from __future__ import annotations

import typing as t
from errno import EEXIST, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH

from ..._engine.apply import Phase, Step
from ..._engine.change import Change, Item
from ..._netlink.codec import ROUTE
from ..._netlink.kernel import FAMILIES, Kernel
from ..._netlink.marks import PROTOCOL
from ..._netlink.sockets import CREATE, EXCLUSIVE, REPLACE
from ..interface.usable import await_source

TYPES = {"unicast": 1, "blackhole": 6, "unreachable": 7, "prohibit": 8}
SCOPES = {"global": 0, "link": 253, "host": 254}
UNICAST = TYPES["unicast"]
ONLINK = 4  # RTNH_F_ONLINK
ANY_SCOPE = 255  # in a deletion
MAIN = 254
RouteKey = tuple[int, "int | str", str, int]  # family, table (the name of a VRF until `settle`), prefix, metric


def steps(change: Change[RouteKey], fresh: bool, sources: set[str]) -> list[Step]:
    """`fresh`: the kernel must refuse if the route exists meanwhile. `sources` are addresses known to be usable."""
    label = change.item.label
    if change.want is None:
        return [Step(Phase.REMOVE_ROUTES, f"delete route {label}", lambda kernel: _delete(kernel, change.item.key))]
    item, flags = change.want, CREATE | (EXCLUSIVE if fresh else REPLACE)
    verb = "add" if change.op == "create" else "change"
    gateways = [hop["gateway"] for hop in item.attributes["nexthops"] if hop.get("gateway")]
    text = f"{verb} route {label}" + (f" via {', '.join(gateways)}" if gateways else "")
    remedies = unreachable(gateways) | {EEXIST: "a route of others has the same prefix and metric now; run this again"}
    write = Step(Phase.ROUTES, text, lambda kernel: _write(kernel, item, flags), order=_order(item), remedies=remedies)
    result = [write]
    source = item.attributes.get("source")
    if source and ":" in source:
        result.append(Step(Phase.SOURCES, text, lambda kernel: _await_source(kernel, source, sources)))
    return result


def unreachable(gateways: list[str]) -> dict[int, str]:
    """Remedies for a route whose gateway the kernel refuses."""
    text = "give a gateway that is reached without another one, or configure an address or a route that leads to it"
    return dict.fromkeys((EINVAL, ENETDOWN, ENETUNREACH, EHOSTUNREACH), text) if gateways else {}


def _order(item: Item[RouteKey]) -> int:
    """A gateway is looked up among the routes of a narrower scope (fib_check_nh), so those are added first."""
    if any("gateway" in hop for hop in item.attributes["nexthops"]):
        return 1 + max(SCOPES.values()) - SCOPES[item.attributes.get("scope", "global")]
    return 0


def _await_source(kernel: Kernel, source: str, sources: set[str]) -> None:
    if source not in sources:
        await_source(kernel, source)
        sources.add(source)


def route_fields(key: RouteKey) -> tuple[dict[str, int], list[tuple[str, t.Any]]]:
    version, table, prefix, metric = key
    destination, length = prefix.split("/")
    fields = {"family": FAMILIES[version], "dst_len": int(length), "proto": PROTOCOL}
    there = destination if fields["dst_len"] else None
    return fields, [("RTA_TABLE", table), ("RTA_PRIORITY", metric or None), ("RTA_DST", there)]


def _delete(kernel: Kernel, key: RouteKey) -> None:
    fields, attributes = route_fields(key)
    fields["scope"] = ANY_SCOPE
    kernel.delete(ROUTE, fields, attributes, missing_ok=True)


def _write(kernel: Kernel, item: Item[RouteKey], flags: int) -> None:
    fields, attributes = route_fields(item.key)
    wanted = item.attributes
    fields["type"] = TYPES[wanted["type"]]
    fields["scope"] = SCOPES[wanted.get("scope", "global")]
    hops = wanted["nexthops"]
    if len(hops) == 1:
        fields["flags"] = ONLINK if hops[0].get("onlink") else 0
        attributes += _hop_attributes(kernel, hops[0])
    elif hops:
        attributes.append(
            (
                "RTA_MULTIPATH",
                [
                    (
                        kernel.index(hop["interface"]) if hop.get("interface") else 0,
                        hop.get("weight", 1),
                        ONLINK if hop.get("onlink") else 0,
                        [("RTA_GATEWAY", hop.get("gateway"))],
                    )
                    for hop in hops
                ],
            )
        )
    attributes.append(("RTA_PREFSRC", wanted.get("source")))
    if wanted.get("mtu"):
        attributes.append(("RTA_METRICS", [("RTAX_MTU", wanted["mtu"])]))
    kernel.new(ROUTE, fields, attributes, flags=flags)


def _hop_attributes(kernel: Kernel, hop: dict[str, t.Any]) -> list[tuple[str, t.Any]]:
    index = kernel.index(hop["interface"]) if hop.get("interface") else None
    return [("RTA_GATEWAY", hop.get("gateway")), ("RTA_OIF", index)]
