# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the names that nodes have and derive: unique in each namespace, not too long, and not reserved there."""

from __future__ import annotations

import re

from . import names
from .draft import LOOPBACK, Border, Guest, Hypervisor, Intent, Leaf, Part, Reflector, Router
from .formats import FORMATS, INTERFACE_LENGTH, LAB_NODE
from .mistakes import Mistakes, Path, render
from .uniqueness import Once

WORLD = "world"  # a border's interface to the outside world
# Measured with radvd 2.19: where it expects the name of an interface, it reads these as keywords.
_RADVD = """interface prefix route RDNSS DNSSL clients abro lowpanco on off low medium high infinity IgnoreIfMissing
UnicastOnly AdvSendAdvert AdvManagedFlag AdvLinkMTU AdvRetransTimer AdvCurHopLimit AdvOnLink AdvAutonomous AdvRouterAddr
AdvIntervalOpt AdvLifeTime AdvVersionLow AdvVersionHigh AdvRASrcAddress FlushRDNSS FlushDNSSL Base6Interface
DeprecatePrefix RemoveRoute"""
RADVD_KEYWORDS = frozenset(_RADVD.split())
RADVD_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
# dnsmasq tags requests with these and with the name of the interface; a segment's name is a tag, too.
DNSMASQ_TAGS = frozenset(("known", "known-othernet", "bootp", "dhcpv6", "cpewan-id"))
# It reads these as settings of a host, not as its name; see the option dhcp-host.
DNSMASQ_WORDS = re.compile(r"ignore|infinite|[0-9]+[smhdwSMHDW]?")


def check(intent: Intent, mistakes: Mistakes) -> None:
    _nodes(intent, mistakes)
    for fabric in intent.fabrics.values():
        _default_uplink(intent, fabric.name, mistakes)
    for node in intent.routers:
        _interfaces(intent, node, mistakes)
    for segment in intent.segments.values():
        if segment.lease_s is not None and segment.name in DNSMASQ_TAGS:
            wrong = f"{segment.name} is a tag that dnsmasq gives to guests itself"
            mistakes.add(("segments", segment.name), wrong, "another name")
    for hypervisor in intent.hypervisors.values():
        for guest in hypervisor.guests:
            _guest(intent, guest, mistakes)
    for guest in intent.guests:
        _guest(intent, guest, mistakes)


def _nodes(intent: Intent, mistakes: Mistakes) -> None:
    """Node names across kinds: all are hosts of one inventory. In a lab, ports are named after them as well."""
    nodes = _Hosts(mistakes)
    if intent.lab:
        for fabric in intent.fabrics:
            nodes.give(names.switch(fabric), ("fabrics", fabric))
    for router in intent.routers:
        if intent.lab and router.name == names.BRIDGE:
            wrong = f"{names.BRIDGE} is the bridge of {', '.join(map(names.switch, router.uplinks))}"
            mistakes.add(router.path, f"{wrong}, where ports are named after nodes", "another name")
        nodes.give(router.name, router.path)
    for hypervisor in intent.hypervisors.values():
        for guest in hypervisor.guests:
            nodes.give(guest.name, guest.path)
        for part in hypervisor.parts.values():
            for container in part.containers:
                nodes.give(container.name, container.path)
    for guest in intent.guests:
        nodes.give(guest.name, guest.path, "a guest is either for one hypervisor or for all of them")
    if intent.lab:
        nodes_of_lab: list[Router | Guest] = [*intent.routers]
        nodes_of_lab += [guest for hypervisor in intent.hypervisors.values() for guest in hypervisor.guests]
        for node in nodes_of_lab:
            if not LAB_NODE.is_valid(node.name):
                mistakes.add(node.path, f"{_quoted(node.name)} is not {LAB_NODE.wanted}")


class _Hosts:
    """Names of hosts, each given once. In DNS, upper and lower case are the same (RFC 4343)."""

    def __init__(self, mistakes: Mistakes):
        self.mistakes = mistakes
        self.first: dict[str, tuple[str, Path]] = {}

    def give(self, name: str, path: Path, of_guests: str = "") -> None:
        """`of_guests`: what is right if the other one is a guest."""
        other, first = self.first.setdefault(name.lower(), (name, path))
        if first != path:
            wrong = (
                f"the name {name} is also given to" if name == other else f"{name} differs only in case from {other},"
            )
            right = of_guests if "guests" in first else ""
            self.mistakes.add(path, f"{wrong} {render(first)}", right or "each node needs a name of its own")


def _quoted(name: str) -> str:
    """A name that should be one of an interface."""
    return f"{name!r} ({len(name)} characters)" if len(name) > INTERFACE_LENGTH else repr(name)


def _guest(intent: Intent, guest: Guest, mistakes: Mistakes) -> None:
    if guest.path in mistakes.touched:
        return
    if guest.port == guest.name and not FORMATS["interface"].is_valid(guest.port):
        wrong = f"missing, and {_quoted(guest.name)} cannot be the name of its interface"
        mistakes.add((*guest.path, "port"), wrong, "the hypervisor's interface to it, for instance tap7")
    path = (*guest.path, "port") if guest.port != guest.name else guest.path
    segment = intent.segments.get(guest.segment) if guest.segment is not None else None
    if segment is None:
        return
    if "ipv6" in guest.address and (guest.port in RADVD_KEYWORDS or RADVD_NUMBER.fullmatch(guest.port)):
        wrong = f"radvd cannot serve an interface called {guest.port}, which it reads as a "
        mistakes.add(path, wrong + ("keyword" if guest.port in RADVD_KEYWORDS else "number"), "another name")
    if segment.lease_s is not None and "ipv4" in guest.address and DNSMASQ_WORDS.fullmatch(guest.name):
        wrong = f"dnsmasq reads {guest.name} as a setting of a guest, not as its name"
        mistakes.add(guest.path, wrong, "another name")
    if segment.lease_s is not None and guest.port != segment.name and guest.port in intent.segments:
        wrong = f"dnsmasq would give guests of this interface the options of segments.{guest.port}"
        mistakes.add(path, wrong, "another name")


