# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links that containers have on interfaces of this host, whatever created them. Private to this collection."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
import re
import sys
import typing as t

from .._netlink import codec
from .._netlink.codec import ADDRESS, Link
from .._netlink.kernel import Kernel
from .._netlink.named_namespaces import OWN, Spaces

MODES = ("l2", "l3", "l3s")  # in the kernel's order
DOCKER = "/run/docker/netns"  # where Docker keeps namespaces, which have no name below /run/netns
# Where our CNI plugin mounts those of containers whose runtime does not: only these mounts keep them when nothing runs.
PLUGIN = "/run/routed-hypervisor-netns"
# A namespace that an engine made for a process; one of `ip netns` need not have any.
_OF_ENGINE = re.compile(rf"({DOCKER}|{PLUGIN})/.*|(cni|netns)-[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")
KINDS = ("ipvlan", "ipvtap", "macvlan", "macvtap")
LINK_SCOPE = 253
_MODE = 1  # IFLA_IPVLAN_MODE


class Slave(t.NamedTuple):
    where: str  # its namespace: "" for this one, else a name or a path
    name: str
    kind: str
    mode: str  # of ipvlan
    addresses: tuple[str, ...] = ()  # except link-local ones
    has_process: bool = True  # in its namespace

    @property
    def is_of_engine(self) -> bool:
        """Whether an engine may have made the namespace: it is not one of `ip netns`."""
        return self.where.startswith("/") or _OF_ENGINE.fullmatch(self.where) is not None

    @property
    def is_left(self) -> bool:
        """Whether an engine made the namespace for a process that has gone."""
        return not self.has_process and _OF_ENGINE.fullmatch(self.where) is not None

    @property
    def label(self) -> str:
        return f"{self.name} in {self.where}" if self.where else self.name


@dataclasses.dataclass
class Survey:
    masters: dict[str, Link]  # all links of this namespace
    slaves: dict[str, list[Slave]]  # by master
    unused: list[str] = dataclasses.field(default_factory=list)  # mounts of our plugin without a process

    @property
    def addresses(self) -> dict[str, list[Slave]]:
        """The links in other namespaces by address, without those that only our plugin's mounts keep."""
        found: dict[str, list[Slave]] = {}
        kept = {"", *self.unused}
        for slave in (slave for slaves in self.slaves.values() for slave in slaves if slave.where not in kept):
            for address in slave.addresses:
                found.setdefault(address, []).append(slave)
        return found


def survey() -> Survey:
    kernel = Kernel()
    own = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        masters = kernel.network.links()
        found = Survey(masters, {})
        names = {link.index: link.name for link in masters.values()}
        spaces = _spaces()
        found.unused = [where for number, where in spaces.found.items() if _is_unused(spaces, number)]
        for number, where in list(spaces.found.items()):
            with contextlib.suppress(OSError):  # the namespace has gone
                _add(found, names, where, kernel.at(where), own, bool(spaces.processes.get(number)))
        return found
    finally:
        os.close(own)
        kernel.close()


def _spaces() -> Spaces:
    """With those that Docker and our plugin keep for containers whose processes have gone."""
    spaces = Spaces()
    for directory in (DOCKER, PLUGIN):
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(directory)):
                spaces.designate(f"{directory}/{name}")
    return spaces


def _is_unused(spaces: Spaces, number: int) -> bool:
    return spaces.found[number].startswith(f"{PLUGIN}/") and not spaces.processes.get(number)


def _add(found: Survey, names: dict[int, str], where: str, kernel: Kernel, own: int, has_process: bool) -> None:
    network = kernel.network
    links = network.links() if where else found.masters
    number = network.number_of(own) if where else None
    slaves = [
        link
        for link in links.values()
        if link.kind in KINDS and link.peer in names and (link.peer_network is not None) == bool(where)
    ]
    addresses: dict[int, list[str]] = {}
    for address in network.dump(ADDRESS) if slaves else ():
        if address.address and address.scope < LINK_SCOPE:
            addresses.setdefault(address.index, []).append(codec.address_text(address.address))
    for link in slaves:
        if link.peer_network == number:
            known = tuple(addresses.get(link.index, ()))
            slave = Slave(where, link.name, link.kind, _mode(link), known, has_process)
            found.slaves.setdefault(names[link.peer], []).append(slave)


def _mode(link: Link) -> str:
    value = codec.attributes_in(link.data).get(_MODE, b"") if link.kind.startswith("ipv") else b""
    number = int.from_bytes(value, sys.byteorder)
    return MODES[number] if value and number < len(MODES) else ""


def refusals(found: Survey, name: str, mode: str, mtu: int | None, check_mode: bool) -> list[str]:
    """What a container's link on the master NAME would do to others, or not be. No runtime checks any of this."""
    master, mistakes = found.masters.get(name), []
    if master is None:
        # In check mode, an earlier stage of the real run may create it.
        return [] if check_mode else [f"there is no interface {name}"]
    if mtu and mtu > master.mtu:
        mistakes.append(f"the MTU {mtu} is more than that of {name} ({master.mtu})")
    slaves = found.slaves.get(name, [])
    if foreign := [slave.label for slave in slaves if not slave.kind.startswith("ipv")]:
        mistakes.append(f"{name} cannot have ipvlan links, because it has others: {', '.join(foreign)}")
    return mistakes + _switched(name, mode, slaves)


def conflicts(found: Survey, name: str, mode: str, subnets: t.Iterable[str]) -> list[str]:
    """Links of others on the master NAME whose mode would change.

    Links with an address in our SUBNETS are ours: if another mode was forced on them, theirs is to be restored. What a
    failed runtime left behind without an address keeps nobody from that.
    """
    networks = [ipaddress.ip_network(subnet) for subnet in subnets]
    others = [
        slave
        for slave in found.slaves.get(name, [])
        if slave.addresses
        and not any(ipaddress.ip_address(one) in network for one in slave.addresses for network in networks)
    ]
    return _switched(name, mode, others)


def _switched(name: str, mode: str, slaves: list[Slave]) -> list[str]:
    other = [f"{slave.label} ({slave.mode})" for slave in slaves if slave.mode and slave.mode != mode]
    if not other:
        return []
    return [f"a container in mode {mode} would change the mode of the links that {name} has: {', '.join(other)}"]
