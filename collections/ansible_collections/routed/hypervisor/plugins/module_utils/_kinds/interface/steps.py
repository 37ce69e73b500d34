# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes interfaces and their addresses, and restores what that removes. Private to this collection."""

from __future__ import annotations

import ipaddress
import typing as t
from errno import EACCES, EADDRNOTAVAIL, EINVAL, EPERM, ERANGE
from functools import partial

from ..._engine.apply import Phase, Step
from ..._engine.change import Change, Item
from ..._netlink.codec import ADDRESS, IFF_UP, LINK
from ..._netlink.kernel import BEING_CREATED, FAMILIES, Kernel
from ..._netlink.marks import CLOSED_PORT, OPEN_PORT, PROTOCOL
from ..._netlink.sockets import CREATE, REPLACE
from ..link import creation_remedies, deletion, mark_link, set_link
from ..link_members import host, sysctl_path
from .usable import await_usable

SCOPE_NUMBERS = {"global": 0, "site": 200, "link": 253, "host": 254}
BRIDGE = {"vlan_filtering": "IFLA_BR_VLAN_FILTERING", "stp": "IFLA_BR_STP_STATE"}
NODAD = 0x02  # IFA_F_NODAD
DEPRECATED = (0, 0xFFFFFFFF)  # never preferred, always valid
GENERATES = "ipv6.addr_gen_mode"
OF_SYSCTLS = {  # remedies
    **dict.fromkeys((EINVAL, ERANGE), "give a value that this sysctl accepts"),
    **dict.fromkeys((EACCES, EPERM), "leave it out, it cannot be written"),
}
KERNEL_LINK_LOCAL = 3  # IFAPROT_KERNEL_LL
# IFAPROT_KERNEL_*, addresses added by the kernel: of the loopback interface, from router advertisements, link-local
KERNEL_PROTOCOLS = (1, 2, KERNEL_LINK_LOCAL)