def _default_uplink(intent: Intent, fabric: str, mistakes: Mistakes) -> None:
    """The name that all routers share is reported once, not for each of them."""
    path = ("fabrics", fabric, "interface")
    if path not in mistakes:
        for vrf in intent.fabrics[fabric].networks:
            _fits(intent, intent.fabrics[fabric].interface, vrf, path, f"fabric {fabric}", mistakes)


def _interfaces(intent: Intent, node: Router, mistakes: Mistakes) -> None:
    """Interface names on a router: what it is given, then what is derived."""
    given = Once(mistakes, "the interface name ", "each interface of a node needs its own")
    if isinstance(node, Border):
        given.first[WORLD] = (*node.path, "world")
    else:
        given.first.update({vrf.device: ("vrfs", vrf.name) for vrf in intent.vrfs.values() if vrf.device})
    if isinstance(node, Hypervisor):
        for loopback in intent.loopbacks.values():
            given.give(loopback.interface, ("loopbacks", loopback.vrf, "interface"))
    if isinstance(node, Leaf) and node.platform != "nxos" and node.loopback:
        given.give(LOOPBACK, (*node.path, "loopback"))
    places = {fabric: _place(intent, node, fabric) for fabric in node.uplinks}
    for fabric, uplink in node.uplinks.items():
        given.give(uplink.interface, places[fabric])
    for fabric in node.uplinks:
        _vlans(intent, node, fabric, places[fabric], given, mistakes)
    for part in getattr(node, "parts", {}).values():
        for name in interfaces_of(part):
            given.give(name, part.path)
    for guest in getattr(node, "guests", ()):
        given.give(guest.port, (*guest.path, "port") if guest.port != guest.name else guest.path)
    for guest in intent.guests if isinstance(node, Hypervisor) else ():
        given.give(guest.port or None, (*guest.path, "port"))
    for part in getattr(node, "parts", {}).values():
        _master(intent, node, part, given, mistakes)


def _place(intent: Intent, node: Router, fabric: str) -> Path:
    """Where the name of an uplink is given."""
    default = intent.fabrics.get(fabric)
    if default is not None and node.uplinks[fabric].interface == default.interface:
        return ("fabrics", fabric, "interface")
    return (*node.path, "interface") if isinstance(node, Reflector) else (*node.path, "fabrics", fabric, "interface")


def _vlans(intent: Intent, node: Router, fabric: str, path: Path, given: Once, mistakes: Mistakes) -> None:
    uplink, known = node.uplinks[fabric], intent.fabrics.get(fabric)
    if isinstance(node, Border):
        wanted = [node.vrf] if node.vrf else []
    else:
        wanted = [name for name in intent.vrfs if known is not None and name in known.networks]
    for vrf in wanted:
        if vrf not in intent.vrfs or known is None or vrf not in known.networks:
            continue
        is_on_linux = not isinstance(node, Leaf) or node.platform != "nxos"
        if path[0] != "fabrics" and is_on_linux and not _fits(intent, uplink.interface, vrf, path, node.name, mistakes):
            return
        number = intent.vrfs[vrf].vlan
        if number is not None:
            name = names.vlan(uplink.interface, number)
            first = given.first.setdefault(name, path)
            if first != path:
                wrong = f"{name}, the VLAN interface of {vrf} on {uplink.interface}, is also given to {render(first)}"
                mistakes.add(path, wrong, given.right)


def _fits(intent: Intent, interface: str, vrf: str, path: Path, where: str, mistakes: Mistakes) -> bool:
    if vrf not in intent.vrfs:
        return True
    number = intent.vrfs[vrf].vlan
    derived = names.vlan(interface, number)
    if len(derived) <= INTERFACE_LENGTH:
        return True
    longest = INTERFACE_LENGTH - len(derived) + len(interface)
    about = f"the VLAN interface of {vrf} on {where}," if number is not None else f"the interface on {where},"
    right = f"interfaces have up to {INTERFACE_LENGTH}: choose an interface name of up to {longest}"
    mistakes.add(path, f"{derived}, {about} has {len(derived)} characters", right)
    return False


def interfaces_of(part: Part) -> list[str]:
    """The interfaces that a part of a container network adds to the host."""
    own_dummy = [part.network] if part.is_on_dummy else []
    return own_dummy + ([part.host_link] if part.has_host_link else [])


def _master(intent: Intent, node: Router, part: Part, given: Once, mistakes: Mistakes) -> None:
    """The master of containers' links is an interface that nothing else uses, or the uplink to a fabric."""
    if part.interface is None or part.interface not in given.first or part.fabric is not None:
        return
    common = intent.container_networks.get(part.network)
    is_own = common is None or part.interface != common.interface
    path = (*part.path, "interface") if is_own else ("container_networks", part.network, "interface")
    fabric = None
    vrf = intent.vrfs.get(common.vrf) if common is not None and common.vrf is not None else None
    for name, uplink in node.uplinks.items():
        if vrf is not None and vrf.name in uplink.given and part.interface == names.vlan(uplink.interface, vrf.vlan):
            fabric = name
    right = f"write fabric: {fabric}" if fabric is not None else "another interface, or none for a dummy of their own"
    wrong = f"the interface {part.interface} of {node.name} is given to {render(given.first[part.interface])}"
    mistakes.add(path, wrong, right)
