# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes, in any table or VRF. Private to this collection."""

from __future__ import annotations

import typing as t

from ..._addresses.roles import ROLES, refusal
from ..._engine import options
from ..._engine.apply import Step
from ..._engine.change import Change, Item
from ..._engine.kind import Have, Kind
from ..._engine.planned import Planned
from ..._engine.snapshot import VERSIONS, Snapshot
from ..._netlink.codec import Hop, Route, address_text
from ..._netlink.marks import PROTOCOL
from ..vrf import is_last_default
from . import steps as route_steps
from .gateways import Gateways
from .steps import MAIN, ONLINK, SCOPES, TYPES, RouteKey

IPV6_METRIC = 1024  # what the kernel uses for no metric, and for 0
DEFAULTS = {4: "0.0.0.0/0", 6: "::/0"}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
SCOPE_NAMES = {number: name for name, number in SCOPES.items()}
NO_HOP = Hop(None, 0)
PROTOCOL_NAMES = {2: "kernel", 3: "boot", 4: "static", 9: "ra", 12: "bird", 16: "dhcp", 186: "bgp", 189: "ospf"}
UNSHOWN = {2: "RTA_SRC", 11: "RTA_FLOW", 16: "RTA_MARK", 22: "RTA_ENCAP", 30: "RTA_NH_ID"}  # no option covers these


