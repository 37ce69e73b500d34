# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the kernel will accept a gateway (fib_check_nh, ip6_route_check_nh). Private to this collection."""

from __future__ import annotations

import ipaddress
import typing as t

from ..._engine.change import Item
from ..._engine.planned import Planned
from ..._engine.snapshot import Snapshot
from ..interface.kind import planned_interfaces
from ..link_members import host
from .steps import MAIN, UNICAST, RouteKey

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]  # noqa: UP007 - evaluated, also by Python 3.9


class Gateways:
    """Judges gateways in the network as it will be. Undecidable cases are left to the kernel."""

    def __init__(self, snapshot: Snapshot, planned: Planned, want: list[Item[RouteKey]]) -> None:
        self.snapshot = snapshot
        self.planned = planned
        self.want = want
        self._networks: dict[str, list[Network]] = {}
        self._own: set[str] | None = None

    def problem(self, route: Item[RouteKey], hop: dict[str, t.Any]) -> str | None:
        """Why the kernel would refuse the gateway of a next hop; None if it would not."""
        gateway, name = ipaddress.ip_address(hop["gateway"]), hop.get("interface")
        if str(gateway) in self._own_addresses():
            return f"{gateway} is an address of this host; a gateway is another node"
        if hop.get("onlink") or gateway.is_link_local or name is None or not self._is_known(name):
            return None
        if any(gateway in network for network in self._reached_by(name)):
            return None
        if any(gateway in network for network in self._device_routes(gateway.version, route.key[1], name)):
            return None
        networks = ", ".join(str(network) for network in self._reached_by(name) if network.version == gateway.version)
        text = f"{gateway} is on no network of {name} ({networks or f'it has no IPv{gateway.version} address'})"
        return f"{text}; set onlink: true to use it anyway"

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
                if route.type == UNICAST and route.length and not any(hop.gateway for hop in route.hops):
                    yield ipaddress.ip_network((route.destination, route.length))
