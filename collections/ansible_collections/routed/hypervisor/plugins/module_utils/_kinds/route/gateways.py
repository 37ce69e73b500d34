# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the kernel will accept a gateway (fib_check_nh, ip6_route_check_nh). Private to this collection."""

from __future__ import annotations

import functools
import ipaddress
import typing as t

from ..._engine.change import Item
from ..._engine.planned import Planned
from ..._engine.snapshot import Snapshot
from ..._netlink.kernel import NoPyroute2
from ..interface.kind import planned_interfaces
from ..link_members import host
from .steps import MAIN, SCOPES, UNICAST, RouteKey

DEFAULT = 253  # the kernel's table `default`
FEW = 5  # networks in one message
Address = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]  # noqa: UP007 - evaluated, also by Python 3.9
Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]  # noqa: UP007 - evaluated, also by Python 3.9


class Gateways:
    """Judges gateways in the network as it will be. Undecidable cases are left to the kernel."""

    def __init__(self, snapshot: Snapshot, planned: Planned, want: list[Item[RouteKey]]) -> None:
        self.snapshot = snapshot
        self.planned = planned
        self.want = want
        self._networks: dict[str, list[Network]] = {}
        self._known: dict[frozenset[int], list[tuple[Network, str]]] = {}
        self._anywhere: dict[tuple[str, int], str | None] = {}
        self._own: set[str] | None = None

    def problem(self, route: Item[RouteKey], hop: dict[str, t.Any]) -> str | None:
        """Why the kernel would refuse the gateway of a next hop; None if it would not."""
        if self.planned.refused:
            return None
        gateway, name = ipaddress.ip_address(hop["gateway"]), hop.get("interface")
        if str(gateway) in self._own_addresses():
            return f"{gateway} is an address of this host; a gateway is another node"
        if hop.get("onlink") or gateway.is_link_local:
            return None
        return self._problem_of(route, gateway, name) if name else self._problem_anywhere(route, gateway)

    def _problem_of(self, route: Item[RouteKey], gateway: Address, name: str) -> str | None:
        """For a gateway that is given with an interface."""
        if not self._is_known(name) or any(gateway in network for network in self._reached_by(name)):
            return None
        if any(gateway in network for network in self._device_routes(gateway.version, route.key[1], name)):
            return None
        networks = ", ".join(str(network) for network in self._reached_by(name) if network.version == gateway.version)
        text = f"{gateway} is on no network of {name} ({networks or f'it has no IPv{gateway.version} address'})"
        return f"{text}; set onlink: true to use it anyway"

    def _problem_anywhere(self, route: Item[RouteKey], gateway: Address) -> str | None:
        """For a gateway that is given without an interface.

        The kernel looks it up in the table of the route, and then as a packet of this host: by the policy rules. A rule
        may not apply, so this finds only gateways that no rule can help.
        """
        table = route.key[1]
        if self.planned.networks_unknown or not isinstance(table, int):
            return None
        if route.attributes.get("scope", "global") != "global":  # looked up among routes of a narrower scope
            return None
        key = (str(gateway), table)
        if key not in self._anywhere:
            self._anywhere[key] = self._why_unreachable(gateway, table)
        return self._anywhere[key]

    def _why_unreachable(self, gateway: Address, table: int) -> str | None:
        first = frozenset((table, MAIN))
        try:
            if self._is_on_network(gateway, first) or self._is_on_network(gateway, self._tables_of_rules - first):
                return None
        except NoPyroute2:  # the rules are unknown
            return None
        where = next((f"VRF {name}" for name, one in self.planned.tables.items() if one == table), f"table {table}")
        known = self._known_networks(first | self._tables_of_rules)
        near = sorted({f"{network} of {name}" for network, name in known if network.version == gateway.version})
        listed = ", ".join(near[:FEW]) + (f" and {len(near) - FEW} more" if len(near) > FEW else "")
        return (
            f"{gateway} is on no network that {where} or a policy rule leads to "
            f"({listed or f'there is no IPv{gateway.version} network'}); give a gateway that is, "
            "or the interface, with onlink: true to use it anyway"
        )

    def _is_on_network(self, gateway: Address, tables: frozenset[int]) -> bool:
        if any(gateway in network for network, _name in self._known_networks(tables)):
            return True
        lengths = range(gateway.max_prefixlen + 1)
        covering = [str(ipaddress.ip_network((gateway, length), strict=False)) for length in lengths]
        for table in sorted(tables):
            for route in self.snapshot.routes_to(covering, gateway.version, table):
                direct = route.scope >= SCOPES["link"] or not any(hop.gateway for hop in route.hops)
                if route.type == UNICAST and direct:
                    return True
        return False

    def _known_networks(self, tables: frozenset[int]) -> list[tuple[Network, str]]:
        """Networks of interfaces in these tables, and prefixes of wanted routes in them without a gateway."""
        if tables not in self._known:
            links = {**planned_interfaces(self.planned), **self.planned.slaves}
            found: list[tuple[Network, str]] = [
                (ipaddress.ip_interface(address).network, name)
                for name, attributes in links.items()
                if self.planned.tables.get(attributes.get("vrf") or "", MAIN) in tables and not self.planned.down(name)
                for address in attributes.get("addresses", {})
            ]
            for item in self.want:
                narrow = SCOPES[item.attributes.get("scope", "global")] >= SCOPES["link"]
                direct = narrow or not any("gateway" in hop for hop in item.attributes["nexthops"])
                if item.key[1] in tables and item.attributes["type"] == "unicast" and direct:
                    found.append((ipaddress.ip_network(item.key[2]), "a wanted route"))
            self._known[tables] = found
        return self._known[tables]

    @functools.cached_property
    def _tables_of_rules(self) -> frozenset[int]:
        """Of rules that exist when routes are added: before new rules are, and before replaced ones are removed."""
        found = {message.get_attr("FRA_TABLE") or message["table"] for message in self.snapshot.rules}
        return frozenset({DEFAULT, *found}) - {0}  # l3mdev, which applies to no packet without an interface

    def _is_known(self, name: str) -> bool:
        """Links in other namespaces, and ipvlan links, are not among the interfaces."""
        return name in planned_interfaces(self.planned) and self.planned.links.get(name) != "ipvlan"

    def _own_addresses(self) -> set[str]:
        if self._own is None:
            interfaces = planned_interfaces(self.planned).values()
            self._own = {host(address) for attributes in interfaces for address in attributes.get("addresses", {})}
        return self._own

    def _reached_by(self, name: str) -> list[Network]:
        """The networks of an interface's addresses, and the prefixes of wanted routes without a gateway through it."""
        if name not in self._networks:
            addresses = planned_interfaces(self.planned)[name].get("addresses", {})
            found = [ipaddress.ip_interface(address).network for address in addresses]
            for item in self.want:
                hops = item.attributes["nexthops"]
                if any(hop.get("interface") == name and "gateway" not in hop for hop in hops):
                    found.append(ipaddress.ip_network(item.key[2]))
            self._networks[name] = found
        return self._networks[name]

    def _device_routes(self, version: int, table: t.Any, name: str) -> t.Iterator[Network]:
        """Prefixes of existing routes without a gateway through an interface, in the tables that the kernel uses."""
        link = self.snapshot.links.get(name)
        if link is None:
            return
        master = planned_interfaces(self.planned)[name].get("vrf")
        tables = {table, self.planned.tables.get(master or "", MAIN), MAIN}
        for number in sorted(one for one in tables if isinstance(one, int)):
            for route in self.snapshot.routes_of_table(version, number, link=link.index):
                if route.type == UNICAST and not any(hop.gateway for hop in route.hops):
                    yield ipaddress.ip_network((route.destination, route.length))