def steps(change: Change[str], protocol: int = PROTOCOL) -> list[Step]:
    name = change.item.key
    result: list[Step] = []
    if change.op in ("delete", "replace"):
        result += deletion(f"interface {name}", name)
    if change.want is None:
        return result
    new = change.want.attributes
    if change.op in ("create", "replace"):
        remedies = creation_remedies(new["type"])
        create = partial(_create, name=name, new=new)
        result.append(Step(Phase.LINKS, f"create interface {name}", create, remedies=remedies))
        result.append(mark_link(f"interface {name}", name))
        todo: dict[str, t.Any] = {key: value for key, value in new.items() if value is not None}
        removed: dict[str, t.Any] = {}
        if change.op == "replace":  # addresses of others are restored, too, but not those the kernel adds
            todo["addresses"] = {
                key: value
                for key, value in new.get("addresses", {}).items()
                if change.want.hints.get("protocols", {}).get(key) not in KERNEL_PROTOCOLS
            }
    else:
        todo, removed = change.after, change.before
    if "vrf" in todo or "bridge" in todo:
        master = new.get("vrf") or new.get("bridge")
        text = f"put {name} into {master}" if master else f"take {name} out of its VRF or bridge"
        result.append(Step(Phase.MASTERS, text, lambda kernel: _set_master(kernel, name, master)))
        if todo.get("sysctls", {}).get(GENERATES) == "1" and change.before.get("sysctls", {}).get(GENERATES):
            # Its MAC address may have changed since the present address was generated, as udev does with new links.
            text = f"generate no link-local address on {name}"
            path = sysctl_path(name, GENERATES)
            result.append(
                Step(
                    Phase.NO_GENERATED_ADDRESSES,
                    text,
                    lambda kernel: kernel.write_sysctl(path, "1"),
                    remedies=OF_SYSCTLS,
                )
            )
    settings = [
        (attribute, todo[key]) for key, attribute in (("mtu", "IFLA_MTU"), ("mac", "IFLA_ADDRESS")) if todo.get(key)
    ]
    if settings:
        result.append(
            Step(
                Phase.LINK_ATTRIBUTES,
                f"set {' and '.join(k for k in ('mtu', 'mac') if todo.get(k))} of {name}",
                lambda kernel: set_link(kernel, name, settings),
                remedies=dict.fromkeys((EINVAL, ERANGE), "give a value that the device supports") if settings else {},
            )
        )
    bridge = [(attribute, int(todo[key])) for key, attribute in BRIDGE.items() if key in todo]
    if bridge and change.op == "change":
        info = [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", bridge)]
        result.append(
            Step(
                Phase.LINK_ATTRIBUTES,
                f"set {' and '.join(key for key in BRIDGE if key in todo)} of {name}",
                lambda kernel: set_link(kernel, name, [("IFLA_LINKINFO", info)]),
            )
        )
    if "port" in todo:
        result.append(_port_step(name, todo["port"]))
    result += sysctl_steps(name, todo.get("sysctls", {}))
    if "state" in todo:
        up = todo["state"] == "up"
        if up or change.op == "change":
            result.append(
                Step(
                    Phase.LINK_STATES,
                    f"set {name} {todo['state']}",
                    lambda kernel: set_link(kernel, name, [], flags=IFF_UP if up else 0, change=IFF_UP),
                )
            )
    addresses = todo.get("addresses", {}), removed.get("addresses", {})
    return result + address_steps(
        name, change.want, *addresses, protocol=protocol, comes_up="state" in todo and new["state"] == "up"
    )


def _port_step(name: str, port: str | None) -> Step:
    """Opens, closes or releases the port to a guest. It is closed before it leaves its VRF, and opened at the end."""
    group = {"open": OPEN_PORT, "closed": CLOSED_PORT}.get(port or "", 0)
    phase = Phase.MARKS if port == "closed" else Phase.LINK_STATES
    text = {"open": f"open port {name}", "closed": f"close port {name}"}.get(port or "", f"release port {name}")
    return Step(phase, text, lambda kernel: set_link(kernel, name, [("IFLA_GROUP", group)]))


def sysctl_steps(name: str, values: dict[str, str], where: str = "") -> list[Step]:
    return [_sysctl_step(sysctl_path(name, key), value, where) for key, value in values.items()]


def _sysctl_step(path: str, value: str, where: str) -> Step:
    text = f"set net.{path.replace('/', '.')} to {value}"
    return Step(Phase.LINK_SYSCTLS, text, lambda kernel: kernel.write_sysctl(path, value), where, remedies=OF_SYSCTLS)


def address_steps(
    name: str,
    item: Item[t.Any],
    added: dict[str, t.Any],
    removed: dict[str, t.Any],
    where: str = "",
    protocol: int = PROTOCOL,
    comes_up: bool = False,
) -> list[Step]:
    """`added` and `removed` are members of the item's addresses; `where` is its namespace.

    A link that `comes_up` gets its new IPv4 addresses first. The kernel reports an address before it adds its local
    route, without which no socket can bind to it. BIRD binds the socket of a BFD session once, as soon as a link that
    is up has an address. Its IPv6 sessions wait for the link-local address, which comes later.
    """
    result = []
    # On a router, a link-local address that is still tentative takes the anycast address of fe80::/64 with it, although
    # the kernel adds that only when an address becomes usable. So it is removed before another one is added.
    earlier = [address for address in removed if address.lower().startswith("fe80:")]
    # Removed before a new one is added: addresses whose scope or (IPv6) length changes, and duplicates.
    by_ip = {host(address): address for address in added if ":" in address}
    first = {address: by_ip.get(host(address), address) for address in removed}
    first = {new: old for old, new in first.items() if new in added}
    first.update({address: address for address in item.hints.get("duplicates", ()) if address in added})
    earlier = [address for address in earlier if address not in first.values()]
    result += [_removal(name, address, Phase.ADD_ADDRESSES, where) for address in earlier]
    for address in added:
        if address in first:
            result.append(_removal(name, first[address], Phase.ADD_ADDRESSES, where))
        early = comes_up and ":" not in address and address not in first
        phase = Phase.DOWN_ADDRESSES if early else Phase.ADD_ADDRESSES
        result.append(addition(name, item, address, protocol, phase, where))
    replaced = {*first.values(), *earlier}
    result += [_removal(name, address, Phase.REMOVE_ADDRESSES, where) for address in removed if address not in replaced]
    checked = [host(address) for address in by_ip.values() if address not in item.hints.get("nodad", ())]
    if checked:
        text = f"use {', '.join(checked)} on {item.label}"
        remedies = {EADDRNOTAVAIL: "give another address, or remove it from the other node"}
        run = partial(await_usable, name=name, addresses=checked)
        result.append(Step(Phase.USABLE_ADDRESSES, text, run, where, remedies=remedies))
    return result


def restore(change: Change[t.Any], own: int = PROTOCOL) -> list[Step]:
    """Restores addresses that the kernel drops as a side effect of this change."""
    result = []
    for item in change.addresses_to_restore:
        for address in item.attributes.get("addresses", {}):
            protocol = item.hints.get("protocols", {}).get(address, own)
            if protocol not in KERNEL_PROTOCOLS and address not in item.hints.get("expiring", ()):
                step = addition(item.key, item, address, protocol, Phase.RESTORE_ADDRESSES)
                step.text, step.place = f"restore address {address} on {item.label}", item.place
                result.append(step)
    return result


def addition(name: str, item: Item[t.Any], address: str, protocol: int, phase: Phase, where: str = "") -> Step:
    value = item.attributes["addresses"][address]
    nodad = address in item.hints.get("nodad", ())
    deprecated = address in item.hints.get("deprecated", ())
    parsed = ipaddress.ip_interface(address)
    default = "host" if parsed.version == 4 and parsed.ip.is_loopback else "global"

    def run(kernel: Kernel) -> None:
        fields = {
            "family": FAMILIES[parsed.version],
            "prefixlen": parsed.network.prefixlen,
            "index": kernel.index(name),
            "scope": SCOPE_NUMBERS.get(value.get("scope", default), 0) if parsed.version == 4 else 0,
        }
        text = str(parsed.ip)
        attributes = [
            ("IFA_LOCAL", text),
            ("IFA_ADDRESS", text),
            ("IFA_PROTO", protocol or None),
            ("IFA_FLAGS", NODAD if nodad else None),
            ("IFA_CACHEINFO", DEPRECATED if deprecated else None),
        ]
        kernel.new(ADDRESS, fields, attributes, flags=CREATE | REPLACE)

    return Step(phase, f"add address {address} to {item.label}", run, where)


def _removal(name: str, address: str, phase: Phase, where: str = "") -> Step:
    parsed = ipaddress.ip_interface(address)

    def run(kernel: Kernel) -> None:
        index, text = kernel.index(name), str(parsed.ip)
        fields = {"family": FAMILIES[parsed.version], "prefixlen": parsed.network.prefixlen, "index": index}
        kernel.delete(ADDRESS, fields, [("IFA_LOCAL", text), ("IFA_ADDRESS", text)], missing_ok=True)

    return Step(phase, f"remove address {address} from {name}", run, where)


def _create(kernel: Kernel, name: str, new: dict[str, t.Any]) -> None:
    kind = new["type"]
    data: list[tuple[str, t.Any]] = []
    attributes: list[tuple[str, t.Any]] = [("IFLA_IFNAME", name), ("IFLA_GROUP", BEING_CREATED)]
    if kind == "vlan":
        attributes.append(("IFLA_LINK", kernel.index(new["parent"])))
        data.append(("IFLA_VLAN_ID", new["vlan_id"]))
    elif kind == "veth":
        data.append(("VETH_INFO_PEER", [("IFLA_IFNAME", new["peer"])]))
    elif kind == "bridge":
        data += [(attribute, int(new.get(key, False))) for key, attribute in BRIDGE.items()]
    info = [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", data or None)]
    kernel.new(LINK, {}, [*attributes, ("IFLA_LINKINFO", info)])


def _set_master(kernel: Kernel, name: str, master: str | None) -> None:
    set_link(kernel, name, [("IFLA_MASTER", kernel.index(master) if master else 0)])
