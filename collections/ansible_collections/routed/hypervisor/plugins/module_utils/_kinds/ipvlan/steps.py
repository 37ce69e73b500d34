# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes ipvlan links. Private to this collection."""

from __future__ import annotations

import ipaddress
import typing as t
import zlib
from functools import partial

from ..._engine.apply import Phase, Step
from ..._engine.change import Change, Item
from ..._netlink.codec import IFF_UP, LINK, ROUTE
from ..._netlink.kernel import BEING_CREATED, Kernel
from ..._netlink.marks import MARK, PROTOCOL
from ..._netlink.sockets import CREATE, EXCLUSIVE, REPLACE
from ..interface.steps import KERNEL_PROTOCOLS, addition, address_steps, sysctl_steps
from ..link import creation_remedies, deletion, set_link
from ..link_members import is_reached
from ..route.steps import ANY_SCOPE, MAIN, ONLINK, SCOPES, UNICAST, RouteKey, route_fields, unreachable
from .view import FLAGS, MODES, LinkKey

LEAST_INDEX = 1 << 30  # of links whose index we choose; the kernel counts from 1


def steps(change: Change[LinkKey]) -> list[Step]:
    (where, name), label = change.item.key, change.item.label
    result: list[Step] = []
    if change.op in ("delete", "replace"):
        result += deletion(f"ipvlan link {label}", name, where)
    if change.want is None:
        return result
    new = change.want.attributes
    fresh = change.op in ("create", "replace")
    todo, removed = change.after, change.before
    if fresh:
        text = f"create ipvlan link {label}"
        run = partial(_create, where=where, name=name, new=new)
        result.append(Step(Phase.LINKS, text, run, remedies=creation_remedies("ipvlan")))
        todo, removed = {key: value for key, value in new.items() if value is not None}, {}
        # addresses of others are restored, too, but not those the kernel adds
        protocols = change.want.hints.get("protocols", {})
        addresses = new.get("addresses", {})
        todo["addresses"] = {a: v for a, v in addresses.items() if protocols.get(a) not in KERNEL_PROTOCOLS}
    if "vrf" in todo:
        vrf = new["vrf"]
        text = f"put {label} into {vrf}" if vrf else f"take {label} out of its VRF"
        result.append(Step(Phase.MASTERS, text, lambda kernel: _set_vrf(kernel, name, vrf)))
    result += _settings(change, fresh, todo)
    result += sysctl_steps(name, todo.get("sysctls", {}), where)
    result += address_steps(name, change.want, todo.get("addresses", {}), removed.get("addresses", {}), where)
    routes = todo.get("routes", {})
    lost = set(removed.get("addresses", {})) - set(todo.get("addresses", {})) or ("vrf" in todo and not fresh)
    if lost and change.op == "change":  # removing a subnet's first address removes its others, and their routes
        for address in new["addresses"]:
            protocol = change.want.hints["protocols"].get(address, PROTOCOL)
            if protocol not in KERNEL_PROTOCOLS:
                result.append(addition(name, change.want, address, protocol, Phase.RESTORE_ADDRESSES, where))
        routes = new["routes"]
    for prefix in removed.get("routes", {}):
        if prefix not in routes:
            result.append(_route_removal(where, name, prefix))
    for prefix in routes:
        new_one = prefix in todo.get("routes", {}) and prefix not in removed.get("routes", {})
        result.append(_route(change.want, prefix, CREATE | (EXCLUSIVE if new_one else REPLACE)))
    return result


