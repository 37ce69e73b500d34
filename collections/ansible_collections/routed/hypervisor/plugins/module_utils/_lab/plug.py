# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observes and changes the cables between lab nodes in their network namespaces. Private to this collection."""

from __future__ import annotations

import collections
import os
import resource
import typing as t
from dataclasses import replace

from .._netlink.codec import IFF_UP, LINK, QDISC, TC_H_ROOT, Link, pack, with_handle
from .._netlink.sockets import CREATE, EXCLUSIVE, REPLACE, Network, Request
from .cable import DOOMED, GROUP, HANDLE, Cable, End, Impairment, Links, Observed, Place, Plan, alias, is_ours
from .node import Node, is_still


class Networks:
    """The network namespaces of the nodes of a lab, held open."""

    def __init__(self, lab: str, nodes: t.Sequence[Node]):
        self.lab = lab
        self.fds: dict[str, int] = {}
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for node in nodes:
            if not node.pid:  # switched off
                continue
            self.fds[node.name] = os.open(f"/proc/{node.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            # Checked again now that the descriptor is open: a PID can be reused, an open namespace cannot.
            if not is_still(node, lab):
                raise OSError(f"node {node.name} has ended in the meantime")

    def __enter__(self) -> Networks:
        return self

    def __exit__(self, *exception) -> None:
        for fd in self.fds.values():
            os.close(fd)

    def observe(self) -> Observed:
        links: Links = {}
        impaired: dict[Place, Impairment] = {}
        for node, fd in self.fds.items():
            with Network(fd) as network:
                links[node] = network.links()
                impaired.update(impairments(node, network, links[node].values()))
        ours = [
            End(node, link.name, link.mac) for node in links for link in links[node].values() if is_ours(link, self.lab)
        ]
        cables = self._complete(links, {str(end): end for end in ours})
        cables = [replace(cable, impair=_common(cable, impaired)) for cable in cables] if impaired else cables
        plugged = {end for cable in cables for end in cable.ends}
        return Observed(links, cables, [end for end in ours if end not in plugged], impaired)

    def _complete(self, links: Links, ours: dict[str, End]) -> list[Cable]:
        pairs = collections.defaultdict(list)
        for end in ours.values():
            link = links[end.node][end.interface]
            peer = ours.get(link.alias.partition(" to ")[2])
            if peer is None or str(end) > str(peer):
                continue
            back = links[peer.node][peer.interface]
            if back.alias != alias(self.lab, end) or DOOMED in (link.group, back.group):
                continue
            if (link.peer, link.index) == (back.index, back.peer):
                pairs[end.node].append((end, peer, link))
        cables = []
        for node, candidates in pairs.items():
            # Other namespaces use the same indexes, so the peer's namespace must match, too.
            with Network(self.fds[node]) as network:
                for end, peer, link in candidates:
                    expected = None if peer.node == node else network.number_of(self.fds[peer.node])
                    if link.peer_network == expected:
                        cables.append(Cable(end, peer, link.mtu))
        return cables

    def move(self, node: str, process: int) -> list[str]:
        """Moves the ends of cables that are in a node to the network of a process, and sets them up.

        The kernel keeps name, MAC address, MTU and mark of an end, and removes the rest, except VLANs and other links
        on it: they would stay in the former network until that is gone, and the node could not create them again. Its
        peer loses its carrier for a while, like the port of a switch. An end that is impaired is so in the new network.
        """
        with Network(self.fds[node]) as network:
            links = network.links().values()
            ours = {link.index: link for link in links if is_ours(link, self.lab)}
            network.exchange([delete_link(one) for one in links if one.peer in ours and one.peer_network is None])
            ends = [End(node, link.name) for link in ours.values()]
            impaired = impairments(node, network, ours.values())
            target = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                errors = network.exchange([move_link(end.interface, target) for end in ends])
                failures = [f"cannot move {end}: {error}" for end, error in zip(ends, errors, strict=True) if error]
                with Network(target) as new:
                    errors = new.exchange([change_link(end.interface, up=True) for end in ends])
                    failures += impair(new, {End(*place): impairment for place, impairment in impaired.items()})
            finally:
                os.close(target)
        return failures or [f"cannot set up {end}: {error}" for end, error in zip(ends, errors, strict=True) if error]

    def carry_out(self, plan: Plan) -> list[str]:
        """Returns a message for each failure."""
        return self._remove(plan) + self._create(plan.create) + self._repair(plan) + self._impair(plan)

    def _remove(self, plan: Plan) -> list[str]:
        # The kernel removes the other end as well. All ends in a node are removed in one request: use the busier node.
        count = collections.Counter(end.node for cable in plan.remove for end in cable.ends)
        doomed = [max(cable.ends, key=lambda end: count[end.node]) for cable in plan.remove] + plan.cut
        failures = []
        for node, ends in by_node(doomed).items():
            with Network(self.fds[node]) as network:
                requests = [change_link(end.interface, group=DOOMED) for end in ends]
                errors = network.exchange([*requests, delete_group(DOOMED)])
                left = network.links()
            # An end that disappeared with its other end is not an error.
            failures += [
                f"cannot remove {end}: {error or errors[-1]}"
                for end, error in zip(ends, errors, strict=False)
                if end.interface in left
            ]
        return failures

    def _create(self, cables: t.Sequence[Cable]) -> list[str]:
        requests = []
        for cable in cables:
            ends = [(self.fds[end.node], end.interface, end.mac) for end in cable.ends]
            requests.append(create_veth(GROUP, cable.mtu, ends))
        with Network() as network:
            errors = network.exchange(requests)
        failures = [f"cannot plug cable {cable}: {error}" for cable, error in zip(cables, errors, strict=True) if error]
        # The alias marks an end as complete, so it is set last, with `up`: a run killed before leaves a loose end.
        made = [cable for cable, error in zip(cables, errors, strict=True) if not error]
        marks = [(end, alias(self.lab, peer)) for c in made for end, peer in (c.ends, c.ends[::-1])]
        for node, ends in by_node([end for end, text in marks]).items():
            text_of = dict(marks)
            with Network(self.fds[node]) as network:
                errors = network.exchange([change_link(end.interface, up=True, alias=text_of[end]) for end in ends])
            failures += [f"cannot set up {end}: {error}" for end, error in zip(ends, errors, strict=True) if error]
        return failures

    def _repair(self, plan: Plan) -> list[str]:
        mtu = {end: cable.mtu for cable, _differs in plan.repair for end in cable.ends}
        failures = []
        for node, ends in by_node(mtu).items():
            with Network(self.fds[node]) as network:
                errors = network.exchange([change_link(end.interface, mac=end.mac, mtu=mtu[end]) for end in ends])
            failures += [f"cannot change {end}: {error}" for end, error in zip(ends, errors, strict=True) if error]
        return failures

    def _impair(self, plan: Plan) -> list[str]:
        """At the ends of new cables that are to be impaired, and at those that are impaired in another way."""
        wanted = {end: cable.impair for cable in plan.create if cable.impair for end in cable.ends}
        for cable, (_before, differs) in plan.repair:
            wanted |= {end: cable.impair for end in cable.ends if f"{end} impair" in differs}
        failures = []
        for node, ends in by_node(wanted).items():
            with Network(self.fds[node]) as network:
                failures += impair(network, {end: wanted[end] for end in ends})
        return failures


def impairments(node: str, network: Network, links: t.Iterable[Link]) -> dict[Place, Impairment]:
    """What we have impaired in a node."""
    found = network.dump(QDISC, {}, (), with_handle(HANDLE))
    names = {link.index: link.name for link in links} if found else {}
    return {(node, names[one.link]): Impairment.of_netem(one.delay, one.loss) for one in found if one.link in names}


def _common(cable: Cable, impaired: dict[Place, Impairment]) -> Impairment:
    """That of both ends; none if they differ."""
    a, b = (impaired.get(end.place, Impairment()) for end in cable.ends)
    return a if a == b else Impairment()


def impair(network: Network, wanted: t.Mapping[End, Impairment]) -> list[str]:
    """Impairs ends in a network, or ends that; returns a message for each failure."""
    requests = [netem(network.index(end.interface), impairment) for end, impairment in wanted.items()]
    errors = network.exchange(requests)
    return [f"cannot impair {end}: {error}" for end, error in zip(wanted, errors, strict=True) if error]


def netem(index: int, impairment: Impairment) -> Request:
    fields = {"index": index, "handle": HANDLE, "parent": TC_H_ROOT}
    if not impairment:
        return QDISC + 1, 0, pack(QDISC, fields, [])
    attributes = [("TCA_KIND", "netem"), ("TCA_OPTIONS", impairment.netem)]
    return QDISC, CREATE | REPLACE, pack(QDISC, fields, attributes)


def create_veth(group: int, mtu: int, ends: t.Sequence[tuple[int, str, str | None]]) -> Request:
    """A veth pair, down; each end (namespace, name, MAC or None) is created in its namespace."""

    def describe(end: tuple[int, str, str | None]) -> list[tuple[str, t.Any]]:
        network, name, mac = end
        return [
            ("IFLA_IFNAME", name),
            ("IFLA_NET_NS_FD", network),
            ("IFLA_GROUP", group),
            ("IFLA_ADDRESS", mac),
            ("IFLA_MTU", mtu),
        ]

    info = [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", [("VETH_INFO_PEER", describe(ends[1]))])]
    return LINK, CREATE | EXCLUSIVE, pack(LINK, {}, [*describe(ends[0]), ("IFLA_LINKINFO", info)])


def change_link(
    name: str,
    *,
    up: bool = False,
    alias: str | None = None,
    mac: str | None = None,
    mtu: int | None = None,
    group: int | None = None,
) -> Request:
    fields = {"flags": IFF_UP, "change": IFF_UP} if up else {}
    attributes = [
        ("IFLA_IFNAME", name),
        ("IFLA_IFALIAS", alias),
        ("IFLA_ADDRESS", mac),
        ("IFLA_MTU", mtu),
        ("IFLA_GROUP", group),
    ]
    return LINK, 0, pack(LINK, fields, attributes)


def move_link(name: str, network: int) -> Request:
    return LINK, 0, pack(LINK, {}, [("IFLA_IFNAME", name), ("IFLA_NET_NS_FD", network)])


def delete_link(link: Link) -> Request:
    return LINK + 1, 0, pack(LINK, {"index": link.index}, [])


def delete_group(group: int) -> Request:
    """Deletes all links of a group together: one RCU grace period for all of them."""
    return LINK + 1, 0, pack(LINK, {}, [("IFLA_GROUP", group)])


def by_node(ends: t.Iterable[End]) -> dict[str, list[End]]:
    groups = collections.defaultdict(list)
    for end in ends:
        groups[end.node].append(end)
    return groups