class Routes(Kind[RouteKey]):
    name = "routes"
    noun = "route"
    hop_spec: t.ClassVar[dict[str, t.Any]] = {
        "gateway": {"type": "str"},
        "interface": {"type": "str"},
        "weight": {"type": "int"},
        "onlink": {"type": "bool"},
    }
    spec: t.ClassVar[dict[str, t.Any]] = {
        "prefix": {"type": "str", "required": True},
        "family": {"type": "str", "choices": ["ipv4", "ipv6"]},
        "vrf": {"type": "str"},
        "table": {"type": "int"},
        "type": {"type": "str", "choices": sorted(TYPES)},
        "gateway": {"type": "str"},
        "interface": {"type": "str"},
        "onlink": {"type": "bool"},
        "nexthops": {"type": "list", "elements": "dict", "options": hop_spec},
        "metric": {"type": "int"},
        "scope": {"type": "str", "choices": sorted(SCOPES)},
        "source": {"type": "str"},
        "mtu": {"type": "int"},
    }

    def parse(
        self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes, state: str
    ) -> Item[RouteKey] | None:
        prefix = self._prefix(entry, place, mistakes)
        if prefix is None:
            return None
        version, written = prefix.version, str(prefix)
        if entry.get("vrf") and "table" in entry:
            mistakes.at(place, "vrf and table are mutually exclusive")
        options.in_range(entry, "table", (1, 2**32 - 1), place, mistakes)
        options.in_range(entry, "metric", (0, 2**32 - 1), place, mistakes)
        options.in_range(entry, "mtu", (68, 65535), place, mistakes)
        metric = entry.get("metric", 0)
        if version == 6:
            metric = metric or IPV6_METRIC
        kind = entry.get("type", "unicast")
        hops = self._hops(entry, version, place, mistakes)
        if kind != "unicast" and hops:
            mistakes.at(place, f"a route of type {kind} has no gateway, interface or nexthops")
        if kind == "unicast" and not hops and state != "deleted":
            mistakes.at(place, "needs a gateway, an interface or nexthops")
        attributes: dict[str, t.Any] = {"type": kind, "nexthops": hops}
        if version == 6 and "scope" in entry:
            mistakes.at(f"{place}.scope", "is only for IPv4 routes")
        if version == 4:
            local = kind == "unicast" and not any("gateway" in hop for hop in hops)
            attributes["scope"] = entry.get("scope") or ("link" if local else "global")
        if "source" in entry:
            source = options.address(entry["source"], f"{place}.source", mistakes)
            if source is not None and source.version != version:
                mistakes.at(f"{place}.source", f"{source} is not an IPv{version} address")
            attributes["source"] = str(source)
        if "mtu" in entry:
            attributes["mtu"] = entry["mtu"]
        # the table of a VRF is known only once all VRFs are: see `settle`
        where = entry.get("vrf") or entry.get("table", MAIN)
        return Item((version, where, written, metric), _label(written, where, metric, version), attributes, place=place)

    def _prefix(self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes) -> t.Any:
        text = entry.get("prefix")
        if text is None:
            return None
        if text == "default":
            if "family" not in entry:
                mistakes.at(place, "a default route needs a family, or 0.0.0.0/0 or ::/0 as its prefix")
                return None
            text = DEFAULTS[6 if entry["family"] == "ipv6" else 4]
        prefix = options.network(text, f"{place}.prefix", mistakes)
        if prefix is not None and entry.get("family", f"ipv{prefix.version}") != f"ipv{prefix.version}":
            mistakes.at(f"{place}.family", f"{prefix} is not {entry['family']}")
        return prefix

    def _hops(
        self, entry: dict[str, t.Any], version: int, place: str, mistakes: options.Mistakes
    ) -> list[dict[str, t.Any]]:
        single = {key: entry[key] for key in ("gateway", "interface", "onlink") if entry.get(key) is not None}
        listed = entry.get("nexthops") or []
        if single and listed:
            mistakes.at(place, f"nexthops and {', '.join(single)} are mutually exclusive")
        hops = []
        for number, given in enumerate(listed or ([single] if single else [])):
            here = f"{place}.nexthops[{number}]" if listed else place
            hop: dict[str, t.Any] = {}
            if "gateway" in given:
                gateway = options.address(given["gateway"], f"{here}.gateway", mistakes)
                if gateway is not None and gateway.version != version:
                    mistakes.at(f"{here}.gateway", f"{gateway} is not an IPv{version} address")
                if gateway is not None and gateway.is_link_local and version == 6 and "interface" not in given:
                    mistakes.at(f"{here}.gateway", f"{gateway} is a link-local address and needs an interface")
                wrong = refusal(str(gateway), "next hop") if gateway is not None else None
                if wrong:
                    mistakes.at(f"{here}.gateway", f"{gateway} {wrong}; a gateway is {ROLES['next hop'].right}")
                hop["gateway"] = str(gateway)
            if "interface" in given and options.interface_name(given["interface"], f"{here}.interface", mistakes):
                hop["interface"] = given["interface"]
            if not hop:
                mistakes.at(here, "needs a gateway or an interface")
            options.in_range(given, "weight", (1, 256), here, mistakes)
            hop["weight"] = given.get("weight", 1)
            hop["onlink"] = bool(given.get("onlink", False))
            if hop["onlink"] and not ("gateway" in hop and "interface" in hop):
                mistakes.at(f"{here}.onlink", "needs a gateway and an interface")
            hops.append(hop)
        return sorted(hops, key=_hop_order)

    def settle(self, want: list[Item[RouteKey]], planned: Planned, mistakes: options.Mistakes) -> None:
        """Replaces VRF names by table numbers, so that wanted and observed routes have the same keys."""
        for item in want:
            version, where, prefix, metric = item.key
            if isinstance(where, str):
                if where not in planned.tables:
                    mistakes.at(f"{item.place}.vrf", f"there is no VRF {where}, and none is configured")
                item.key = (version, planned.tables.get(where, where), prefix, metric)

    def defaults(self, want: Item[RouteKey], have: Item[RouteKey]) -> dict[str, t.Any]:
        return {"source": None, "mtu": None}

    def same(self, attribute: str, have: t.Any, want: t.Any) -> bool:
        if attribute != "nexthops" or have == want:
            return bool(have == want)
        # a next hop without an interface got one from the kernel
        return len(have) == len(want) and all({**old, **new} == old for old, new in zip(have, want, strict=True))

    def gather(self, snapshot: Snapshot, want: list[Item[RouteKey]], planned: Planned) -> Have[RouteKey]:
        tables = set(planned.tables.values()) | set(planned.old_tables)
        found: Have[RouteKey] = {}
        for route in snapshot.all_routes if planned.everything else snapshot.own_routes:
            if route.type not in TYPE_NAMES:
                continue  # local, broadcast, anycast, multicast: the kernel's own
            if is_last_default(route) and route.table in tables:
                continue  # part of the VRF
            item = observe(route, snapshot)
            if planned.everything and route.unparsed:
                item.hints["incomplete"] = sorted(
                    UNSHOWN.get(number, f"attribute {number}") for number in route.unparsed
                )
            twin = found.setdefault(item.key, item)
            if twin is not item:  # IPv6 may have several routes with one key; merged, they differ from the wanted one
                hops = twin.attributes["nexthops"] + item.attributes["nexthops"]
                twin.attributes["nexthops"] = sorted(hops, key=_hop_order)
        return found

    def conflicts(self, changes: list[Change[RouteKey]], snapshot: Snapshot) -> list[str]:
        """Routes of others that conflict with routes to be created."""
        new = [change.item for change in changes if change.op == "create"]
        return [
            f"{item.place}: route {item.label} exists but is not ours (protocol {protocol}); delete it first, "
            "give this one another metric, or leave it out"
            for item, protocol in _of_others(new, snapshot)
        ]

    def passed_over(self, want: list[Item[RouteKey]], have: Have[RouteKey], snapshot: Snapshot) -> list[str]:
        missing = [item for item in want if item.key not in have]
        return [
            f"{item.place}: route {item.label} is not ours (protocol {protocol}) and is left in place"
            for item, protocol in _of_others(missing, snapshot)
        ]

    def check(
        self,
        want: list[Item[RouteKey]],
        have: Have[RouteKey],
        snapshot: Snapshot,
        planned: Planned,
        mistakes: options.Mistakes,
    ) -> None:
        gateways = Gateways(snapshot, planned, want)
        for item in want:
            there = have.get(item.key)
            accepted = there is not None and self.same(
                "nexthops", there.attributes["nexthops"], item.attributes["nexthops"]
            )
            for hop in item.attributes["nexthops"]:
                name = hop.get("interface")
                if name and name not in planned.links:
                    mistakes.at(f"{item.place}.interface", planned.no_link(name))
                elif name and planned.down(name):
                    mistakes.at(
                        f"{item.place}.interface", f"{name} will be down; the kernel accepts no route through it"
                    )
                elif hop.get("gateway") and not accepted:
                    problem = gateways.problem(item, hop)
                    if problem:
                        mistakes.at(f"{item.place}.gateway", problem)

    def foresee(self, have: Have[RouteKey], want: list[Item[RouteKey]], planned: Planned) -> Have[RouteKey]:
        wanted = {item.key for item in want}  # unwanted ones are removed in any case, and first
        planned.lost_routes = {key for key, item in have.items() if key in wanted and _is_lost(item, planned)}
        return {key: item for key, item in have.items() if key not in planned.lost_routes}

    def steps(self, change: Change[RouteKey], planned: Planned) -> list[Step]:
        # a route lost with its interface may be back, or still exist, when it is written
        fresh = change.op == "create" and change.item.key not in planned.lost_routes
        return route_steps.steps(change, fresh, planned.usable_sources)

    def show(self, item: Item[RouteKey]) -> dict[str, t.Any]:
        _version, table, prefix, metric = item.key
        hops = [
            {key: value for key, value in hop.items() if value not in (None, False)}
            for hop in item.attributes["nexthops"]
        ]
        shown = {"prefix": prefix, "table": table, "metric": metric}
        shown.update({key: value for key, value in item.attributes.items() if key != "nexthops" and value is not None})
        if item.hints.get("incomplete"):
            shown["incomplete"] = item.hints["incomplete"]
        return {**shown, "nexthops": hops} if hops else shown