def _settings(change: Change[LinkKey], fresh: bool, todo: dict[str, t.Any]) -> list[Step]:
    """All settings of an existing link that fit into one message."""
    (where, name), label = change.item.key, change.item.label
    new = t.cast("Item[LinkKey]", change.want).attributes
    attributes: list[tuple[str, t.Any]] = []
    if not fresh and ("mode" in todo or "flag" in todo):
        attributes.append(("IFLA_LINKINFO", _info(new)))
    if "mtu" in todo:
        attributes.append(("IFLA_MTU", todo["mtu"]))
    if fresh:
        attributes += [("IFLA_IFALIAS", MARK), ("IFLA_GROUP", 0)]
    texts = [f"set {' and '.join(key for key in ('mode', 'flag', 'mtu') if key in todo)}" if not fresh else "mark"]
    fields: dict[str, int] = {}
    result = []
    if todo.get("state") == "up" and not todo.get("sysctls"):
        fields = {"flags": IFF_UP, "change": IFF_UP}
        texts = [*texts, "set up"] if attributes else ["set up"]
    elif "state" in todo:
        flags = IFF_UP if todo["state"] == "up" else 0
        if flags or not fresh:
            result.append(
                Step(
                    Phase.LINK_STATES,
                    f"set {label} {todo['state']}",
                    lambda kernel: set_link(kernel, name, [], flags=flags, change=IFF_UP),
                    where,
                )
            )
    if attributes or fields:
        text = f"{' and '.join(texts)} ipvlan link {label}"
        result.append(Step(Phase.SLAVES, text, lambda kernel: set_link(kernel, name, attributes, **fields), where))
    return result


def _info(new: dict[str, t.Any]) -> list[tuple[str, t.Any]]:
    data = [("IFLA_IPVLAN_MODE", MODES[new["mode"]]), ("IFLA_IPVLAN_FLAGS", FLAGS[new["flag"]])]
    return [("IFLA_INFO_KIND", "ipvlan"), ("IFLA_INFO_DATA", data)]


def _create(kernel: Kernel, where: str, name: str, new: dict[str, t.Any]) -> None:
    """Creates the link in its namespace, with an index of our choice: without one, the kernel would look up the name on
    the host, where it may be someone else's (eth0)."""
    fields = {"index": LEAST_INDEX | zlib.crc32(f"{where}/{name}".encode()) >> 2} if where else {}
    attributes = [
        ("IFLA_IFNAME", name),
        ("IFLA_LINK", kernel.index(new["master"])),
        ("IFLA_GROUP", BEING_CREATED),
        ("IFLA_NET_NS_FD", kernel.at(where).fd),
        ("IFLA_LINKINFO", _info(new)),
    ]
    kernel.new(LINK, fields, attributes)


def _set_vrf(kernel: Kernel, name: str, vrf: str | None) -> None:
    set_link(kernel, name, [("IFLA_MASTER", kernel.index(vrf) if vrf else 0)])


def _route_key(prefix: str) -> RouteKey:
    return (6 if ":" in prefix else 4, MAIN, prefix, 0)


def _route(item: Item[LinkKey], prefix: str, flags: int) -> Step:
    where, name = item.key
    gateway = item.attributes["routes"][prefix]["gateway"]

    def run(kernel: Kernel) -> None:
        fields, attributes = route_fields(_route_key(prefix))
        fields["type"] = UNICAST
        if gateway is None and ":" not in prefix:
            fields["scope"] = SCOPES["link"]
        addresses = item.attributes.get("addresses", {})
        beyond = gateway is not None and not is_reached(ipaddress.ip_address(gateway), addresses)
        fields["flags"] = ONLINK if beyond else 0
        attributes += [("RTA_OIF", kernel.index(name)), ("RTA_GATEWAY", gateway)]
        kernel.new(ROUTE, fields, attributes, flags=flags)

    text = f"add route {prefix} through {item.label}" + (f" via {gateway}" if gateway else "")
    return Step(Phase.ROUTES, text, run, where, remedies=unreachable([gateway] if gateway else []))


def _route_removal(where: str, name: str, prefix: str) -> Step:
    def run(kernel: Kernel) -> None:
        fields, attributes = route_fields(_route_key(prefix))
        fields["scope"] = ANY_SCOPE
        kernel.delete(ROUTE, fields, [*attributes, ("RTA_OIF", kernel.index(name))], missing_ok=True)

    return Step(Phase.REMOVE_ROUTES, f"delete route {prefix} through {name}", run, where)