def _of_others(items: list[Item[RouteKey]], snapshot: Snapshot) -> t.Iterator[tuple[Item[RouteKey], str | int]]:
    """The items whose keys routes of others have, with their protocols. Reads only the tables of the items."""
    by_key = {item.key: item for item in items}
    prefixes: dict[tuple[int, int], list[str]] = {}
    for version, table, prefix, _metric in by_key:
        if isinstance(table, int):
            prefixes.setdefault((version, table), []).append(prefix)
    for (version, table), wanted in sorted(prefixes.items()):
        for route in snapshot.routes_to(wanted, version, table):
            if route.protocol != PROTOCOL and route.type in TYPE_NAMES and _key(route) in by_key:
                yield by_key[_key(route)], PROTOCOL_NAMES.get(route.protocol, route.protocol)


def _is_lost(route: Item[RouteKey], planned: Planned) -> bool:
    links = {hop.get("interface") for hop in route.attributes["nexthops"]}
    if links & (planned.disturbed | planned.remade) or route.attributes.get("source") in planned.lost_sources:
        return True
    return route.key[0] == 4 and bool(links & planned.without_ipv4)


def _label(prefix: str, where: t.Any, metric: int, version: int) -> str:
    text = f"{prefix} in " + (f"table {where}" if isinstance(where, int) else f"VRF {where}")
    return text if metric in (0, IPV6_METRIC if version == 6 else 0) else f"{text} (metric {metric})"


def _hop_order(hop: dict[str, t.Any]) -> tuple[str, str]:
    return (hop.get("gateway") or "", hop.get("interface") or "")


def prefix_of(route: Route) -> str:
    return f"{address_text(route.destination)}/{route.length}"


def _key(route: Route) -> RouteKey:
    return (VERSIONS[route.family], route.table, prefix_of(route), route.metric)


def observe(route: Route, snapshot: Snapshot) -> Item[RouteKey]:
    key = _key(route)
    version = key[0]
    kind = TYPE_NAMES[route.type]
    hops = [_hop(hop, snapshot) for hop in route.hops or (NO_HOP,)] if kind == "unicast" else []
    observed: dict[str, t.Any] = {"type": kind, "nexthops": sorted(hops, key=_hop_order) if len(hops) > 1 else hops}
    if version == 4:
        observed["scope"] = SCOPE_NAMES.get(route.scope) or str(route.scope)
    observed["source"] = address_text(route.source) if route.source else None
    observed["mtu"] = route.mtu
    return Item(key, _label(key[2], key[1], key[3], version), observed, owned=route.protocol == PROTOCOL)


def _hop(found: Hop, snapshot: Snapshot) -> dict[str, t.Any]:
    hop: dict[str, t.Any] = {}  # in the order of a wanted one
    if found.gateway:
        hop["gateway"] = address_text(found.gateway)
    if found.link:
        hop["interface"] = snapshot.names.get(found.link, f"index {found.link}")
    return {**hop, "weight": found.weight, "onlink": bool(found.flags & ONLINK)}
